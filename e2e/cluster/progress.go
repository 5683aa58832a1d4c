package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// announceAfter is how long a step runs before it is worth a line.
const announceAfter = 2 * time.Second

// progress writes one line for each thing that takes a noticeable time, with the seconds
// since the start.
type progress struct {
	mu    sync.Mutex
	out   io.Writer
	start time.Time
}

func newProgress(out io.Writer) *progress { return &progress{out: out, start: time.Now()} }

func (p *progress) say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, "[%3.0f s] %s\n", time.Since(p.start).Seconds(), fmt.Sprintf(format, args...))
}

// step runs one step of at most the given duration, and announces it once it has taken
// announceAfter. The step's name is part of its error.
func (p *progress) step(ctx context.Context, limit time.Duration, name string, run func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	announcement := time.AfterFunc(announceAfter, func() { p.say("%s", name) })
	defer announcement.Stop()
	err := run(ctx)
	if err == nil {
		return nil
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%s: not done after %s: %w", name, limit, err)
	}
	return fmt.Errorf("%s: %w", name, err)
}

// A permanentError ends a poll: waiting longer can't help.
type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }

// poll calls check until it returns nil or a permanentError, or until ctx is done. Then it
// returns check's last error; not the one of a check that ctx itself cut short.
func poll(ctx context.Context, interval time.Duration, check func(context.Context) error) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	var last error
	for {
		err := check(ctx)
		var permanent permanentError
		if err == nil || errors.As(err, &permanent) {
			return err
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", last, ctx.Err())
		case <-ticker.C:
		}
	}
}
