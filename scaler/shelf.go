package scaler

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/jawaracloud/pubsub-operator/scaler/target"
)

// keepUnasked is how long what stands in a ScaledObject is kept while nobody asks. KEDA asks
// at least every few minutes for as long as there is one.
const keepUnasked = 10 * time.Minute

// objectKey is a ScaledObject's name.
type objectKey struct{ namespace, name string }

// shelf keeps what was read of ScaledObjects. One that was deleted is asked for no more, and
// so forgotten.
type shelf struct {
	mu    sync.RWMutex
	all   map[objectKey]*shelved
	swept time.Time
}

type shelved struct {
	*standing
	asked atomic.Int64 // when, in Unix seconds
}

// get is what stands, if it is of that version.
func (s *shelf) get(key objectKey, version target.Version, now time.Time) *standing {
	s.mu.RLock()
	found := s.all[key]
	s.mu.RUnlock()
	if found == nil || found.version != version {
		return nil
	}
	if second := now.Unix(); found.asked.Load() != second {
		found.asked.Store(second)
	}
	return found.standing
}

func (s *shelf) put(key objectKey, stands *standing, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all, s.swept = map[objectKey]*shelved{}, now
	}
	if now.Sub(s.swept) >= keepUnasked {
		for key, old := range s.all {
			if now.Sub(time.Unix(old.asked.Load(), 0)) >= keepUnasked {
				delete(s.all, key)
			}
		}
		s.swept = now
	}
	kept := &shelved{standing: stands}
	kept.asked.Store(now.Unix())
	s.all[key] = kept
}

func (s *shelf) remove(key objectKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, key)
}
