package status

import (
	"fmt"
	"slices"
	"strings"
	"time"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/proto/inspect"
	"github.com/jawaracloud/pubsub-operator/translator/diagnosis"
	"github.com/jawaracloud/pubsub-operator/translator/keda"
	"github.com/jawaracloud/pubsub-operator/translator/reading"
)

// reportingController names us in events.
const reportingController = "pubsub.jawaracloud.io/controller"

// message is what users read and search for.
func (s Scaling) message() string {
	message := fmt.Sprintf("Scaled from %d to %d replicas", s.From, s.To)
	if s.depth != nil {
		message += fmt.Sprintf(" (queue depth: %d)", *s.depth)
	}
	return message
}

// ScaledEvent is the event of one scaling. It is written as it is: an event recorder would
// gather similar events into one, and drop some in a burst, but each scaling is to show.
func ScaledEvent(channel *v1.PubSubChannel, s Scaling, instance string, now time.Time) *eventsv1.Event {
	event := newEvent(channel, instance, now)
	event.Type, event.Reason, event.Action, event.Note = corev1.EventTypeNormal, v1.EventScaled, "Scale", s.message()
	return event
}

// refusals are the reasons of Ready that tell of a refusal.
var refusals = []string{v1.ReasonNotPermitted, v1.ReasonInvalidSpec, v1.ReasonRefused, v1.ReasonAdoptionRefused, v1.ReasonHPAConflict, v1.ReasonDeploymentConflict, v1.ReasonScaledObjectConflict}

// RefusalEvent warns of a channel that is refused; nil where the status says nothing new
// about that.
func RefusalEvent(channel *v1.PubSubChannel, next v1.PubSubChannelStatus, instance string, now time.Time) *eventsv1.Event {
	after := meta.FindStatusCondition(next.Conditions, v1.ConditionReady)
	before := meta.FindStatusCondition(channel.Status.Conditions, v1.ConditionReady)
	refused := after != nil && (slices.Contains(refusals, after.Reason) || reading.Unreadable(channel) != "")
	if !refused || before != nil && before.Reason == after.Reason && before.Message == after.Message {
		return nil
	}
	return Warning(channel, after.Reason, "Refuse", after.Message, instance, now)
}

// NotCarriedOutEvent warns of a decision that nobody has carried out; nil where the status
// told of it before.
func NotCarriedOutEvent(channel *v1.PubSubChannel, next v1.PubSubChannelStatus, instance string, now time.Time) *eventsv1.Event {
	after := meta.FindStatusCondition(next.Conditions, v1.ConditionScaled)
	before := meta.FindStatusCondition(channel.Status.Conditions, v1.ConditionScaled)
	if after == nil || after.Reason != v1.ReasonNotCarriedOut || before != nil && before.Reason == after.Reason {
		return nil
	}
	return Warning(channel, after.Reason, "Scale", after.Message, instance, now)
}

// UnreadableEvent warns that the queue can't be read; nil where the status told of the same
// cause before. A scaler that does not answer is no fault of the channel's.
func UnreadableEvent(channel *v1.PubSubChannel, next v1.PubSubChannelStatus, instance string, now time.Time) *eventsv1.Event {
	after := meta.FindStatusCondition(next.Conditions, v1.ConditionConnected)
	before := meta.FindStatusCondition(channel.Status.Conditions, v1.ConditionConnected)
	if after == nil || after.Status != metav1.ConditionFalse || before != nil && before.Status == after.Status && before.Reason == after.Reason {
		return nil
	}
	return Warning(channel, v1.EventQueueUnreadable, "Read", after.Message, instance, now)
}

// KEDANotReadyEvent warns that KEDA does not scale the channel; nil where the status told of
// the same cause before.
func KEDANotReadyEvent(channel *v1.PubSubChannel, next v1.PubSubChannelStatus, instance string, now time.Time) *eventsv1.Event {
	before, after := LastReady(channel), ptr.Deref(meta.FindStatusCondition(next.Conditions, v1.ConditionReady), metav1.Condition{})
	if after.Reason != v1.ReasonKEDANotReady || before.Reason == after.Reason && inspect.WithoutDigits(before.Message) == inspect.WithoutDigits(after.Message) {
		return nil
	}
	return Warning(channel, after.Reason, "Scale", after.Message, instance, now)
}

// Warning is a Warning event on a channel; a text that is too long is cut.
func Warning(channel *v1.PubSubChannel, reason, action, text, instance string, now time.Time) *eventsv1.Event {
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

// WorkersEvent warns of what keeps workers from being up; nil where the status tells of the
// same cause already.
func WorkersEvent(channel *v1.PubSubChannel, next v1.PubSubChannelStatus, seen Observed, instance string, now time.Time) *eventsv1.Event {
	before, after := LastReady(channel), ptr.Deref(meta.FindStatusCondition(next.Conditions, v1.ConditionReady), metav1.Condition{})
	told := inspect.WithoutDigits(before.Message) == inspect.WithoutDigits(after.Message)
	switch {
	case seen.Workers.Kept || seen.Unsettled:
		return nil
	case diagnosis.OfPods(after.Reason) && seen.Workers.Trouble != nil:
		told = diagnosis.TellsOf(before.Message, seen.Workers.Trouble.Cause)
	case after.Reason == v1.ReasonRolloutPaused:
		told = true // whatever the numbers
	case after.Reason != v1.ReasonDeploymentFailed:
		return nil
	}
	if told && before.Reason == after.Reason {
		return nil
	}
	return Warning(channel, after.Reason, "RollOut", after.Message, instance, now)
}

// LeftoverEvent warns, on a ScaledObject whose channel is gone, of what keeps it.
func LeftoverEvent(scaledObject *kedav1alpha1.ScaledObject, instance string, now time.Time) *eventsv1.Event {
	text := fmt.Sprintf("PubSubChannel %[1]s is gone, and ScaledObject %[1]s waits to go%[2]s", scaledObject.Name, keda.KeptBy("ScaledObject", scaledObject))
	event := Warning(&v1.PubSubChannel{ObjectMeta: scaledObject.ObjectMeta}, v1.EventFinalizerLeft, "Delete", text, instance, now)
	event.Regarding.APIVersion, event.Regarding.Kind = kedav1alpha1.SchemeGroupVersion.String(), "ScaledObject"
	return event
}
