package translator

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

const (
	// reportingController names us in events.
	reportingController = "pubsub.jawaracloud.io/controller"
	// eventTimeout bounds the one attempt at writing an event.
	eventTimeout = 5 * time.Second
)

// message is what users read and search for.
func (s scaling) message() string {
	words := fmt.Sprintf("Scaled from %d to %d replicas", s.from, s.to)
	if s.depth != nil {
		words += fmt.Sprintf(" (queue depth: %d)", *s.depth)
	}
	return words
}

// buildEvent is the event of one scaling. It is written as it is: an event recorder would
// gather similar events into one, and drop some in a burst, but each scaling is to show.
func buildEvent(channel *v1.PubSubChannel, s scaling, instance string, now time.Time) *eventsv1.Event {
	return &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{
			Name:      fmt.Sprintf("%s.%x", channel.Name, now.UnixNano()),
			Namespace: channel.Namespace,
		},
		EventTime:           metav1.NewMicroTime(now),
		ReportingController: reportingController,
		ReportingInstance:   instance,
		Type:                corev1.EventTypeNormal,
		Reason:              v1.EventScaled,
		Action:              "Scale",
		Note:                s.message(),
		Regarding: corev1.ObjectReference{
			APIVersion:      v1.GroupVersion.String(),
			Kind:            "PubSubChannel",
			Namespace:       channel.Namespace,
			Name:            channel.Name,
			UID:             channel.UID,
			ResourceVersion: channel.ResourceVersion,
		},
	}
}

// recordScaling writes the event of a scaling that the status already tells of. It tries
// once: an event is not worth holding a channel up.
func (r *Reconciler) recordScaling(ctx context.Context, channel *v1.PubSubChannel, s scaling) {
	r.log.Info("scaled", "namespace", channel.Namespace, "name", channel.Name, "from", s.from, "to", s.to)
	// A controller that is stopping has written the status; nobody would make up for the
	// event.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), eventTimeout)
	defer cancel()
	if err := r.client.Create(ctx, buildEvent(channel, s, r.instance, r.now())); err != nil {
		r.log.Error(err, "writing the event of a scaling", "namespace", channel.Namespace, "name", channel.Name, "event", s.message())
	}
}
