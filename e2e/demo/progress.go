package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// announceEvery is how often a step that takes long says that it is still under way.
const announceEvery = 5 * time.Second

// progress writes lines that begin with the seconds since the demo's start.
type progress struct {
	mu    sync.Mutex
	out   io.Writer
	now   func() time.Time
	start time.Time
}

func newProgress(out io.Writer, now func() time.Time) *progress {
	return &progress{out: out, now: now, start: now()}
}

// elapsed is the time since the demo's start.
func (p *progress) elapsed() time.Duration { return p.now().Sub(p.start) }

func (p *progress) say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.out, "%s %s\n", stamp(p.elapsed()), fmt.Sprintf(format, args...))
}

func stamp(elapsed time.Duration) string { return fmt.Sprintf("[%3.0f s]", elapsed.Seconds()) }

// step runs one step of at most the given duration. It says so at the beginning, and every
// few seconds what look, if there is one, sees of it. The step's name is part of its error.
func (p *progress) step(ctx context.Context, limit time.Duration, name string, look func(context.Context) string, run func(context.Context) error) error {
	p.say("%s", name)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	ticker := time.NewTicker(announceEvery)
	defer ticker.Stop()
	for {
		select {
		case err := <-done:
			if err == nil {
				return nil
			}
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return fmt.Errorf("%s: not done after %s: %w", name, limit, err)
			}
			return fmt.Errorf("%s: %w", name, err)
		case <-ticker.C:
			words := ""
			if look != nil {
				words = ": " + look(ctx)
			}
			p.say("  … still at it%s", words)
		}
	}
}
