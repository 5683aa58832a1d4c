package translator

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"

	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/scaler/trigger"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
	"github.com/jawaracloud/pubsub-operator/translator/inquiry"
)

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
		q := inquiry.NewQuestion(trigger.Trigger{ChannelName: "a"}, 3, false)
		require.Nil(t, o.follow(key, q))
		assert.EqualValues(t, 3, (<-asked).GetReplicas())
		assert.Equal(t, key, <-o.changed, "the first answer is news")
		assert.EqualValues(t, 7, *o.follow(key, q).Depth())

		// Once more when the scaler's view has settled, then no sooner than 12 s after each
		// answer; the same answer is no news.
		untilAsked := func() time.Duration {
			began := time.Now()
			<-asked
			return time.Since(began)
		}
		assert.Equal(t, explainSettle, untilAsked())
		assert.InDelta(t, 15, untilAsked().Seconds(), 3+0.001)

		q = inquiry.NewQuestion(trigger.Trigger{ChannelName: "a"}, 4, false)
		assert.NotNil(t, o.follow(key, q), "the queue is the same")
		assert.EqualValues(t, 4, (<-asked).GetReplicas())
		assert.Equal(t, key, <-o.changed, "an answer to a new question is news")

		q = inquiry.NewQuestion(trigger.Trigger{ChannelName: "b"}, 4, false)
		assert.Nil(t, o.follow(key, q), "another queue's depth is no answer")
		assert.Equal(t, "b", (<-asked).GetScalerMetadata()["channelName"])
		<-o.changed

		o.forget(key)
		<-time.After(time.Minute) // of the bubble's clock
		assert.Empty(t, asked)
	})
}

// A decision counts anew from when what held it up lets go, and for as long as it stays the
// same.
func TestRestartedAnswers(t *testing.T) {
	fewer := func(since time.Time) *inquiry.Answer {
		a := channeltest.Answered(5, 1, inspectv1.Reason_REASON_BELOW_LOWER_BOUND, "5 → 4")
		a.Response.Action, a.Since = inspectv1.Action_ACTION_SCALE_DOWN, since
		return a
	}
	old := fewer(channeltest.Now.Add(-time.Hour))
	key := types.NamespacedName{Namespace: "shop", Name: "orders"}
	clock := clocktesting.NewFakeClock(channeltest.Now)
	o := newObserver(nil, time.Second, clock)
	o.follow(key, old.Question)
	o.keep(key, old)
	fresh := o.restart(key, old)
	assert.Equal(t, channeltest.Now, fresh.Since)
	assert.Same(t, fresh, o.follow(key, fresh.Question), "kept")
	assert.Same(t, &fresh.Question, o.followed[key].question, "one copy")
	clock.Step(time.Minute)
	o.keep(key, fewer(channeltest.Now))
	assert.Equal(t, channeltest.Now, o.follow(key, fresh.Question).Since, "the same decision")
}
