package scaler_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jawaracloud/pubsub-operator/internal/declared"
	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/scaler"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

// faultySecrets is a reader of Secrets that has a fault.
type faultySecrets struct{}

func (faultySecrets) Secret(context.Context, string, string) (map[string][]byte, error) {
	panic("a fault")
}

// failing is how a read comes to fail.
type failing struct {
	code    codes.Code
	options sampling.Options
	prepare func(t *testing.T, f *fixture, pool *sampling.Pool)
	// address of the server; empty: the fixture's.
	address func(t *testing.T) string
	pairs   []string
}

// answering is the address of a server that gives every command this answer.
func answering(answer redistest.Answer) func(*testing.T) string {
	return func(t *testing.T) string { return redistest.StartScripted(t, redistest.AfterHello(answer)).Addr }
}

// refusing is one whose every answer is this error.
func refusing(words string) func(*testing.T) string {
	return answering(func(to io.Writer, _ []string, _ <-chan struct{}) {
		_, _ = io.WriteString(to, "-"+words+"\r\n") // the client may be gone
	})
}

func at(address string) func(*testing.T) string { return func(*testing.T) string { return address } }

// allFailures has one way to fail for each cause, with the code by which a caller knows what
// to do (docs/decisions, "There is one gRPC code for each cause of an error").
func allFailures(t *testing.T) map[broker.Cause]failing {
	allowed, err := broker.ParseAllowlist("*.svc")
	require.NoError(t, err)
	secret := []string{"passwordFromSecret", "redis-auth"}
	return map[broker.Cause]failing{
		broker.Unreachable: {code: codes.Unavailable, address: at("127.0.0.1:1")},
		broker.UnknownHost: {code: codes.NotFound, address: at("nowhere.invalid:6379"), options: sampling.Options{Options: broker.Options{
			ReadTimeout: deadline, Resolver: redistest.Zone{}.Resolver(t), // it knows no name
		}}},
		broker.Slow:             {code: codes.DeadlineExceeded, address: answering(redistest.Hostile["silence"])},
		broker.Loading:          {code: codes.Unavailable, address: refusing("LOADING Redis is loading the dataset in memory")},
		broker.Unauthorized:     {code: codes.Unauthenticated, address: refusing("NOAUTH Authentication required.")},
		broker.Forbidden:        {code: codes.PermissionDenied, address: refusing("NOPERM this user has no permissions to run the 'llen' command")},
		broker.NotAllowed:       {code: codes.PermissionDenied, options: sampling.Options{Options: broker.Options{Allowed: allowed}}},
		broker.SecretUnreadable: {code: codes.FailedPrecondition, pairs: secret},
		broker.StaleReplica:     {code: codes.Unavailable, address: refusing("READONLY You can't write against a read only replica.")},
		broker.TLSFailed:        {code: codes.Unauthenticated, pairs: []string{"tls", "true"}},
		broker.ClusterDown:      {code: codes.Unavailable, address: refusing("CLUSTERDOWN The cluster is down")},
		broker.WrongType:        {code: codes.FailedPrecondition, prepare: running([]any{"SADD", "q", "a"})},
		broker.NoGroup: {code: codes.FailedPrecondition, prepare: running(
			[]any{"XGROUP", "CREATE", "q", "a", "0", "MKSTREAM"}, []any{"XGROUP", "CREATE", "q", "b", "0"})},
		broker.AgeUnknown:     {code: codes.FailedPrecondition, prepare: running([]any{"LPUSH", "q", "a"}), pairs: []string{"maxAge", "1m"}},
		broker.ReplyTooLarge:  {code: codes.FailedPrecondition, address: answering(redistest.Hostile["a string of 2 GiB"])},
		broker.ReplyBudget:    {code: codes.ResourceExhausted, options: sampling.Options{Options: broker.Options{ReadTimeout: deadline}}, prepare: fillBudget},
		broker.NotRedis:       {code: codes.FailedPrecondition, address: answering(redistest.Hostile["a banner"])},
		broker.TooManyServers: {code: codes.ResourceExhausted, options: sampling.Options{MaxServersPerNamespace: 1}, prepare: watchAnother},
		broker.Fault:          {code: codes.Internal, options: sampling.Options{Options: broker.Options{Secrets: faultySecrets{}}}, pairs: secret},
		broker.Unreadable:     {code: codes.Internal, address: refusing("ERR something else")},
	}
}

func running(commands ...[]any) func(*testing.T, *fixture, *sampling.Pool) {
	return func(t *testing.T, f *fixture, _ *sampling.Pool) { f.run(t, commands...) }
}

// watchAnother takes the only place that the namespace has.
func watchAnother(t *testing.T, f *fixture, pool *sampling.Pool) {
	subscription, err := pool.For("shop").Subscribe(broker.Server{Address: f.server.Addr, Database: 1}, queue.Queue{Key: "q", Kind: queue.List})
	require.NoError(t, err)
	t.Cleanup(subscription.Close)
}

// fillBudget has the namespace's other servers take all that its replies may hold, and makes q
// a stream whose entries need some.
func fillBudget(t *testing.T, f *fixture, pool *sampling.Pool) {
	for range 2 {
		entry := &redis.XAddArgs{Stream: "q", Values: []string{"payload", strings.Repeat("x", 200<<10)}}
		require.NoError(t, f.redis.XAdd(t.Context(), entry).Err())
	}
	for _, bytes := range []int{8 << 20, 8 << 20, 190_000} {
		hostile := redistest.StartScripted(t, redistest.AfterHello(func(to io.Writer, _ []string, done <-chan struct{}) {
			_, _ = fmt.Fprintf(to, "$%d\r\n", bytes) // the client may be gone
			<-done
		}))
		subscription, err := pool.For("shop").Subscribe(broker.Server{Address: hostile.Addr}, queue.Queue{Key: "q", Kind: queue.List})
		require.NoError(t, err)
		t.Cleanup(subscription.Close)
	}
	full := func() bool {
		_, err := pool.For("shop").Depth(t.Context(), broker.Server{Address: f.server.Addr}, queue.Queue{Key: "q", Kind: queue.Stream})
		var failure *broker.ReadError
		return errors.As(err, &failure) && failure.Cause() == broker.ReplyBudget
	}
	require.Eventually(t, full, deadline, tick)
}

// Each cause of a failed read is an error of its own for whoever asks, and never OK with a
// depth of 0. A fleet of 5 whose queue can't be read stays one of 5.
func TestEveryCauseReachesTheCaller(t *testing.T) {
	failures := allFailures(t)
	for _, cause := range declared.Values[broker.Cause](t) {
		t.Run(string(cause), func(t *testing.T) {
			t.Parallel()
			require.Contains(t, failures, cause, "how does it come about?")
			failure := failures[cause]
			options := failure.options
			options.Tick = tick
			switch {
			case options.ReadTimeout != 0:
			case cause == broker.Slow || cause == broker.TLSFailed: // the server says nothing
				options.ReadTimeout = 500 * time.Millisecond
			default:
				options.ReadTimeout = deadline
			}
			pool := sampling.NewPool(options)
			t.Cleanup(pool.Close)
			// Without a cluster, so that a caller without a certificate may name Secrets.
			f := newFixture(t, func(o *scaler.Options) { o.Pool, o.Targets = pool, nil })
			if failure.prepare != nil {
				failure.prepare(t, f, pool)
			}
			pairs := append(failure.pairs, "currentReplicas", "5")
			if failure.address != nil {
				pairs = append(pairs, "redisAddress", failure.address(t))
			}
			ref := &externalscaler.ScaledObjectRef{Name: "orders", Namespace: "shop", ScalerMetadata: f.metadata(pairs...)}
			checkFailure := func(call func() error) {
				t.Helper()
				var err error
				require.Eventually(t, func() bool { // a machine that is busy may take longer than a call may
					err = call()
					return failure.code == codes.DeadlineExceeded || status.Code(err) != codes.DeadlineExceeded
				}, deadline, tick)
				got := status.Convert(err)
				require.Equal(t, failure.code, got.Code(), "%v", err)
				require.Len(t, got.Details(), 1)
				info, ok := got.Details()[0].(*errdetails.ErrorInfo)
				require.True(t, ok)
				assert.Equal(t, string(cause), info.GetReason(), "%v", err)
			}
			checkFailure(func() error {
				_, err := f.GetMetrics(t.Context(), &externalscaler.GetMetricsRequest{ScaledObjectRef: ref})
				return err
			})
			checkFailure(func() error {
				_, err := f.IsActive(t.Context(), ref)
				return err
			})
			checkFailure(func() error {
				_, err := f.inspector.Explain(t.Context(), &inspectv1.ExplainRequest{Name: "orders", Namespace: "shop", ScalerMetadata: ref.GetScalerMetadata()})
				return err
			})
		})
	}
}
