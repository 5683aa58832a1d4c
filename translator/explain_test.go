package translator

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/proto/inspect"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/scaler/trigger"
)

// scalerError is one of the scaler's own.
func scalerError(code codes.Code, message string) error {
	return inspect.Error(code, "Test", message)
}

func TestUnreachable(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want bool
		code codes.Code
	}{
		"the scaler can't reach the broker": {scalerError(codes.Unavailable, "x"), false, codes.Unavailable},
		"the scaler was too slow to read":   {scalerError(codes.DeadlineExceeded, "x"), false, codes.DeadlineExceeded},
		"no connection to the scaler":       {status.Error(codes.Unavailable, "x"), true, codes.Unavailable},
		"no answer in time":                 {status.Error(codes.DeadlineExceeded, "x"), true, codes.DeadlineExceeded},
		"another server":                    {status.Error(codes.Unimplemented, "x"), true, codes.Unimplemented},
		"a code that gRPC never makes":      {status.Error(codes.InvalidArgument, "x"), false, codes.InvalidArgument},
		"no status":                         {errors.New("x"), true, codes.Unknown},
		"a deadline without status":         {context.DeadlineExceeded, true, codes.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			got, code, _ := unreachable(test.err)
			assert.Equal(t, test.want, got)
			assert.Equal(t, test.code, code)
		})
	}
}

func TestReasonName(t *testing.T) {
	assert.Equal(t, "WithinBand", reasonName(inspectv1.Reason_REASON_WITHIN_BAND))
	assert.Equal(t, "FewerWouldExceedUpperBound", reasonName(inspectv1.Reason_REASON_FEWER_WOULD_EXCEED_UPPER_BOUND))
}

func TestAnswersThatSayTheSame(t *testing.T) {
	base := func() *answer {
		return &answer{response: &inspectv1.ExplainResponse{QueueDepth: 5, Reason: inspectv1.Reason_REASON_COOLDOWN, MessageRate: ptr.To(1.2), Explanation: "23 s left"}}
	}
	failed := func(words string) *answer { return &answer{err: scalerError(codes.Unavailable, words)} }
	for name, test := range map[string]struct {
		a, b *answer
		want bool
	}{
		"a cooldown counts down":   {base(), func() *answer { a := base(); a.response.Explanation = "8 s left"; return a }(), true},
		"a rate wavers":            {base(), func() *answer { a := base(); a.response.MessageRate = ptr.To(1.4); return a }(), true},
		"other lasting words":      {base(), func() *answer { a := base(); a.response.LastingExplanation = "x"; return a }(), false},
		"another depth":            {base(), func() *answer { a := base(); a.response.QueueDepth = 6; return a }(), false},
		"another reason":           {base(), func() *answer { a := base(); a.response.Reason = inspectv1.Reason_REASON_IDLE; return a }(), false},
		"a rate is known no more":  {base(), func() *answer { a := base(); a.response.MessageRate = nil; return a }(), false},
		"another question":         {base(), func() *answer { a := base(); a.question.replicas = 9; return a }(), false},
		"a failure":                {base(), failed("x"), false},
		"a failure that counts on": {failed("for 3 s"), failed("for 18 s"), true},
		"another failure":          {failed("refused"), failed("no route"), false},
		"the first":                {base(), nil, false},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, test.want, test.a.sameAs(test.b)) })
	}
}

// explainFunc is an Explainer.
type explainFunc func(context.Context, *inspectv1.ExplainRequest) (*inspectv1.ExplainResponse, error)

func (f explainFunc) Explain(ctx context.Context, request *inspectv1.ExplainRequest) (*inspectv1.ExplainResponse, error) {
	return f(ctx, request)
}

// The observer asks at once, then once per interval, at once again about a new question,
// and no more about what is forgotten.
func TestObserverPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := make(chan *inspectv1.ExplainRequest, 16)
		o := newObserver(explainFunc(func(ctx context.Context, request *inspectv1.ExplainRequest) (*inspectv1.ExplainResponse, error) {
			if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > explainTimeout {
				return nil, errors.New("no deadline")
			}
			asked <- request
			return &inspectv1.ExplainResponse{QueueDepth: 7}, nil
		}), 15*time.Second, clock.RealClock{})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- o.Start(ctx) }()
		defer func() { cancel(); assert.NoError(t, <-ended) }()

		key := types.NamespacedName{Namespace: "shop", Name: "orders"}
		q := newQuestion(trigger.Trigger{ChannelName: "a"}, 3, false)
		require.Nil(t, o.follow(key, q))
		assert.EqualValues(t, 3, (<-asked).GetReplicas())
		assert.Equal(t, key, <-o.changed, "the first answer is news")
		assert.EqualValues(t, 7, *o.follow(key, q).depth())

		// Once more when the scaler's view has settled, then no sooner than 12 s after each
		// answer; the same answer is no news.
		untilAsked := func() time.Duration {
			began := time.Now()
			<-asked
			return time.Since(began)
		}
		assert.Equal(t, explainSettle, untilAsked())
		assert.InDelta(t, 15, untilAsked().Seconds(), 3+0.001)

		q.replicas = 4
		assert.NotNil(t, o.follow(key, q), "the queue is the same")
		assert.EqualValues(t, 4, (<-asked).GetReplicas())
		assert.Equal(t, key, <-o.changed, "an answer to a new question is news")

		q.channelName = "b"
		assert.Nil(t, o.follow(key, q), "another queue's depth is no answer")
		assert.Equal(t, "b", (<-asked).GetScalerMetadata()["channelName"])
		<-o.changed

		o.forget(key)
		<-time.After(time.Minute)
		assert.Empty(t, asked)
	})
}
