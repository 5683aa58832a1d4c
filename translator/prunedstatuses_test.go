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
	assert.Equal(t, pruned, p.stored(key, written))
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

// What is known of a status is not that of a channel of the same name which came before.
func TestAnotherChannelOfTheName(t *testing.T) {
	var p prunedStatuses
	key := types.NamespacedName{Namespace: "shop", Name: "orders"}
	empty := v1.PubSubChannelStatus{ObservedGeneration: -1} // the CRD's default
	p.refuse(channelID{key, "old"}, v1.PubSubChannelStatus{ObservedGeneration: 3, Selector: "a=b", DesiredReplicas: 9}, empty, "no")
	assert.Equal(t, empty, p.whole(channelID{key, "new"}, empty), "of a channel that was made anew, whose deletion no reconcile saw")
}
