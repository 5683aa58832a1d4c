package chaos

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// deliverAll ends each message once, except those that are left out.
func deliverAll(l *ledger, at time.Time, without ...int) {
	left := map[int]bool{}
	for _, number := range without {
		left[number] = true
	}
	for number := range l.total {
		if !left[number] {
			l.end(l.payloadOf(number), fmt.Sprint("id", number), delivery{at, "w"})
		}
	}
}

func TestTheLedgerMissesWhatNeverCame(t *testing.T) {
	l := newLedger(100, false)
	deliverAll(l, time.Now(), 4, 41, 43)
	require.Equal(t, []string{"4", "2 of 41, 43…79"}, l.missing())
	_, ended := l.counts()
	require.Equal(t, 97, ended)
	deliverAll(l, time.Now())
	require.Empty(t, l.missing())
	require.Len(t, l.extraDeliveries(), 97)
	require.Empty(t, l.foreign)
}

func TestTheLedgerTellsEqualPayloadsApart(t *testing.T) {
	l := newLedger(40, false)
	now := time.Now()
	l.end("g0", "a", delivery{now, "w"})
	l.end("g0", "a", delivery{now.Add(time.Second), "v"})
	require.Equal(t, []extra{{"g0", delivery{now, "w"}, delivery{now.Add(time.Second), "v"}}}, l.extraDeliveries())
	_, ended := l.counts()
	require.Equal(t, 1, ended)
	l.end("x", "b", delivery{now, "w"})
	l.end("m3", "c", delivery{now, "w"})
	require.Equal(t, []string{"x", "m3"}, l.foreign, "no message has these payloads")
	for _, id := range []string{"d", "d", "e"} {
		l.end("m2", id, delivery{now, "w"})
	}
	require.Equal(t, []string{"m2"}, l.renamed)
}

// What was confirmed before a loss says nothing about what the server has after it, however late that is noted.
func TestTheLedgerKnowsWhatTheServerHas(t *testing.T) {
	l := newLedger(10, true)
	asked, known := l.known()
	require.True(t, known, "that nothing is published")
	l.undo(func() {
		during, known := l.known()
		require.False(t, known)
		l.publish(4, during)
		_, known = l.known()
		require.False(t, known)
	})
	_, known = l.known()
	require.False(t, known)
	l.publish(5, asked)
	_, known = l.known()
	require.False(t, known, "that was confirmed before")
	asked, _ = l.known()
	l.publish(3, asked)
	again, known := l.known()
	require.True(t, known)
	require.Equal(t, asked, again)
}

// A publisher that finds all messages there has the ledger know it: what is read until all are delivered is compared, too.
func TestAPublisherThatFindsAllThereHasItKnown(t *testing.T) {
	l := newLedger(10, true)
	p := publisher{kind: queue.List, client: newClient(t, redistest.Start(t).Addr), ledger: l, rate: 1000}
	require.NoError(t, p.run(t.Context()))
	l.undo(func() {})
	require.NoError(t, p.run(t.Context()))
	_, known := l.known()
	require.True(t, known)
	published, _ := l.counts()
	require.Equal(t, 10, published)
}

func TestCauses(t *testing.T) {
	start := time.Now()
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	events := []event{
		{kind: kill, worker: "w", from: at(100), to: at(100)},
		{kind: freeze, worker: "f", from: at(200), to: at(240)},
		{kind: restart, from: at(300), to: at(302)},
		{kind: restart, from: at(400), to: at(440)},
		{kind: term, worker: "t", from: at(500), to: at(501)},
		{kind: oom, from: at(595), to: at(605)},
	}
	for name, test := range map[string]struct {
		before, after delivery
		want          string
	}{
		"killed before it was acknowledged": {delivery{at(99), "w"}, delivery{at(130), "v"}, "kill"},
		"another was killed":                {delivery{at(99), "v"}, delivery{at(130), "u"}, unexplained},
		"killed long after":                 {delivery{at(50), "w"}, delivery{at(130), "v"}, unexplained},
		"frozen, and done by another":       {delivery{at(235), "v"}, delivery{at(241), "f"}, "freeze, longer than the lease"},
		"the server ended":                  {delivery{at(299), "v"}, delivery{at(310), "u"}, "redis"},
		"the server was away for long":      {delivery{at(399), "v"}, delivery{at(450), "u"}, "redis, longer than the lease"},
		"told to end":                       {delivery{at(500), "t"}, delivery{at(502), "u"}, "term"},
		"the server was full":               {delivery{at(600), "v"}, delivery{at(601), "u"}, "oom"},
		"the server was full before":        {delivery{at(640), "v"}, delivery{at(641), "u"}, unexplained},
	} {
		require.Equal(t, test.want, causeOf(extra{"m0", test.before, test.after}, events), name)
	}
}
