package scaler

import (
	"maps"
	"sync"
	"time"
)

const (
	// standingIdle is how long a ScaledObject's triggers are kept without a call about them.
	// KEDA calls every 15 to 30 s. Nobody calls about a deleted ScaledObject, and nothing else
	// tells that it is gone: creating and deleting ScaledObjects must not fill the memory.
	standingIdle = 2 * time.Minute
	// maxStandingBytes bounds the metadata that is kept for a ScaledObject. Larger metadata is
	// parsed again in each call. A trigger has about 1 KB, and one with 100 keys about 10 KB.
	maxStandingBytes = 64 << 10
)

// standings are the parsed triggers of the ScaledObjects that calls are about.
type standings struct {
	now func() time.Time

	mu    sync.Mutex
	known map[objectKey]*keptStanding
	swept time.Time
}

type keptStanding struct {
	*standing
	used time.Time
}

func newStandings(now func() time.Time) *standings {
	return &standings{now: now, known: map[objectKey]*keptStanding{}}
}

// get returns what is kept for a ScaledObject, or nil.
func (s *standings) get(key objectKey) *standing {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept, ok := s.known[key]
	if !ok {
		return nil
	}
	kept.used = s.now()
	return kept.standing
}

// keep stores it, and removes what nobody has asked for lately.
func (s *standings) keep(key objectKey, stands *standing) {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.swept) > standingIdle/4 {
		s.swept = now
		maps.DeleteFunc(s.known, func(_ objectKey, kept *keptStanding) bool { return now.Sub(kept.used) > standingIdle })
	}
	if stands.size() > maxStandingBytes {
		delete(s.known, key)
		return
	}
	s.known[key] = &keptStanding{standing: stands, used: now}
}

func (s *standings) remove(key objectKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.known, key)
}

// size is the bytes of the triggers' metadata.
func (s *standing) size() (bytes int) {
	for _, t := range s.triggers {
		for key, value := range t.metadata {
			bytes += len(key) + len(value)
		}
	}
	return bytes
}
