package status

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
	"github.com/jawaracloud/pubsub-operator/translator/reading"
)

func notReadable(words string) func(*v1.PubSubChannel) {
	return func(c *v1.PubSubChannel) {
		c.Spec = v1.PubSubChannelSpec{}
		c.Generation = 4
		c.Annotations = map[string]string{reading.AnnotationUnreadable: words}
	}
}

// The status of a channel that can't be read tells why, and nothing that would follow from
// its spec; the workers that were counted stay counted.
func TestUnreadableStatus(t *testing.T) {
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	assert.Nil(t, plan.Of(channeltest.Channel()).Unreadable)
	channel := channeltest.Channel(notReadable("spec.messageTimeout is 1.5"), func(c *v1.PubSubChannel) {
		c.Status = v1.PubSubChannelStatus{Phase: v1.PhaseRunning, Replicas: 3, QueueDepth: ptr.To[int64](5), MessageRate: ptr.To[int64](5), ObservedGeneration: 3,
			Conditions: []metav1.Condition{
				condition(v1.ConditionScaled, metav1.ConditionTrue, "WithinBand", ""), condition(v1.ConditionConnected, metav1.ConditionTrue, v1.ReasonQueueRead, ""),
				condition(v1.ConditionPaused, metav1.ConditionFalse, v1.ReasonNotPaused, ""), condition(v1.ConditionReady, metav1.ConditionTrue, v1.ReasonAvailable, ""),
			}}
	})
	p := plan.Of(channel).Unreadable
	require.NotNil(t, p)
	next := Unreadable(plan.Of(channel), now)
	assert.Equal(t, v1.PhaseFailed, next.Phase)
	assert.EqualValues(t, 4, next.ObservedGeneration)
	assert.EqualValues(t, 3, next.Replicas)
	assert.Nil(t, next.QueueDepth)
	assert.Nil(t, next.MessageRate)
	require.Len(t, next.Conditions, 2)
	ready, stalled := meta.FindStatusCondition(next.Conditions, v1.ConditionReady), meta.FindStatusCondition(next.Conditions, v1.ConditionStalled)
	assert.Equal(t, v1.ReasonInvalidSpec, ready.Reason)
	assert.Contains(t, ready.Message, "spec.messageTimeout is 1.5")
	assert.Equal(t, ready.Message, stalled.Message)

	event := RefusalEvent(channel, next, "me", now)
	require.NotNil(t, event)
	assert.Equal(t, "Warning InvalidSpec "+ready.Message, event.Type+" "+event.Reason+" "+event.Note)
	channel.Status = next
	assert.Equal(t, next, Unreadable(plan.Of(channel), now.Add(time.Hour)), "nothing changes by itself")
	assert.Nil(t, RefusalEvent(channel, next, "me", now), "it is warned of once")

	channel.DeletionTimestamp = ptr.To(metav1.NewTime(now))
	assert.Equal(t, v1.PhaseDeleting, Unreadable(plan.Of(channel), now).Phase)
}
