package delivery

import (
	"sync"
	"time"
)

// rereadAfter is how long what was read of files is used: soon enough for a Secret that is
// replaced, which the kubelet itself notices within a minute, and not for each message.
const rereadAfter = time.Second

// reread is what is made of files that may be replaced. It is safe for concurrent use.
type reread[T any] struct {
	now func() time.Time
	// load reads the files; previous is the last value, at first the zero value.
	load func(previous T) (T, error)

	mu    sync.Mutex
	value T
	err   error
	at    time.Time // when it was read; zero: never, or it is to be read again
	reads int
}

// get returns the value. An error is of now: it is tried again the next time.
func (r *reread[T]) get() (T, error) {
	r.mu.Lock()
	now, known := r.now(), r.err == nil && !r.at.IsZero()
	if known && now.Sub(r.at) < rereadAfter {
		defer r.mu.Unlock()
		return r.value, nil
	}
	if known {
		r.at = now // others go on with what there is meanwhile
	}
	previous, reads := r.value, r.reads
	r.mu.Unlock()
	loaded, err := r.load(previous)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reads != reads && r.err == nil {
		return r.value, nil // somebody else was faster
	}
	r.err, r.at = err, now
	r.reads++
	if err == nil {
		r.value = loaded
	}
	return loaded, err
}

// expire has the files read at the next get.
func (r *reread[T]) expire() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at = time.Time{}
}
