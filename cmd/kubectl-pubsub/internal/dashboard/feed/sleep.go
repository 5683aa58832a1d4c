package feed

import (
	"context"
	"sync"
	"time"
)

// sleep is what is known of the times in which this process did not run, as on a laptop that is closed. A watch does not tell of
// them: its connection may be dead, or what was sent meanwhile comes at once when the process runs again, as if it
// happened now.
type sleep struct {
	mu    sync.Mutex
	awake time.Time     // when it last ran; zero: nobody looked yet
	over  chan struct{} // closed when the next one is over
}

// wall is the time of day. Without that, times are compared by a clock that stands still while the machine sleeps.
func (f *Feed) wall() time.Time { return f.now().Round(0) }

// findSleeps looks again and again, until the context ends.
func (f *Feed) findSleeps(ctx context.Context) {
	ticker := time.NewTicker(f.rhythm.tick)
	defer ticker.Stop()
	for {
		f.look()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// look takes that the process runs.
func (f *Feed) look() {
	now := f.local().Round(0)
	s := &f.sleep
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.awake.IsZero() && now.Sub(s.awake) >= f.rhythm.asleep {
		close(s.over)
		s.over = make(chan struct{})
	}
	s.awake = now
}

// woken is closed when the process runs again after a sleep.
func (f *Feed) woken() <-chan struct{} {
	f.sleep.mu.Lock()
	defer f.sleep.mu.Unlock()
	return f.sleep.over
}
