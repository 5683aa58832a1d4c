package plan

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// WorkerDefaults is what the installation gives to channels that name no image of their own.
type WorkerDefaults struct {
	// Image is a whole reference of our subscriber, or of a worker that takes its place. It has a
	// version (v1.IsPinned), so that all workers run the same one.
	Image string
	// PullPolicy is when nodes pull Image; empty: the API server's default.
	PullPolicy corev1.PullPolicy
	// PullSecrets are the names of Secrets for pulling Image. They must be in each channel's
	// namespace.
	PullSecrets []string
}

// Check is nil if workers can be made of it. The error names the flag and the remedy.
func (w WorkerDefaults) Check() error {
	if !v1.IsPinned(w.Image) {
		return fmt.Errorf("--worker-image is %q: it must have a tag other than latest, or a digest, so that all workers run one version; for example %s:0.1.0", w.Image, v1.SubscriberImage)
	}
	switch w.PullPolicy {
	case "", corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever:
		return nil
	}
	return fmt.Errorf("--worker-image-pull-policy is %q: it must be Always, IfNotPresent or Never", w.PullPolicy)
}

// Plan reads a channel. One without an image gets w's; its plan's Channel is then a copy that has
// it, so that all that is read of the image is read of this one.
func (w WorkerDefaults) Plan(channel *v1.PubSubChannel) *Plan {
	if !namesNoImage(channel) || w.Image == "" {
		return of(channel)
	}
	named := *channel
	named.Spec.Image = w.Image
	p := of(&named)
	p.PullPolicy, p.PullSecrets = w.PullPolicy, w.PullSecrets
	return p
}

func namesNoImage(channel *v1.PubSubChannel) bool {
	return channel.Spec.Image == "" || channel.Spec.Image == v1.FormerDefaultImage
}
