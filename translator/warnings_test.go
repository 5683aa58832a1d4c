package translator

import (
	"context"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/stretchr/testify/assert"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

func TestWarningsHaveAPace(t *testing.T) {
	var w lastWarnings
	orders, mails := types.NamespacedName{Namespace: "shop", Name: "orders"}, types.NamespacedName{Namespace: "shop", Name: "mails"}
	now := time.Now()
	assert.True(t, w.due(orders, "QueueUnreadable", now))
	assert.False(t, w.due(orders, "QueueUnreadable", now.Add(9*time.Minute)))
	assert.True(t, w.due(orders, "KEDANotReady", now.Add(time.Minute)), "another reason")
	assert.True(t, w.due(mails, "QueueUnreadable", now.Add(time.Minute)), "another channel")
	assert.True(t, w.due(orders, "QueueUnreadable", now.Add(10*time.Minute)))
	assert.True(t, w.due(orders, "QueueUnreadable", now), "the clock was put back")
	w.forget(orders)
	assert.True(t, w.due(orders, "QueueUnreadable", now))
	w.forget(orders)
	w.forget(mails)
	assert.Empty(t, w.last)
}

// eventSink counts the events that are written, by their reasons.
type eventSink struct {
	client.Client
	reasons []string
}

func (e *eventSink) Create(_ context.Context, object client.Object, _ ...client.CreateOption) error {
	if event, ok := object.(*eventsv1.Event); ok {
		e.reasons = append(e.reasons, event.Reason)
	}
	return nil
}

// What comes and goes is not told each time: a queue, KEDA, and what the policy Utilization lacks.
func TestTroubleIsToldAtAPace(t *testing.T) {
	sink, now := &eventSink{}, time.Now()
	r := &Reconciler{client: sink, log: logr.Discard(), now: func() time.Time { return now }}
	channel := &v1.PubSubChannel{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "orders"}}
	trouble := v1.PubSubChannelStatus{Conditions: []metav1.Condition{
		{Type: v1.ConditionConnected, Status: metav1.ConditionFalse, Reason: "Unavailable"},
		{Type: v1.ConditionReady, Status: metav1.ConditionFalse, Reason: v1.ReasonKEDANotReady},
		{Type: v1.ConditionUtilization, Status: metav1.ConditionFalse, Reason: v1.ReasonFellBack},
	}}
	all := []string{v1.EventQueueUnreadable, v1.ReasonKEDANotReady, v1.ReasonFellBack}
	r.recordTrouble(t.Context(), channel, trouble)
	assert.Equal(t, all, sink.reasons)
	now = now.Add(2 * time.Minute)
	r.recordTrouble(t.Context(), channel, trouble) // it has come and gone since
	assert.Equal(t, all, sink.reasons)
	now = now.Add(10 * time.Minute)
	r.recordTrouble(t.Context(), channel, trouble)
	assert.Equal(t, append(all, all...), sink.reasons)
}
