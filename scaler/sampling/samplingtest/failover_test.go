//go:build integration

package samplingtest

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
	loadEvery = 100 * time.Millisecond
	loaders   = 3 // publishers, and as many readers
	backlog   = 500
	// steady is how many readings in a row must be good before the next change, and at the end.
	steady = 300
	// patience is for a change and what must follow it: sentinels take 3 s and more to agree,
	// the back-off is 8 s at most, and a machine that is busy may take longer.
	patience = 2 * time.Minute
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
	good     int // readings in a row, the last ones, that were of more messages than least
	least    int64
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
		l.mu.Lock()
		defer l.mu.Unlock()
		l.readings = append(l.readings, reading{began, sample, err})
		if l.good++; err != nil || sample.Total() <= l.least {
			l.good = 0
		}
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
func (l *load) change(takeAway func(old *redistest.Server)) (switched time.Time) {
	old := l.d.sentinel.Master()
	l.to(nil)
	fixed := old.Client().LLen(l.t.Context(), "q").Val()
	l.awaitReplicas(old, fixed)
	takeAway(old)
	master := l.d.sentinel.AwaitMaster(l.t, old)
	switched = time.Now()
	require.Equal(l.t, fixed, master.Client().LLen(l.t.Context(), "q").Val(), "nothing was lost")
	l.mu.Lock()
	l.least, l.good = fixed, 0
	l.mu.Unlock()
	l.to(master)
	l.t.Logf("master %s is gone with %d messages; now it is %s", old.Addr, fixed, master.Addr)
	return switched
}

// awaitReplicas waits until all others are replicas, and have as many messages: each of them may
// be the next master.
func (l *load) awaitReplicas(master *redistest.Server, length int64) {
	l.t.Helper()
	for _, server := range l.d.sentinel.Data {
		if server == master {
			continue
		}
		client := server.Client()
		require.Eventually(l.t, func() bool {
			role, err := client.Do(l.t.Context(), "ROLE").Slice()
			return err == nil && role[0] == "slave" && client.LLen(l.t.Context(), "q").Val() == length
		}, patience, loadEvery, "%s is no replica of %s", server.Addr, master.Addr)
	}
}

// awaitSteady waits until so many readings in a row were good, and returns when the first of
// them began.
func (l *load) awaitSteady(what string) (since time.Time) {
	l.t.Helper()
	require.Eventually(l.t, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.good < steady {
			return false
		}
		since = l.readings[len(l.readings)-l.good].at
		return true
	}, patience, loadEvery, "%s: it does not recover by itself", what)
	return since
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
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	l.to(d.sentinel.Master())
	var wait sync.WaitGroup
	for range loaders {
		wait.Go(func() { l.publish(ctx) })
		wait.Go(func() { l.read(ctx) })
	}
	l.awaitSteady("before")
	hung := l.change((*redistest.Server).Pause)
	for _, server := range d.sentinel.Data {
		server.Resume() // it believes to be the master until the sentinels tell it otherwise
	}
	recovered := l.awaitSteady("the master hung")
	died := l.change((*redistest.Server).Kill)
	again := l.awaitSteady("the master died")
	stop()
	wait.Wait()

	l.check(span{hung, recovered}, span{died, again})
}

// span is the time from a switch to the first reading after which all were good.
type span struct{ from, to time.Time }

// check asserts that an unknown depth is none of 0, and that but for the spans no depth is
// behind what the master had told before it was read.
func (l *load) check(spans ...span) {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	behind, failed := 0, 0
	for _, r := range l.readings {
		if r.err != nil {
			failed++
			assert.ErrorAs(l.t, r.err, new(*broker.ReadError))
			continue
		}
		assert.NotZero(l.t, r.sample.Total(), "an unknown depth is none of 0")
		if slices.ContainsFunc(spans, func(s span) bool { return r.at.After(s.from) && r.at.Before(s.to) }) {
			continue
		}
		// The last of those told before the sample was read.
		i, _ := slices.BinarySearchFunc(l.pushed, r.sample.At, func(p pushed, at time.Time) int { return p.at.Compare(at) })
		if i > 0 && r.sample.Total() < l.pushed[i-1].length {
			behind++
		}
	}
	for _, s := range spans {
		l.t.Logf("%s from the switch to the first reading after which all were good", s.to.Sub(s.from).Round(loadEvery))
	}
	l.t.Logf("%d messages pushed, %d readings, %d errors, %d behind", len(l.pushed), len(l.readings), failed, behind)
	assert.Zero(l.t, behind, "depths that are behind")
}
