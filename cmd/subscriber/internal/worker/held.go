package worker

import (
	"sync"

	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/source"
)

// held bounds the bytes of the messages that a worker has fetched and not ended: those in work, and
// those that were read ahead. How large the next ones are is not known before they are here, so they are
// taken to be like the largest of late; one may always be held, however large.
type held struct {
	most int64     // 0: no limit
	told sync.Once // that it holds something up

	mu       sync.Mutex
	bytes    int64
	messages int
	expected int64 // of one message
}

// firstBatch is how many messages are fetched before it is known how large they are.
const firstBatch = 4

// room is how many more may be fetched, up to limit; 0: none, until some have ended.
func (h *held) room(limit int) int {
	if h.most == 0 {
		return limit
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	fit := (h.most - h.bytes) / max(1, h.expected)
	if h.expected == 0 {
		fit = min(fit, firstBatch)
	}
	if h.messages == 0 {
		fit = max(1, fit)
	}
	return int(max(0, min(int64(limit), fit)))
}

func (h *held) add(batch []source.Message) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range batch {
		size := m.Size()
		h.bytes += size
		h.messages++
		// It falls by a sixteenth with each that is smaller.
		h.expected = max(size, h.expected-h.expected/16)
	}
}

func (h *held) remove(batch ...source.Message) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range batch {
		h.bytes -= m.Size()
		h.messages--
	}
}
