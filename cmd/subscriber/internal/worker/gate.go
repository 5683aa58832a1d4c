package worker

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// firstProbe and lastProbe bound the time between two messages that are tried while the
	// handler can't be reached.
	firstProbe, lastProbe = 500 * time.Millisecond, 5 * time.Second
	// gateInterval is how often a lane looks whether it may take messages again.
	gateInterval = 100 * time.Millisecond
	// quietAfterLog is how long a handler that comes and goes is not told of again.
	quietAfterLog = time.Minute
)

// gate stops the intake while the handler can't be reached, but for one message at a time
// that tries it.
type gate struct {
	log       *slog.Logger
	reachable prometheus.Gauge

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

// abandon says that no message was found to probe with.
func (g *gate) abandon() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.probing = false
}

// settle notes whether the handler was reached.
func (g *gate) settle(reached bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	switch {
	case reached && g.closed:
		g.closed, g.probing, g.failures = false, false, 0
		g.reachable.Set(1)
		if !g.quiet {
			g.log.Info("the handler can be reached again", "after", now.Sub(g.since).Round(time.Millisecond))
		}
	case reached:
	case !g.closed:
		g.closed, g.since, g.next = true, now, now.Add(backOff(firstProbe, lastProbe, 0))
		g.reachable.Set(0)
		g.quiet = !g.told.IsZero() && now.Sub(g.told) < quietAfterLog
		if !g.quiet {
			g.told = now
			g.log.Warn("the handler can't be reached: no messages are taken until it can, and none is counted as failed", "error", err)
		}
	case g.probing:
		g.probing = false
		g.failures++
		g.next = now.Add(backOff(firstProbe, lastProbe, g.failures))
	}
}
