package broker

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
)

// Queues that come while their server can't be reached share the failure of those before
// them, without the connections that would tell what a passed deadline means.
func TestAFailureIsKeptAsItIsTold(t *testing.T) {
	var running sync.WaitGroup
	s := newSampler(t.Context(), Server{Address: "127.0.0.1:1"}, Options{}.withDefaults(), &running)
	used := &link{server: s.server, words: newWords(s.server, material{})}
	used.node("").dialing.Store(true)
	s.first.failed(used, context.DeadlineExceeded)
	assert.Equal(t, Unreachable, causeOf(s.first.failure), "%v", s.first.failure)
	assert.Equal(t, s.first.failure, used.told("", s.first.failure), "once")
	used.node("").dialing.Store(false)
	s.first.failed(used, context.DeadlineExceeded)
	assert.Equal(t, Slow, causeOf(s.first.failure), "it was reached")
}
