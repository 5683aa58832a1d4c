package delivery

import (
	"sync"

	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/source"
)

// maxFailures bounds how many messages' failures are remembered.
const maxFailures = 1000

// failures remembers why messages failed, until they are done. Of too many it forgets some.
// It is safe for concurrent use.
type failures struct {
	mu      sync.Mutex
	reasons map[identity]string
}

// identity is that of a message among those of all queues.
type identity struct{ key, id string }

func (f *failures) last(m source.Message) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reasons[identity{m.Key, m.ID}]
}

// note notes how a delivery ended. final is where no other will follow.
func (f *failures) note(m source.Message, err error, final bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil || final {
		delete(f.reasons, identity{m.Key, m.ID})
		return
	}
	if f.reasons == nil {
		f.reasons = map[identity]string{}
	}
	for other := range f.reasons {
		if len(f.reasons) < maxFailures {
			break
		}
		delete(f.reasons, other)
	}
	f.reasons[identity{m.Key, m.ID}] = err.Error()
}
