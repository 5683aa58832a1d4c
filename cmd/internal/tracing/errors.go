package tracing

import (
	"log/slog"
	"sync"
	"time"
)

// quietTime is the least time between two lines that say that traces can't be sent: while a
// collector is away each batch fails, every 5 s.
const quietTime = 10 * time.Minute

// quietErrors logs the SDK's errors. It is an otel.ErrorHandler.
type quietErrors struct {
	log *slog.Logger
	now func() time.Time

	mu   sync.Mutex
	told time.Time
}

// Handle logs an error as a warning if none was logged of late.
func (q *quietErrors) Handle(err error) {
	now := q.now()
	q.mu.Lock()
	level := slog.LevelDebug
	if q.told.IsZero() || now.Sub(q.told) >= quietTime {
		level, q.told = slog.LevelWarn, now
	}
	q.mu.Unlock()
	if level == slog.LevelWarn {
		q.log.Warn("traces can't be sent, and are lost; the program goes on", "error", err)
		return
	}
	q.log.Debug("traces can't be sent", "error", err)
}
