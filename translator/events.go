package translator

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/reading"
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
	event := newEvent(channel, instance, now)
	event.Type, event.Reason, event.Action, event.Note = corev1.EventTypeNormal, v1.EventScaled, "Scale", s.message()
	return event
}

// refusals are the reasons of Ready that tell of a refusal.
var refusals = []string{v1.ReasonNotPermitted, v1.ReasonInvalidSpec, v1.ReasonRefused, v1.ReasonAdoptionRefused, v1.ReasonHPAConflict}

// refusalEvent warns of a channel that is refused; nil where the status says nothing new
// about that.
func refusalEvent(channel *v1.PubSubChannel, next v1.PubSubChannelStatus, instance string, now time.Time) *eventsv1.Event {
	after := meta.FindStatusCondition(next.Conditions, v1.ConditionReady)
	before := meta.FindStatusCondition(channel.Status.Conditions, v1.ConditionReady)
	refused := after != nil && (slices.Contains(refusals, after.Reason) || reading.Unreadable(channel) != "")
	if !refused || before != nil && before.Reason == after.Reason && before.Message == after.Message {
		return nil
	}
	return warning(channel, after.Reason, "Refuse", after.Message, instance, now)
}

// undoneEvent warns of a decision that nobody has carried out; nil where the status told of
// it before.
func undoneEvent(channel *v1.PubSubChannel, next v1.PubSubChannelStatus, instance string, now time.Time) *eventsv1.Event {
	after := meta.FindStatusCondition(next.Conditions, v1.ConditionScaled)
	before := meta.FindStatusCondition(channel.Status.Conditions, v1.ConditionScaled)
	if after == nil || after.Reason != v1.ReasonNotCarriedOut || before != nil && before.Reason == after.Reason {
		return nil
	}
	return warning(channel, after.Reason, "Scale", after.Message, instance, now)
}

// warning is a Warning event on a channel; a text that is too long is cut.
func warning(channel *v1.PubSubChannel, reason, action, text, instance string, now time.Time) *eventsv1.Event {
	event := newEvent(channel, instance, now)
	if len(text) > maxNote {
		text = strings.ToValidUTF8(text[:maxNote], "")
	}
	event.Type, event.Reason, event.Action, event.Note = corev1.EventTypeWarning, reason, action, text
	return event
}

// maxNote is how long an event's note may be, in bytes (Kubernetes 1.36,
// pkg/apis/core/validation/events.go).
const maxNote = 1024

// newEvent is an event on a channel.
func newEvent(channel *v1.PubSubChannel, instance string, now time.Time) *eventsv1.Event {
	return &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{
			Name:      fmt.Sprintf("%s.%x", channel.Name, now.UnixNano()),
			Namespace: channel.Namespace,
		},
		EventTime:           metav1.NewMicroTime(now),
		ReportingController: reportingController,
		ReportingInstance:   instance,
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

// recordScaling writes the event of a scaling that the status already tells of.
func (r *Reconciler) recordScaling(ctx context.Context, channel *v1.PubSubChannel, s scaling) {
	r.log.Info("scaled", "namespace", channel.Namespace, "name", channel.Name, "from", s.from, "to", s.to)
	r.record(ctx, buildEvent(channel, s, r.instance, r.now()))
}

// recordRefusal writes the event of a refusal that the status already tells of.
func (r *Reconciler) recordRefusal(ctx context.Context, channel *v1.PubSubChannel, next v1.PubSubChannelStatus) {
	if event := refusalEvent(channel, next, r.instance, r.now()); event != nil {
		r.record(ctx, event)
	}
}

// recordUndone writes the event of a decision that the status tells as undone.
func (r *Reconciler) recordUndone(ctx context.Context, channel *v1.PubSubChannel, next v1.PubSubChannelStatus) {
	if event := undoneEvent(channel, next, r.instance, r.now()); event != nil {
		r.log.Info("decision not carried out", "namespace", channel.Namespace, "name", channel.Name, "message", event.Note)
		r.record(ctx, event)
	}
}

// noteRefusedStatus takes down that the API server refuses a status, and warns: the status
// that everybody sees is of before. No retry mends that.
func (r *Reconciler) noteRefusedStatus(ctx context.Context, channel *v1.PubSubChannel, written, stored v1.PubSubChannelStatus, err error) {
	if !r.pruned.refuse(identityOf(channel), written, stored, err.Error()) {
		return
	}
	r.log.Error(err, "the API server refuses a status; the last one stands", "namespace", channel.Namespace, "name", channel.Name)
	words := fmt.Sprintf("the API server refuses the channel's status, and the last one stands: %v: correct the channel, or bring the CRD up to date", err)
	if ready := meta.FindStatusCondition(written.Conditions, v1.ConditionReady); ready != nil && ready.Status != metav1.ConditionTrue {
		words += "; it would say: " + ready.Message
	}
	r.warn(ctx, channel, v1.ReasonRefused, "Refuse", words)
}

// warn writes a Warning event.
func (r *Reconciler) warn(ctx context.Context, channel *v1.PubSubChannel, reason, action, text string) {
	r.record(ctx, warning(channel, reason, action, text, r.instance, r.now()))
}

// record tries once to write an event: it is not worth holding a channel up.
func (r *Reconciler) record(ctx context.Context, event *eventsv1.Event) {
	// A controller that is stopping has written the status; nobody would make up for the
	// event.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), eventTimeout)
	defer cancel()
	if err := r.client.Create(ctx, event); err != nil && !apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		r.log.Error(err, "writing an event", "namespace", event.Namespace, "name", event.Regarding.Name, "reason", event.Reason, "note", event.Note)
	}
}
