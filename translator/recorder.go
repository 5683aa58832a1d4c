package translator

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/status"
)

// eventTimeout bounds the one attempt at writing an event.
const eventTimeout = 5 * time.Second

// recordScaling writes the event of a scaling that the status already tells of.
func (r *Reconciler) recordScaling(ctx context.Context, channel *v1.PubSubChannel, s status.Scaling) {
	r.log.Info("scaled", "namespace", channel.Namespace, "name", channel.Name, "from", s.From, "to", s.To)
	r.counters.scaled(client.ObjectKeyFromObject(channel), s.From, s.To)
	r.record(ctx, status.ScaledEvent(channel, s, r.instance, r.now()))
}

// recordRefusal writes the event of a refusal that the status already tells of.
func (r *Reconciler) recordRefusal(ctx context.Context, channel *v1.PubSubChannel, next v1.PubSubChannelStatus) {
	if event := status.RefusalEvent(channel, next, r.instance, r.now()); event != nil {
		r.record(ctx, event)
	}
}

// recordTrouble writes the events of what comes and goes outside of the channel, at a pace.
func (r *Reconciler) recordTrouble(ctx context.Context, channel *v1.PubSubChannel, next v1.PubSubChannelStatus) {
	key := client.ObjectKeyFromObject(channel)
	for _, event := range []*eventsv1.Event{
		status.UnreadableEvent(channel, next, r.instance, r.now()),
		status.KEDANotReadyEvent(channel, next, r.instance, r.now()),
		status.UtilizationEvent(channel, next, r.instance, r.now()),
	} {
		if event != nil && r.warnings.due(key, event.Reason, r.now()) {
			r.log.Info("warned", "namespace", channel.Namespace, "name", channel.Name, "reason", event.Reason, "message", event.Note)
			r.record(ctx, event)
		}
	}
}

// recordNotCarriedOut writes the event of a decision that the status tells as not carried out.
func (r *Reconciler) recordNotCarriedOut(ctx context.Context, channel *v1.PubSubChannel, next v1.PubSubChannelStatus) {
	if event := status.NotCarriedOutEvent(channel, next, r.instance, r.now()); event != nil {
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
	message := fmt.Sprintf("the API server refuses the channel's status, and the last one stands: %v: correct the channel, or bring the CRD up to date", err)
	if ready := meta.FindStatusCondition(written.Conditions, v1.ConditionReady); ready != nil && ready.Status != metav1.ConditionTrue {
		message += "; it would say: " + ready.Message
	}
	r.warn(ctx, channel, v1.ReasonRefused, "Refuse", message)
}

// warn writes a Warning event.
func (r *Reconciler) warn(ctx context.Context, channel *v1.PubSubChannel, reason, action, text string) {
	r.record(ctx, status.Warning(channel, reason, action, text, r.instance, r.now()))
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

// recordWorkers writes the event of what the status tells of the workers.
func (r *Reconciler) recordWorkers(ctx context.Context, channel *v1.PubSubChannel, next v1.PubSubChannelStatus, seen status.Observed) {
	if event := status.WorkersEvent(channel, next, seen, r.instance, r.now()); event != nil {
		r.record(ctx, event)
	}
}
