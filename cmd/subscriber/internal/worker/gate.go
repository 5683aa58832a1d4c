package worker

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/delivery"
)

const (
	// firstProbe and lastProbe bound the time between two messages that are tried while the
	// handler is unavailable and does not say for how long.
	firstProbe, lastProbe = 500 * time.Millisecond, 5 * time.Second
	// gateInterval is how often a lane looks whether it may take messages again.
	gateInterval = 100 * time.Millisecond
	// quietAfterLog is how long a handler that comes and goes is not logged again.
	quietAfterLog = time.Minute
)

// gate stops the intake while the handler is away or overloaded, except for one message at a
// time that tries it.
type gate struct {
	log       *slog.Logger
	available prometheus.Gauge

	mu       sync.Mutex
	closed   bool
	probing  bool      // one message is on its way
	failures int       // probes that failed, one after the other
	next     time.Time // when another may be tried
	since    time.Time // when it closed
	told     time.Time // when that was last logged
	quiet    bool      // it closed so soon after that it was not
}

// enter waits until messages may be taken, and tells whether it may be but one, which probes the
// handler: settle or abandon must follow. It is false where ctx ended.
func (g *gate) enter(ctx context.Context) (probe, ok bool) {
	for ctx.Err() == nil {
		g.mu.Lock()
		now := time.Now()
		switch {
		case !g.closed:
			g.mu.Unlock()
			return false, true
		case !g.probing && !now.Before(g.next):
			g.probing = true
			g.mu.Unlock()
			return true, true
		}
		g.mu.Unlock()
		pause(ctx, gateInterval)
	}
	return false, false
}

// shut tells whether no messages may be taken but those that probe the handler: it may have closed since enter.
func (g *gate) shut() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.closed
}

// abandon says that no message was found to probe with.
func (g *gate) abandon() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.probing = false
}

// settle notes whether the handler was available: away is nil if it was.
func (g *gate) settle(away *delivery.Unavailable) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	switch {
	case away == nil && g.closed:
		g.closed, g.probing, g.failures = false, false, 0
		g.available.Set(1)
		if !g.quiet {
			g.log.Info("the handler is available again", "after", now.Sub(g.since).Round(time.Millisecond))
		}
	case away == nil:
	case !g.closed:
		g.closed, g.since = true, now
		g.next = now.Add(max(backOff(firstProbe, lastProbe, 0), away.RetryAfter))
		g.available.Set(0)
		g.quiet = !g.told.IsZero() && now.Sub(g.told) < quietAfterLog
		if !g.quiet {
			g.told = now
			g.log.Warn("the handler is away or overloaded: no messages are taken until it is available, and none counts as failed", "error", away)
		}
	case g.probing:
		g.probing = false
		g.failures++
		g.next = now.Add(max(backOff(firstProbe, lastProbe, g.failures), away.RetryAfter))
	}
}
