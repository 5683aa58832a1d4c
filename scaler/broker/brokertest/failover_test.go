//go:build integration

package brokertest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

const (
	loadFor     = 60 * time.Second
	loadEvery   = 100 * time.Millisecond
	loaders     = 3                // publishers, and as many readers
	staleFor    = 5 * time.Second  // after a switch: the longest that an old depth may be told
	recoverIn   = 10 * time.Second // after a switch: the last error; the back-off is 8 s at most
	backlog     = 500              // messages before the load
	firstSwitch = 10 * time.Second
	nextSwitch  = 35 * time.Second
)

// load is publishers that push to the master, and readers of the depth.
type load struct {
	t    *testing.T
	pool *sampling.Pool
	d    *deployment

	mu       sync.Mutex
	master   *redis.Client // nil: nobody publishes just now
	pushed   []pushed      // oldest first
	readings []reading
}

// pushed is how long the queue was at least, as the master had told by then.
type pushed struct {
	at     time.Time
	length int64
}

// reading is what a call of Depth came to.
type reading struct {
	at     time.Time // when it was called
	sample sampling.Sample
	err    error
}

func (l *load) publish(ctx context.Context) {
	l.every(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.master == nil {
			return
		}
		length, err := l.master.LPush(ctx, "q", "x").Result()
		if err == nil {
			l.pushed = append(l.pushed, pushed{time.Now(), length})
		} else if ctx.Err() == nil {
			assert.NoError(l.t, err, "publishing to %s", l.master)
		}
	})
}

func (l *load) read(ctx context.Context) {
	l.every(ctx, func() {
		began := time.Now()
		bounded, cancel := context.WithTimeout(ctx, 2*time.Second) // as the scaler's handlers do
		defer cancel()
		sample, err := l.pool.Depth(bounded, l.d.server, queue.Queue{Key: "q", Kind: queue.List})
		if ctx.Err() != nil {
			return
		}
		assert.Less(l.t, time.Since(began), 3*time.Second)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.readings = append(l.readings, reading{began, sample, err})
	})
}

func (l *load) every(ctx context.Context, do func()) {
	ticker := time.NewTicker(loadEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			do()
		}
	}
}

// to has the publishers push to that server; nil stops them.
func (l *load) to(server *redistest.Server) {
	var client *redis.Client
	if server != nil {
		client = server.Client()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.master = client
}

// change takes the master away and waits for the next. What it has grows no more, and the
// next one's grows on: from the length on which both agree, all that the old one ever told
// is less than what the new one tells.
func (l *load) change(takeAway func(old *redistest.Server)) (switched time.Time, fixed int64) {
	old := l.d.sentinel.Master()
	l.to(nil)
	client := old.Client()
	require.Positive(l.t, client.Wait(l.t.Context(), 1, 10*time.Second).Val())
	fixed = client.LLen(l.t.Context(), "q").Val()
	takeAway(old)
	master := l.d.sentinel.AwaitMaster(l.t, old)
	switched = time.Now()
	require.Equal(l.t, fixed, master.Client().LLen(l.t.Context(), "q").Val(), "nothing was lost")
	l.to(master)
	l.t.Logf("master %s is gone with %d messages; now it is %s", old.Addr, fixed, master.Addr)
	return switched, fixed
}

// A failover by sentinels under load, twice: the master hangs and comes back as one who
// believes that it still is the master, and the next one dies.
func TestFailoverUnderLoad(t *testing.T) {
	t.Parallel()
	d := deploy(t, broker.Sentinel, false, false)
	for _, sentinel := range d.sentinel.Sentinels {
		// As by default, so that a master that comes back is demoted after 8 s only; and no
		// master is given up for the machine's being busy.
		run(t, sentinel.Client(), []any{"SENTINEL", "DEBUG", "PUBLISH-PERIOD", "2000"},
			[]any{"SENTINEL", "SET", d.sentinel.MasterName, "down-after-milliseconds", "3000"})
	}
	l := &load{t: t, d: d, pool: d.pool(t, sampling.Options{Tick: sampling.DefaultTick})}
	run(t, d.client, append([]any{"LPUSH", "q"}, slices.Repeat([]any{"x"}, backlog)...))
	began := time.Now()
	ctx, stop := context.WithTimeout(t.Context(), loadFor)
	defer stop()
	l.to(d.sentinel.Master())
	var wait sync.WaitGroup
	for range loaders {
		wait.Go(func() { l.publish(ctx) })
		wait.Go(func() { l.read(ctx) })
	}
	<-time.After(time.Until(began.Add(firstSwitch)))
	hung, lengthOfHung := l.change((*redistest.Server).Pause)
	for _, server := range d.sentinel.Data {
		server.Resume() // it believes to be the master until the sentinels tell it otherwise
	}
	<-time.After(time.Until(began.Add(nextSwitch)))
	died, lengthOfDead := l.change((*redistest.Server).Kill)
	<-ctx.Done()
	wait.Wait()

	checkAfter(t, "the master hung", l, hung, began.Add(nextSwitch), lengthOfHung)
	checkAfter(t, "the master died", l, died, began.Add(loadFor), lengthOfDead)
	l.checkFreshness(hung, died)
}

// checkAfter looks at what was read between staleFor after a switch and the end.
func checkAfter(t *testing.T, name string, l *load, switched, end time.Time, fixed int64) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	good, failed := 0, 0
	var recovered time.Time
	lastError := switched
	for _, r := range l.readings {
		switch {
		case r.at.Before(switched) || r.at.After(end):
			continue
		case r.err != nil:
			failed++
			lastError = r.at
			assert.ErrorAs(t, r.err, new(*broker.ReadError))
			continue
		case r.sample.Total() > fixed && recovered.IsZero():
			recovered = r.at
		}
		assert.NotZero(t, r.sample.Total(), "an unknown depth is none of 0")
		if r.at.After(switched.Add(staleFor)) {
			good++
			assert.Greater(t, r.sample.Total(), fixed, "%s: %s after the switch, the old master's depth", name, r.at.Sub(switched))
		}
	}
	t.Logf("%s: first depth of the new one %s after the switch, %d good readings from %s on, %d errors, the last %s after it",
		name, recovered.Sub(switched).Round(loadEvery), good, staleFor, failed, lastError.Sub(switched).Round(loadEvery))
	assert.Greater(t, good, 50, "%s: it recovers by itself", name)
	assert.Less(t, lastError.Sub(switched), recoverIn, "%s: no errors after that", name)
}

// checkFreshness asserts that but for staleFor after a switch, no depth is behind what the
// master had told before it was read.
func (l *load) checkFreshness(switches ...time.Time) {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	exempt := func(at time.Time) bool {
		return slices.ContainsFunc(switches, func(s time.Time) bool { return at.After(s) && at.Before(s.Add(staleFor)) })
	}
	behind := 0
	for _, r := range l.readings {
		if r.err != nil || exempt(r.at) {
			continue
		}
		// The last of those told before the sample was read.
		i, _ := slices.BinarySearchFunc(l.pushed, r.sample.At, func(p pushed, at time.Time) int { return p.at.Compare(at) })
		if i > 0 && r.sample.Total() < l.pushed[i-1].length {
			behind++
		}
	}
	l.t.Logf("%d messages pushed, %d readings, %d behind", len(l.pushed), len(l.readings), behind)
	assert.Zero(l.t, behind, "depths that are behind")
}
