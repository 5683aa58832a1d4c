package decide

import (
	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// Installed is the channel as the controller plans it. One that names no image has that of the installation, which
// only the status tells (workerImage): of an image that is not our subscriber, the environment does not tell what
// it does at once. The channel that is given stays as it is.
func Installed(channel *v1.PubSubChannel) *v1.PubSubChannel {
	return plan.WorkerDefaults{Image: channel.Status.WorkerImage}.Plan(channel).Channel
}

// Changed is the channel with changes of its spec.autoScaling (Overrides.Changes). The channel
// that is given stays as it is. The error names each faulty field, its value and the remedy.
func Changed(channel *v1.PubSubChannel, changes map[string]any) (*v1.PubSubChannel, error) {
	return apply(channel, changes)
}
