package scaler

import (
	"maps"
	"sync"
	"time"
)

const (
	// standingIdle is how long what stands in a ScaledObject is kept without being asked for.
	// KEDA asks every 15 to 30 s. What is gone from the cluster is asked for no more, and
	// nothing else tells: whoever makes and deletes ScaledObjects must not fill the memory.
	standingIdle = 2 * time.Minute
	// maxStandingBytes bounds the metadata of a ScaledObject that is kept; that of a larger one
	// is read anew in each call. A trigger has some 1 KB, and one of 100 keys some 10.
	maxStandingBytes = 64 << 10
)

// standings is what stands in the ScaledObjects that are asked about, as it was read.
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

// get returns what is known of a ScaledObject; nil where that is nothing.
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

// keep remembers it, and forgets what nobody asked for lately.
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
