package sampling

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
)

// Queues that come while their server can't be reached share the failure of those before
// them, without the connections that would tell what a passed deadline means.
func TestAFailureIsKeptAsItIsDiagnosed(t *testing.T) {
	pool := NewPool(Options{})
	t.Cleanup(pool.Close)
	s := newSampler(pool, "", broker.Server{Address: redistest.StartFull(t)})
	link, err := s.connections.Acquire()
	require.NoError(t, err)
	defer s.connections.Release(link)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go func() { _, _ = link.Round(ctx, "", link.Client(), []redis.Cmder{redis.NewIntCmd(ctx, "llen", "q")}) }() // it fails
	require.Eventually(t, func() bool {
		return errors.As(link.Diagnose("", context.DeadlineExceeded), new(*net.OpError))
	}, time.Minute, time.Millisecond, "it is not being dialled")

	s.first.recordOutcome(link, context.DeadlineExceeded)
	failure := broker.ReadError{Err: s.first.failure}
	assert.Equal(t, broker.Unreachable, failure.Cause(), "%v", s.first.failure)
}
