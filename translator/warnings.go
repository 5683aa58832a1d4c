package translator

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// warningInterval is how long a channel is not warned again for the same reason. A server that
// comes and goes would otherwise be an event each time.
const warningInterval = 10 * time.Minute

// lastWarnings are when channels were last warned, by reason. A restart forgets them, which costs
// one event more. The zero value is ready for use.
type lastWarnings struct {
	mu   sync.Mutex
	last map[types.NamespacedName]map[string]time.Time
}

// due reports whether a warning is to be written, and takes down that it is.
func (w *lastWarnings) due(channel types.NamespacedName, reason string, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if last, warned := w.last[channel][reason]; warned && now.Sub(last) < warningInterval && !now.Before(last) { // or the clock was put back
		return false
	}
	if w.last == nil {
		w.last = map[types.NamespacedName]map[string]time.Time{}
	}
	if w.last[channel] == nil {
		w.last[channel] = map[string]time.Time{}
	}
	w.last[channel][reason] = now
	return true
}

func (w *lastWarnings) forget(channel types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.last, channel)
}
