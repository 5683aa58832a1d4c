package scaler_test

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

// A namespace has as many servers watched as it may; the caller hears which limit it met.
func TestServersOfANamespace(t *testing.T) {
	pool := sampling.NewPool(sampling.Options{Tick: tick, MaxServersPerNamespace: 1})
	t.Cleanup(pool.Close)
	f := newFixture(t, func(o *scaler.Options) { o.Pool = pool })
	_, err := f.explain(t)
	require.NoError(t, err)
	_, err = f.explain(t, "database", "1")
	assert.Equal(t, codes.ResourceExhausted, status.Code(err), "%v", err)
	assert.ErrorContains(t, err, "namespace shop has 1 servers watched already")
	_, err = f.explain(t)
	require.NoError(t, err, "the one that it has")
}

// What a server sends is the fault of its tenant, and that is what the caller hears.
func TestRepliesThatAreNone(t *testing.T) {
	pool := sampling.NewPool(sampling.Options{Tick: tick, Options: broker.Options{ReadTimeout: 10 * time.Second}})
	t.Cleanup(pool.Close)
	f := newFixture(t, func(o *scaler.Options) { o.Pool = pool })
	for reply, reason := range map[string]string{
		"*9223372036854775800\r\n": "BrokerReplyTooLarge",
		"HTTP/1.1 400\r\n":         "BrokerNotRedis",
	} {
		hostile := redistest.StartScripted(t, func(to io.Writer, _ []string, _ <-chan struct{}) {
			_, _ = io.WriteString(to, reply) // the client may be gone
		})
		_, err := f.explain(t, "redisAddress", hostile.Addr)
		assert.Equal(t, codes.FailedPrecondition, status.Code(err), "%v", err)
		require.NotEmpty(t, status.Convert(err).Details())
		info, ok := status.Convert(err).Details()[0].(*errdetails.ErrorInfo)
		require.True(t, ok)
		assert.Equal(t, reason, info.GetReason())
	}
}
