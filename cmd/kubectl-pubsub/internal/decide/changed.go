package decide

import v1 "github.com/jawaracloud/pubsub-operator/api/v1"

// Changed is the channel with changes of its spec.autoScaling (Overrides.Changes). The channel
// that is given stays as it is. The error names each faulty field, its value and the remedy.
func Changed(channel *v1.PubSubChannel, changes map[string]any) (*v1.PubSubChannel, error) {
	return apply(channel, changes)
}
