package feed

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/protocol"
)

// later is a clock that can be put forward, as that of a machine that slept.
type later struct{ by atomic.Int64 }

func (l *later) now() time.Time { return time.Now().Add(time.Duration(l.by.Load())) }

// pastOf are the points of a channel.
func pastOf(f *Feed, key string) []protocol.Point {
	past, _, _ := f.fleet.Past(key)
	return past.Points
}

// watching is a feed of shop that watches, with a channel, and its clock. Its watches end only when they are ended.
func watching(t *testing.T, with func(*rhythm)) (*apiServer, *Feed, *later) {
	t.Helper()
	s, clock := newAPIServer(t), &later{}
	s.endless = true
	s.permit("shop", true)
	s.put("shop", "orders", 1)
	f := s.feed()
	f.now, f.local = clock.now, clock.now
	with(&f.rhythm)
	run(t, f, Options{Namespaces: []string{"shop"}})
	require.Eventually(t, func() bool { return s.open("shop") == 1 }, soon, tick)
	s.put("shop", "other", 1)
	require.Eventually(t, func() bool { return shown(f) == "shop/orders shop/other" }, soon, tick, "by the watch")
	require.Equal(t, 1, s.listed("shop"))
	return s, f, clock
}

// While the machine slept nothing was heard, also if the watch's connection still stands: its watch is made anew, and the time is a
// gap, whichever comes first after it: the look for a sleep, or what the watch has to say.
func TestASleepIsAGap(t *testing.T) {
	for name, test := range map[string]struct {
		looks time.Duration
		says  bool
	}{
		"nothing is said":       {tick, false},
		"it is said afterwards": {time.Hour, true},
	} {
		t.Run(name, func(t *testing.T) {
			s, f, clock := watching(t, func(r *rhythm) { r.asleep, r.silence, r.tick = 30*time.Minute, time.Minute, test.looks })
			before := time.Now()
			clock.by.Store(int64(time.Hour))
			if test.says {
				s.put("shop", "orders", 2)
			}
			require.Eventually(t, func() bool { return s.listed("shop") > 1 && len(pastOf(f, "shop/orders")) == 3 }, soon, tick)
			past := pastOf(f, "shop/orders")
			assert.True(t, past[1].Gap)
			assert.False(t, past[1].Time.After(before), "it begins when it was heard last")
			assert.False(t, past[2].Time.Before(before.Add(time.Hour).Truncate(time.Millisecond)), "and ends when it is heard again")
			assert.Equal(t, map[bool]int64{false: 1, true: 2}[test.says], *past[2].Depth)
			assert.EqualValues(t, 1, *past[0].Depth)
		})
	}
}

// A watch that was silent for longer than one that lives, and broke, missed what happened. One that ended well told all, and so did one that
// was quiet for no longer than usual.
func TestABrokenWatchIsAGap(t *testing.T) {
	for name, test := range map[string]struct {
		silent time.Duration
		end    func(*apiServer)
		gap    bool
	}{
		"long, and it broke":      {10 * time.Minute, func(s *apiServer) { s.CloseClientConnections() }, true},
		"a moment, and it broke":  {30 * time.Second, func(s *apiServer) { s.CloseClientConnections() }, false},
		"long, and it ended well": {10 * time.Minute, (*apiServer).endWatches, false},
	} {
		t.Run(name, func(t *testing.T) {
			s, f, clock := watching(t, func(r *rhythm) { r.asleep, r.silence = 24*time.Hour, 5*time.Minute })
			clock.by.Store(int64(test.silent))
			test.end(s)
			require.Eventually(t, func() bool { return s.listed("shop") > 1 && s.open("shop") == 1 }, soon, tick)
			s.put("shop", "orders", 2)
			want := map[bool]int{false: 2, true: 4}[test.gap]
			require.Eventually(t, func() bool {
				past := pastOf(f, "shop/orders")
				return len(past) >= 2 && past[len(past)-1].Depth != nil && *past[len(past)-1].Depth == 2
			}, soon, tick)
			past := pastOf(f, "shop/orders")
			require.Len(t, past, want)
			assert.Equal(t, test.gap, past[1].Gap)
		})
	}
}

// An API server that can't be asked is a gap of the channels that it was asked about, from when it was heard last.
func TestAnAPIServerThatIsAwayIsAGap(t *testing.T) {
	s := newAPIServer(t)
	s.endless = true
	for _, name := range []string{"shop", "bank"} {
		s.permit(name, true)
		s.put(name, "orders", 1)
	}
	f := s.feed()
	run(t, f, Options{Namespaces: []string{"bank", "shop"}})
	require.Eventually(t, func() bool { return s.open("shop") == 1 && s.open("bank") == 1 }, soon, tick)
	s.breakDown("shop", true)
	s.endWatches()
	require.Eventually(t, func() bool { return len(pastOf(f, "shop/orders")) == 2 }, soon, tick)
	detail, _, _ := f.fleet.Past("shop/orders")
	assert.Equal(t, detail.Points[1].Time, detail.Unheard)
	s.breakDown("shop", false)
	require.Eventually(t, func() bool { return len(pastOf(f, "shop/orders")) == 3 && s.listed("bank") > 1 }, soon, tick)
	past := pastOf(f, "shop/orders")
	assert.EqualValues(t, 1, *past[2].Depth)
	assert.True(t, past[2].Time.After(past[1].Time))
	assert.Len(t, pastOf(f, "bank/orders"), 1, "it was heard all the time")
}

// That the cluster's clock is another one is learned while the process runs: it did not sleep.
func TestALearnedClockIsNoSleep(t *testing.T) {
	cluster, local := &later{}, &later{}
	f := newAPIServer(t).feed()
	f.now, f.local = cluster.now, local.now
	f.look()
	woken := f.woken()
	cluster.by.Store(int64(time.Hour))
	f.look()
	select {
	case <-woken:
		require.Fail(t, "it slept")
	default:
	}
	local.by.Store(int64(time.Hour))
	f.look()
	select {
	case <-woken:
	default:
		require.Fail(t, "it did not sleep")
	}
}

// The API server goes away just as all namespaces at once are permitted again: who followed them one by one has ended, and the gap is
// told all the same.
func TestAGapWhileRightsChange(t *testing.T) {
	s := newAPIServer(t, "shop")
	s.permit("", true)
	s.permit("shop", true)
	s.put("shop", "orders", 1)
	f := s.feed()
	w := f.newFollower("", &apart{feed: f, own: "shop"})
	_, err := w.list(t.Context())
	require.NoError(t, err)
	w.refused(t.Context())
	require.Eventually(t, func() bool { return s.open("shop") == 1 }, soon, tick)
	s.breakAfter("")
	_, err = w.list(t.Context())
	require.Error(t, err)
	w.miss()
	past := pastOf(f, "shop/orders")
	require.Len(t, past, 2)
	assert.True(t, past[1].Gap)
}
