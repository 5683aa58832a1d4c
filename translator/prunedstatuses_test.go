package translator

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// What an API server with an older CRD drops of a status counts as written, until somebody
// else writes the status or the CRD is brought up to date; and nothing is kept where all is.
func TestPrunedStatuses(t *testing.T) {
	var p prunedStatuses
	key := channelID{types.NamespacedName{Namespace: "shop", Name: "orders"}, "1"}
	written := v1.PubSubChannelStatus{ObservedGeneration: 1, DesiredReplicas: 4, Selector: "a=b"}
	add := func(written, kept v1.PubSubChannelStatus) []string {
		news, err := p.add(key, written, kept)
		require.NoError(t, err)
		return news
	}
	fractions := written
	fractions.LastScaleTime = ptr.To(metav1.NewTime(time.Date(2026, 1, 31, 12, 0, 0, 5, time.UTC)))
	whole := written
	whole.LastScaleTime = ptr.To(metav1.NewTime(time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)))
	assert.Empty(t, add(written, written))
	assert.Empty(t, add(fractions, whole), "a status has whole seconds")
	assert.Empty(t, p.statuses)
	assert.Equal(t, written, p.whole(key, written))

	pruned := v1.PubSubChannelStatus{ObservedGeneration: 1, Selector: "a=b"}
	assert.Equal(t, []string{"desiredReplicas"}, add(written, pruned))
	assert.Equal(t, written, p.whole(key, pruned))
	assert.Equal(t, pruned, p.stored(key, written), "what is written next is a change of what is there")
	other := channelID{types.NamespacedName{Namespace: "shop", Name: "bills"}, "2"}
	assert.Equal(t, pruned, p.whole(other, pruned), "another channel's is as it is")
	assert.Empty(t, add(written, pruned), "told once")

	theirs := v1.PubSubChannelStatus{ObservedGeneration: 1, Selector: "c=d"}
	assert.Equal(t, theirs, p.whole(key, theirs), "somebody else wrote it")
	assert.Equal(t, pruned, p.whole(key, pruned), "and then it is what is known")
	assert.Empty(t, p.statuses)

	// The CRD is brought up to date, and the watch goes by the older one for a while.
	assert.Empty(t, add(written, written))
	assert.Equal(t, written, p.whole(key, pruned))
	assert.Equal(t, written, p.stored(key, written))
	assert.Equal(t, written, p.whole(key, written))
	assert.Empty(t, p.statuses)

	// One that is refused.
	assert.True(t, p.refuse(key, written, theirs, "no"))
	assert.False(t, p.refuse(key, written, theirs, "no"), "told once")
	assert.True(t, p.refuse(key, written, theirs, "not that either"))
	assert.Equal(t, written, p.whole(key, theirs))
	assert.Empty(t, add(theirs, theirs))

	assert.Empty(t, add(written, pruned))
	p.forget(key.NamespacedName)
	assert.Empty(t, p.statuses)
}

// The CRD is brought up to date in two steps: what the first of them brings is read again, or not
// yet, and what it still lacks counts as written either way.
func TestACRDThatIsBroughtUpToDateInSteps(t *testing.T) {
	var p prunedStatuses
	key := channelID{types.NamespacedName{Namespace: "shop", Name: "orders"}, "1"}
	whole := func() v1.PubSubChannelStatus {
		return v1.PubSubChannelStatus{ObservedGeneration: 1, DesiredReplicas: 4, Selector: "a=b", WorkerImage: "worker:1"}
	}
	first, second := whole(), whole()
	first.DesiredReplicas, first.WorkerImage = 0, ""
	second.WorkerImage = ""
	news, err := p.add(key, whole(), first)
	require.NoError(t, err)
	assert.Equal(t, []string{"desiredReplicas", "workerImage"}, news)

	for range 2 {
		news, err = p.add(key, whole(), second)
		require.NoError(t, err)
		assert.Empty(t, news, "told once")
		assert.Equal(t, whole(), p.whole(key, first), "the watch goes by the first CRD")
		assert.Equal(t, whole(), p.whole(key, second), "the watch goes by the second one")
		assert.Equal(t, second, p.stored(key, whole()), "what is gone again is taken away, too")
	}
	theirs := second
	theirs.DesiredReplicas = 7
	assert.Equal(t, theirs, p.whole(key, theirs), "somebody else wrote it")

	// One that is refused meanwhile.
	next := whole()
	next.Phase = v1.PhaseRunning
	_, err = p.add(key, whole(), second)
	require.NoError(t, err)
	assert.True(t, p.refuse(key, next, p.stored(key, whole()), "no"))
	assert.Equal(t, next, p.whole(key, first))
	assert.Equal(t, next, p.whole(key, second))
	assert.False(t, p.refuse(key, next, p.stored(key, next), "no"), "told once")
}

// A CRD may also lack a part of a field: what else is in it counts, too, and is told.
func TestPrunedPartsOfAField(t *testing.T) {
	decided := func(change func(*v1.ScalingDecision)) v1.PubSubChannelStatus {
		d := &v1.ScalingDecision{Action: v1.ScalingHold, Reason: "WithinBand", QueueDepth: 300, Remarks: "; y"}
		change(d)
		return v1.PubSubChannelStatus{ObservedGeneration: 1, Decision: d, Conditions: []metav1.Condition{
			{Type: v1.ConditionReady, Status: metav1.ConditionTrue, ObservedGeneration: 1}, {Type: v1.ConditionScaled, Status: metav1.ConditionTrue}, // which has none
		}}
	}
	whole := func(d *v1.ScalingDecision) {
		d.Window, d.InFlight = &metav1.Duration{Duration: time.Minute}, ptr.To[int64](3)
	}
	for name, test := range map[string]struct {
		kept    v1.PubSubChannelStatus
		dropped []string
	}{
		"an optional field":     {decided(func(d *v1.ScalingDecision) { d.InFlight = ptr.To[int64](3) }), []string{"decision.window"}},
		"a field that has zero": {decided(func(d *v1.ScalingDecision) { whole(d); d.QueueDepth = 0 }), []string{"decision.queueDepth"}},
		"several":               {decided(func(d *v1.ScalingDecision) { d.Remarks = "" }), []string{"decision.inFlight", "decision.remarks", "decision.window"}},
		"in each of a list": {func() v1.PubSubChannelStatus {
			s := decided(whole)
			s.Conditions[0].ObservedGeneration = 0
			return s
		}(), []string{"conditions[].observedGeneration"}},
		"all of a list": {func() v1.PubSubChannelStatus { s := decided(whole); s.Conditions = nil; return s }(), []string{"conditions"}},
		"a whole field": {func() v1.PubSubChannelStatus { s := decided(whole); s.Decision = nil; return s }(), []string{"decision"}},
	} {
		t.Run(name, func(t *testing.T) {
			var p prunedStatuses
			key := channelID{types.NamespacedName{Namespace: "shop", Name: "orders"}, "1"}
			for range 2 { // each time that it comes back so
				news, err := p.add(key, decided(whole), test.kept)
				require.NoError(t, err)
				assert.Equal(t, decided(whole), p.whole(key, test.kept), "it counts as written")
				assert.Equal(t, test.kept, p.stored(key, decided(whole)))
				if test.dropped != nil {
					assert.Equal(t, test.dropped, news)
				} else {
					assert.Empty(t, news, "told once")
				}
				test.dropped = nil
			}
			other := *test.kept.DeepCopy()
			other.ObservedGeneration = 2
			assert.Equal(t, other, p.whole(key, other), "somebody else wrote it")
		})
	}
}

// What is known of a status is not that of a channel of the same name which came before.
func TestAnotherChannelOfTheName(t *testing.T) {
	var p prunedStatuses
	key := types.NamespacedName{Namespace: "shop", Name: "orders"}
	empty := v1.PubSubChannelStatus{ObservedGeneration: -1} // the CRD's default
	p.refuse(channelID{key, "old"}, v1.PubSubChannelStatus{ObservedGeneration: 3, Selector: "a=b", DesiredReplicas: 9}, empty, "no")
	assert.Equal(t, empty, p.whole(channelID{key, "new"}, empty), "of a channel that was made anew, whose deletion no reconcile saw")
}
