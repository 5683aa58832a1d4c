package translator

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
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

// What changes a little with each answer is held against what was told, and is told once it has
// changed enough. An answer that tells nothing new is not kept.
func TestWhatChangesALittleEachTimeIsToldInTheEnd(t *testing.T) {
	key := types.NamespacedName{Namespace: "shop", Name: "orders"}
	o := newObserver(nil, time.Second, clocktesting.NewFakeClock(channeltest.Now))
	busy := func(mean float64) *inquiry.Answer {
		a := channeltest.Answered(5, 100, inspectv1.Reason_REASON_WITHIN_BAND, "holding")
		a.Response.Busy = &mean
		return a
	}
	first := busy(20)
	o.follow(key, first.Question)
	require.True(t, o.keep(key, first))
	var told []float64
	for mean := 20.5; mean < 27; mean += 0.5 {
		if o.keep(key, busy(mean)) {
			told = append(told, mean)
		}
		assert.InDelta(t, append([]float64{20}, told...)[len(told)], *o.followed[key].answer.Response.Busy, 0)
	}
	assert.Equal(t, []float64{22.5, 25}, told, "each more than 10 % from the one before")
}

// Of an answer, what the status tells is kept, and no more.
func TestSlimAnswersTellTheSameDecision(t *testing.T) {
	answer := channeltest.Answered(5, 100, inspectv1.Reason_REASON_COOLDOWN, "holding")
	r := answer.Response
	r.Explanation, r.CooldownLeft, r.Keys, r.Policy = "holding: 5 s left", durationpb.New(5*time.Second), []*inspectv1.KeyDepth{{Key: "orders"}}, &inspectv1.Policy{MaxReplicas: 5, UtilizationWindow: durationpb.New(2 * time.Minute)}
	r.SampleAge, r.LastScaleTime, r.OldestAge = durationpb.New(time.Second), timestamppb.New(channeltest.Now), durationpb.New(time.Minute)
	r.Arithmetic, r.Remarks, r.Busy, r.BusyOverWindow, r.WindowSeen = "x", "; y", new(2.0), new(2.5), durationpb.New(time.Minute)
	whole := answer.Decision()
	require.NotNil(t, whole.Window)
	slim(r)
	assert.Equal(t, whole, answer.Decision())
	assert.Empty(t, r.GetKeys())
	assert.Zero(t, r.GetPolicy().GetMaxReplicas())
	assert.Empty(t, r.GetExplanation())
}
