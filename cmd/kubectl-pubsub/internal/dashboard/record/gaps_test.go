package record

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/protocol"
)

// elsewhere puts a channel into another namespace.
func elsewhere(c *v1.PubSubChannel) { c.Namespace = "bank" }

// An hour in which nothing was heard is a gap: what was known holds until it begins, and what is heard after it begins when it is
// heard, also if it is the same. Other namespaces have none.
func TestWhatIsNotHeardIsAGap(t *testing.T) {
	f, page, position := New(noon), &Cursor{}, &Position{}
	f.See(channelOf("changed", nil), noon)
	f.See(channelOf("same", nil), noon)
	f.See(channelOf("other", elsewhere), noon)
	news(t, f, page)
	_, _ = f.Channel("shop/same", position)
	changed := f.Changed()
	f.Miss("shop", noon.Add(time.Minute))
	select {
	case <-changed:
	default:
		assert.Fail(t, "who waits is not woken")
	}
	f.Miss("shop", noon.Add(2*time.Minute))
	begins := protocol.Point{Time: noon.Add(time.Minute), Gap: true}
	told := news(t, f, page)
	assert.Equal(t, []string{"shop/changed", "shop/same"}, keys(told.Rows))
	for _, row := range told.Rows {
		assert.Equal(t, []protocol.Point{begins}, row.Points)
	}
	d, _ := f.Channel("shop/same", position)
	assert.Equal(t, begins.Time, d.Unheard)
	assert.Equal(t, []protocol.Point{begins}, d.Points)
	assert.EqualValues(t, 3, d.Row.Replicas, "what was known is shown")

	f.See(channelOf("changed", setDepth(7)), noon.Add(time.Hour))
	f.Hear("shop", noon.Add(time.Hour+time.Second))
	f.Hear("", noon.Add(2*time.Hour))
	for key, want := range map[string]protocol.Point{
		"shop/changed": {Time: noon.Add(time.Hour), Depth: new(int64(7))}, "shop/same": {Time: noon.Add(time.Hour + time.Second), Depth: new(int64(300))},
	} {
		past, _, _ := f.Past(key)
		require.Len(t, past.Points, 3, key)
		assert.Zero(t, past.Unheard)
		assert.Equal(t, want.Time, past.Points[2].Time, key)
		assert.Equal(t, want.Depth, past.Points[2].Depth, key)
		assert.EqualValues(t, 3, past.Points[2].Replicas)
	}
	past, _, _ := f.Past("bank/other")
	assert.Len(t, past.Points, 1, "it was heard all the time")
	f.Miss("", noon.Add(3*time.Hour))
	past, _, _ = f.Past("bank/other")
	assert.True(t, past.Points[1].Gap, "all are missed at once")
}

// Of a gap no number is told, as each would be a claim. It begins after all that was seen before, or a page would leave it out.
func TestAGapHasNoNumbers(t *testing.T) {
	f, page := New(noon), &Cursor{}
	f.See(channelOf("a", nil), noon)
	news(t, f, page)
	f.Miss("", noon.Add(-time.Minute))
	told, err := f.Since(page, noon)
	require.NoError(t, err)
	message := struct {
		Fleet struct {
			Rows []struct{ Points []map[string]any }
		}
	}{}
	require.NoError(t, json.Unmarshal(told.Fleet, &message))
	assert.Equal(t, []map[string]any{{"t": "2026-01-31T12:00:00.001Z", "gap": true}}, message.Fleet.Rows[0].Points)
}

// What changed in a gap is marked where it was found, and says so; nobody knows when its cooldown was over.
func TestMarksOfAGap(t *testing.T) {
	f := New(noon)
	f.See(channelOf("a", nil), noon)
	f.Miss("", noon.Add(time.Minute))
	scaled := func(c *v1.PubSubChannel) { c.Status.DesiredReplicas = 9 }
	f.See(channelOf("a", scaled), noon.Add(time.Hour))
	d, _ := f.Channel("shop/a", &Position{})
	require.Len(t, d.Marks, 1)
	assert.Equal(t, "3 → 9 workers; it happened before, while nothing was heard of the channel", d.Marks[0].Words)
	assert.Nil(t, d.Marks[0].Until)
	f.See(channelOf("a", nil), noon.Add(2*time.Hour))
	d, _ = f.Channel("shop/a", &Position{})
	assert.Equal(t, "9 → 3 workers", d.Marks[1].Words)
	assert.NotNil(t, d.Marks[1].Until)
}

// A status that was not written for longer than the controller asks says that what was told before held until then.
func TestWhatHeldIsTold(t *testing.T) {
	f := New(noon)
	for i, second := range []int{0, 18, 36, 58, 3600} {
		f.See(channelOf("a", setDepth(int64(i))), noon.Add(time.Duration(second)*time.Second))
	}
	past, _, _ := f.Past("shop/a")
	var held []bool
	for _, p := range past.Points {
		held = append(held, p.Held)
	}
	assert.Equal(t, []bool{false, false, false, true, true}, held)
}
