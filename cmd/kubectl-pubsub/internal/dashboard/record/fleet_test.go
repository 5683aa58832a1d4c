package record

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/protocol"
)

var noon = time.Date(2026, time.January, 31, 12, 0, 0, 0, time.UTC)

func channelOf(name string, change func(*v1.PubSubChannel)) *v1.PubSubChannel {
	depth := int64(300)
	c := &v1.PubSubChannel{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID(name)},
		Spec:       v1.PubSubChannelSpec{ChannelName: name, AutoScaling: &v1.AutoScalingSpec{Enabled: true}},
		Status: v1.PubSubChannelStatus{
			Phase: v1.PhaseRunning, Replicas: 3, ReadyReplicas: 3, DesiredReplicas: 3, QueueDepth: &depth, Selector: "app=x",
			Decision: &v1.ScalingDecision{
				ObservedTime: metav1.NewTime(noon), Action: v1.ScalingHold, Reason: "WithinBand", Message: "300 is between 150 and 450",
				Replicas: 3, DesiredReplicas: 3, QueueDepth: 300, Ready: 280, LowerBound: 150, UpperBound: 450, Active: true,
			},
			Conditions: []metav1.Condition{
				{Type: v1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1.ReasonAvailable},
				{Type: v1.ConditionConnected, Status: metav1.ConditionTrue, Reason: v1.ReasonQueueRead},
			},
		},
	}
	if change != nil {
		change(c)
	}
	return c
}

func setDepth(depth int64) func(*v1.PubSubChannel) {
	return func(c *v1.PubSubChannel) { c.Status.QueueDepth, c.Status.Decision.QueueDepth = &depth, depth }
}

// news is what a page is told, decoded.
func news(t *testing.T, f *Fleet, c *Cursor) *protocol.Fleet {
	t.Helper()
	n, err := f.Since(c, noon)
	require.NoError(t, err)
	if n.Fleet == nil {
		return nil
	}
	message := protocol.Envelope{}
	require.NoError(t, json.Unmarshal(n.Fleet, &message), "%s", n.Fleet)
	require.Equal(t, protocol.KindFleet, message.Kind)
	return message.Fleet
}

func keys(rows []protocol.Row) (keys []string) {
	for _, row := range rows {
		keys = append(keys, row.Key)
	}
	return keys
}

// The first message has all, the worst first; the next ones only what changed, and the points
// since; none if nothing did.
func TestPagesAreToldWhatChanged(t *testing.T) {
	f := New(noon)
	f.See(channelOf("b", nil), noon)
	f.See(channelOf("a", nil), noon)
	f.See(channelOf("z", func(c *v1.PubSubChannel) {
		c.Status.Conditions[1] = metav1.Condition{Type: v1.ConditionConnected, Status: metav1.ConditionFalse, Reason: "BrokerTimeout", Message: "no answer"}
	}), noon)
	var page, late Cursor
	first := news(t, f, &page)
	assert.True(t, first.Full)
	assert.Equal(t, []string{"shop/z", "shop/a", "shop/b"}, keys(first.Rows))
	assert.Equal(t, 2, first.Rows[0].Severity)
	assert.Equal(t, "BrokerTimeout", first.Rows[0].Trouble)
	assert.Equal(t, "no answer", first.Rows[0].Words)
	assert.Equal(t, "300 is between 150 and 450", first.Rows[1].Words)
	assert.Len(t, first.Rows[1].Points, 1)
	assert.Nil(t, news(t, f, &page), "nothing changed")

	f.See(channelOf("a", setDepth(310)), noon.Add(time.Second))
	f.See(channelOf("a", setDepth(320)), noon.Add(2*time.Second))
	next := news(t, f, &page)
	require.Len(t, next.Rows, 1, "one state, however often it changed")
	assert.False(t, next.Full)
	assert.EqualValues(t, 320, *next.Rows[0].Depth)
	require.Len(t, next.Rows[0].Points, 2, "and each point")
	assert.EqualValues(t, 310, *next.Rows[0].Points[0].Depth)
	assert.True(t, noon.Add(time.Second).Equal(next.Rows[0].Points[0].Time))

	f.Forget("shop/b")
	f.Forget("shop/unknown")
	f.Permit([]protocol.Namespace{{Name: "shop", Permitted: true}})
	gone := news(t, f, &page)
	assert.Equal(t, []string{"shop/b"}, gone.Gone)
	assert.Empty(t, gone.Rows)
	assert.Equal(t, []protocol.Namespace{{Name: "shop", Permitted: true}}, gone.Namespaces)
	f.See(channelOf("b", nil), noon)
	assert.Empty(t, news(t, f, &page).Gone)

	all := news(t, f, &late)
	assert.True(t, all.Full)
	assert.Len(t, all.Rows, 3)
	assert.Len(t, all.Rows[1].Points, 3)
}

// What is unknown is absent, and a status that says the same adds no point.
func TestUnknownIsAbsent(t *testing.T) {
	f := New(noon)
	without := func(c *v1.PubSubChannel) {
		c.Status.QueueDepth, c.Status.Decision, c.Status.MessageRate = nil, nil, nil
	}
	f.See(channelOf("a", without), noon)
	f.See(channelOf("a", without), noon.Add(time.Second))
	n, err := f.Since(&Cursor{}, noon)
	require.NoError(t, err)
	for _, name := range []string{"depth", "atLeast", "waiting", "inFlight", "lowerBound", "upperBound", "rate", "oldest", "lower", "upper"} {
		assert.NotContains(t, string(n.Fleet), `"`+name+`"`)
	}
	assert.Contains(t, string(n.Fleet), `"points":[{"t":"2026-01-31T12:00:00Z","replicas":3,"ready":3,"desired":3}]`)
	rate := int64(7)
	f.See(channelOf("a", func(c *v1.PubSubChannel) { c.Status.MessageRate = &rate }), noon)
	f.See(channelOf("a", func(c *v1.PubSubChannel) {
		c.Status.MessageRate, c.Status.Decision.MessageRateIsLowerBound = &rate, true
	}), noon)
	past, _, found := f.Past("shop/a")
	require.True(t, found)
	require.Len(t, past.Points, 3)
	assert.EqualValues(t, 7, *past.Points[1].Rate)
	assert.Nil(t, past.Points[2].Rate, "the growth of the depth tells of no arrivals")
}

// A page that took nothing for long gets the newest state, and as many points as its sparkline has.
func TestASlowPageIsToldNoMoreThanItShows(t *testing.T) {
	f, page := New(noon), &Cursor{}
	f.See(channelOf("a", nil), noon)
	news(t, f, page)
	for i := range 10 * mostFirstPoints {
		f.See(channelOf("a", setDepth(int64(i))), noon.Add(time.Duration(i)*time.Second))
	}
	next := news(t, f, page)
	require.Len(t, next.Rows, 1)
	require.Len(t, next.Rows[0].Points, mostFirstPoints)
	assert.EqualValues(t, 10*mostFirstPoints-1, *next.Rows[0].Points[mostFirstPoints-1].Depth)
}

func TestMarks(t *testing.T) {
	f := New(noon)
	up := func(desired int32) func(*v1.PubSubChannel) {
		return func(c *v1.PubSubChannel) {
			c.Status.DesiredReplicas = desired
			c.Status.Decision.Action, c.Status.Decision.Reason, c.Status.Decision.Message = v1.ScalingUp, "AboveUpperBound", "500 is above 450: 3 → 4 replicas"
			c.Status.Decision.DesiredReplicas = 4
		}
	}
	f.See(channelOf("a", nil), noon)
	f.See(channelOf("a", up(3)), noon.Add(5*time.Second))
	f.See(channelOf("a", up(4)), noon.Add(9*time.Second))
	position := &Position{}
	d, found := f.Channel("shop/a", position)
	require.True(t, found)
	assert.True(t, d.Full)
	until := noon.Add(69 * time.Second)
	assert.Equal(t, []protocol.Mark{
		{Time: noon.Add(5 * time.Second), Kind: "decision", From: 3, To: 4, Words: "500 is above 450: 3 → 4 replicas"},
		{Time: noon.Add(9 * time.Second), Kind: "scaling", From: 3, To: 4, Words: "500 is above 450: 3 → 4 replicas", Until: &until},
	}, d.Marks)
	f.See(channelOf("a", func(c *v1.PubSubChannel) { c.Status.DesiredReplicas = 9; c.Status.Decision = nil }), noon.Add(20*time.Second))
	d, _ = f.Channel("shop/a", position)
	assert.False(t, d.Full)
	require.Len(t, d.Marks, 1)
	assert.Equal(t, "4 → 9 workers", d.Marks[0].Words, "nobody says why")
	assert.Len(t, d.Points, 1)
	f.See(channelOf("a", func(c *v1.PubSubChannel) { c.UID = "another"; c.Status.DesiredReplicas = 1 }), noon.Add(30*time.Second))
	d, _ = f.Channel("shop/a", position)
	assert.True(t, d.Full)
	assert.Empty(t, d.Marks, "a channel that was made anew was not scaled")
	assert.Len(t, d.Points, 1, "and its past is not that of the one before")
}

// KEDA's own steps are no scalings of the HPA.
func TestNoCooldownBeginsAtZero(t *testing.T) {
	f := New(noon)
	for i, desired := range []int32{1, 0, 1, 2} {
		f.See(channelOf("a", func(c *v1.PubSubChannel) { c.Status.DesiredReplicas = desired }), noon.Add(time.Duration(i)*time.Second))
	}
	d, _ := f.Channel("shop/a", &Position{})
	require.Len(t, d.Marks, 3)
	assert.Nil(t, d.Marks[0].Until, "to 0")
	assert.Nil(t, d.Marks[1].Until, "from 0")
	assert.NotNil(t, d.Marks[2].Until)
}

// What is remembered is bounded, and the numbers of what is left stay.
func TestTheRecordIsBounded(t *testing.T) {
	f := New(noon)
	position, page := &Position{}, &Cursor{}
	told := 0
	for i := range 3 * mostPoints {
		f.See(channelOf("a", setDepth(int64(i))), noon.Add(time.Duration(i)*time.Second))
		if i%1000 == 0 {
			d, _ := f.Channel("shop/a", position)
			told += len(d.Points)
			require.EqualValues(t, i, *d.Points[len(d.Points)-1].Depth)
			news(t, f, page)
		}
	}
	d, _ := f.Channel("shop/a", position)
	assert.Equal(t, 3*mostPoints, told+len(d.Points))
	past, _, _ := f.Past("shop/a")
	assert.LessOrEqual(t, len(past.Points), mostPoints)
	assert.Greater(t, len(past.Points), mostPoints/2)
	for i := range 2 * mostTombstones {
		f.See(channelOf(fmt.Sprint("gone-", i), nil), noon)
		f.Forget(fmt.Sprint("shop/gone-", i))
	}
	assert.LessOrEqual(t, len(f.gone), mostTombstones)
	assert.True(t, news(t, f, page).Full, "who missed too much gets all anew")
	many := New(noon)
	for i := range 6000 {
		many.See(channelOf(fmt.Sprint("c-", i), nil), noon)
	}
	assert.Equal(t, fewestPoints, many.share(mostPoints, fewestPoints, mostPointsOfAll))
	for round := range 3 * fewestMarks {
		for i := range 6000 {
			many.See(channelOf(fmt.Sprint("c-", i), func(c *v1.PubSubChannel) { c.Status.Decision.Reason = fmt.Sprint(round % 2) }), noon)
		}
	}
	marks := 0
	for _, e := range many.channels {
		marks += len(e.marks.items)
	}
	assert.LessOrEqual(t, marks, 6000*fewestMarks)
}

// Before anything was asked, that there is no channel would be a claim.
func TestNothingIsSaidBeforeAnythingIsKnown(t *testing.T) {
	f, page := New(noon), &Cursor{}
	f.Connect(false, "refused", noon)
	first, err := f.Since(page, noon)
	require.NoError(t, err)
	assert.Equal(t, "refused", first.Connection.Problem)
	assert.Nil(t, first.Fleet)
	f.Connect(true, "", noon)
	f.Permit([]protocol.Namespace{{Name: "shop", Permitted: true}})
	next := news(t, f, page)
	require.NotNil(t, next)
	assert.True(t, next.Full)
	assert.Empty(t, next.Rows)
}

// A channel that was made anew between two messages has points of its own, and they are told at once.
func TestAChannelThatIsMadeAnewAtOnce(t *testing.T) {
	f, page := New(noon), &Cursor{}
	for i := range 5 {
		f.See(channelOf("a", setDepth(int64(i))), noon.Add(time.Duration(i)*time.Second))
	}
	news(t, f, page)
	f.Forget("shop/a")
	f.See(channelOf("a", func(c *v1.PubSubChannel) { c.UID = "another" }), noon.Add(time.Minute))
	next := news(t, f, page)
	require.Len(t, next.Rows, 1)
	assert.Len(t, next.Rows[0].Points, 1)
	f.See(channelOf("a", func(c *v1.PubSubChannel) { c.UID = "another"; setDepth(7)(c) }), noon.Add(2*time.Minute))
	assert.Len(t, news(t, f, page).Rows[0].Points, 1)
}

func TestOlderPointsComeFirst(t *testing.T) {
	f := New(noon)
	f.See(channelOf("a", nil), noon)
	position := &Position{}
	_, _ = f.Channel("shop/a", position)
	one := int64(1)
	assert.False(t, f.Prepended(channelOf("a", nil)))
	f.Prepend(channelOf("a", nil), []protocol.Point{{Time: noon.Add(-time.Minute), Depth: &one}, {Time: noon.Add(time.Minute), Depth: &one}})
	f.Prepend(channelOf("none", nil), []protocol.Point{{Time: noon}})
	assert.True(t, f.Prepended(channelOf("a", nil)))
	assert.False(t, f.Prepended(channelOf("none", nil)))
	d, _ := f.Channel("shop/a", position)
	assert.True(t, d.Full, "the page gets all anew")
	require.Len(t, d.Points, 2)
	assert.EqualValues(t, 1, *d.Points[0].Depth)
	assert.EqualValues(t, 300, *d.Points[1].Depth)
	_, older, _ := f.Past("shop/a")
	assert.Equal(t, 1, older)
}

// What is dropped is a gap: the last older point holds no longer than it did.
func TestTheOlderPointsEndWhereOthersWereDropped(t *testing.T) {
	f := New(noon)
	depth := int64(1)
	f.See(channelOf("a", setDepth(0)), noon)
	f.Prepend(channelOf("a", nil), []protocol.Point{{Time: noon.Add(-time.Minute), Depth: &depth, Replicas: 3}})
	for i := range 2 * mostPoints {
		f.See(channelOf("a", setDepth(int64(i+1))), noon.Add(time.Duration(i+1)*time.Second))
	}
	past, older, _ := f.Past("shop/a")
	require.Equal(t, 2, older)
	assert.EqualValues(t, 1, *past.Points[0].Depth)
	assert.Equal(t, protocol.Point{Time: noon, Gap: true}, past.Points[1])
	assert.True(t, past.Points[2].Time.After(noon.Add(time.Minute)))
}

// A Prometheus knows channels by their names: what is older than the channel is another's, and what comes for a channel that was
// made anew meanwhile is not its.
func TestOlderPointsAreOfTheChannelItself(t *testing.T) {
	f := New(noon)
	made := func(c *v1.PubSubChannel) {
		c.UID, c.CreationTimestamp = "second", metav1.NewTime(noon.Add(-time.Minute))
	}
	first, second := channelOf("a", nil), channelOf("a", made)
	depth := int64(1)
	older := []protocol.Point{{Time: noon.Add(-time.Hour), Depth: &depth}, {Time: noon.Add(-30 * time.Second), Depth: &depth}}
	f.See(first, noon)
	f.Prepend(first, older)
	f.See(second, noon)
	assert.False(t, f.Prepended(second), "the history was of the one before")
	past, count, _ := f.Past("shop/a")
	assert.Len(t, past.Points, 1)
	assert.Zero(t, count)
	f.Prepend(first, older) // asked for before it was deleted
	assert.False(t, f.Prepended(second))
	f.Prepend(second, older)
	past, count, _ = f.Past("shop/a")
	require.Len(t, past.Points, 2)
	assert.Equal(t, 1, count)
	assert.Equal(t, noon.Add(-30*time.Second), past.Points[0].Time)
}

// The older points of many channels are bounded together with the others.
func TestOlderPointsAreBounded(t *testing.T) {
	f := New(noon)
	for i := range 6000 {
		f.See(channelOf(fmt.Sprint("c-", i), nil), noon)
	}
	older := make([]protocol.Point, mostPoints)
	for i := range older {
		older[i].Time = noon.Add(time.Duration(i-mostPoints) * time.Second)
	}
	f.Prepend(channelOf("c-0", nil), older)
	past, count, _ := f.Past("shop/c-0")
	assert.Equal(t, fewestPoints, count)
	assert.Equal(t, noon.Add(-time.Second), past.Points[count-1].Time, "the newest are kept")
}

// What somebody changed of a channel is on its time line.
func TestChangesOfTheChannelAreMarked(t *testing.T) {
	f := New(noon)
	kinds := func(generation int64, change func(*v1.PubSubChannel)) (kinds []string) {
		position := &Position{}
		_, _ = f.Channel("shop/a", position)
		f.See(channelOf("a", func(c *v1.PubSubChannel) { c.Generation = generation; change(c) }), noon)
		d, _ := f.Channel("shop/a", position)
		for _, mark := range d.Marks {
			kinds = append(kinds, mark.Kind)
			assert.NotEmpty(t, mark.Words)
		}
		return kinds
	}
	wide := func(c *v1.PubSubChannel) { c.Spec.AutoScaling.MaxReplicas = 20 }
	paused := func(c *v1.PubSubChannel) { wide(c); c.Spec.Paused = true }
	both := func(c *v1.PubSubChannel) { c.Spec.Image, c.Spec.AutoScaling.MaxReplicas = "worker:2", 30 }
	assert.Empty(t, kinds(1, func(*v1.PubSubChannel) {}))
	assert.Equal(t, []string{protocol.MarkSettings}, kinds(2, wide))
	assert.Equal(t, []string{protocol.MarkPaused}, kinds(3, paused))
	assert.Empty(t, kinds(3, paused))
	assert.Equal(t, []string{protocol.MarkResumed}, kinds(4, wide))
	assert.Equal(t, []string{protocol.MarkSettings, protocol.MarkSpec}, kinds(5, both))
	assert.Empty(t, kinds(6, both), "the spec is what it was")
}

func TestConnection(t *testing.T) {
	f := New(noon)
	page := &Cursor{}
	first, err := f.Since(page, noon)
	require.NoError(t, err)
	assert.Equal(t, &protocol.Connection{Up: true, Since: noon}, first.Connection)
	f.Connect(true, "", noon)
	assert.Nil(t, news(t, f, page))
	changed := f.Changed()
	f.Connect(false, "refused", noon.Add(time.Minute))
	select {
	case <-changed:
	default:
		assert.Fail(t, "who waits is not woken")
	}
	f.Connect(false, "no route", noon.Add(2*time.Minute))
	down, err := f.Since(page, noon)
	require.NoError(t, err)
	assert.Equal(t, &protocol.Connection{Since: noon.Add(time.Minute), Problem: "no route"}, down.Connection)
	assert.Nil(t, down.Fleet, "the rows stay")
}
