package scaler_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/jawaracloud/pubsub-operator/internal/declared"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/scaler/policy"
)

// deciding is how a decision comes about. The target is 100, the bounds 150 % and 50 %, and
// the limits 1 and 10, where pairs say nothing else.
type deciding struct {
	replicas int32
	depth    int64 // of the request; -1: what is read counts
	pairs    []string
	prepare  func(t *testing.T, f *fixture)
	scaled   bool          // just now, so that the cooldown runs
	seen     time.Duration // for how long the queue was watched before
	action   inspectv1.Action
}

const (
	up   = inspectv1.Action_ACTION_SCALE_UP
	down = inspectv1.Action_ACTION_SCALE_DOWN
	hold = inspectv1.Action_ACTION_HOLD
)

var decisions = map[policy.Reason]deciding{
	policy.WithinBand:                 {replicas: 3, depth: 300, action: hold},
	policy.AboveUpperBound:            {replicas: 3, depth: 500, action: up},
	policy.BelowLowerBound:            {replicas: 10, depth: 100, action: down},
	policy.Cooldown:                   {replicas: 3, depth: 500, scaled: true, action: hold},
	policy.AtMaxReplicas:              {replicas: 10, depth: 5000, action: hold},
	policy.AtMinReplicas:              {replicas: 1, depth: 0, action: hold},
	policy.FewerWouldExceedUpperBound: {replicas: 2, depth: 90, pairs: []string{"scaleUpThreshold", "60"}, action: hold},
	policy.Activation:                 {replicas: 0, depth: 1, pairs: []string{"minReplicas", "0"}, action: up},
	policy.Idle:                       {replicas: 0, depth: 0, pairs: []string{"minReplicas", "0"}, action: hold},
	policy.OutsideLimits:              {replicas: 20, depth: 2000, action: down},
	policy.AboveMaxAge: {replicas: 3, depth: -1, pairs: []string{"queueType", "SortedSet", "score", "UnixSeconds", "maxAge", "1m"}, action: up,
		prepare: func(t *testing.T, f *fixture) { f.run(t, []any{"ZADD", "q", time.Now().Add(-time.Hour).Unix(), "a"}) }},
	policy.DepthUncertain: {replicas: 10, depth: -1, pairs: []string{"queueType", "Stream", "targetQueueDepth", "1000000"}, action: hold,
		prepare: func(t *testing.T, f *fixture) {
			take := f.backlog(t)
			f.tombstone(t)
			take(10)
		}},
	policy.AboveUtilization: {replicas: 3, depth: -1, pairs: utilization(), seen: 6 * time.Second, action: up,
		prepare: func(t *testing.T, f *fixture) { f.holdInStream(t, 3, 0) }},
	policy.WorkersBusy: {replicas: 3, depth: -1, pairs: utilization(), seen: 18 * time.Second, action: hold,
		prepare: func(t *testing.T, f *fixture) { f.holdInStream(t, 2, 0) }},
	policy.WindowIncomplete: {replicas: 3, depth: -1, pairs: utilization(), seen: 6 * time.Second, action: hold,
		prepare: func(t *testing.T, f *fixture) { f.holdInStream(t, 0, 0) }},
}

// Each reason and each action of the policy's reaches who asks, by the name that it has there.
func TestEveryReasonReachesTheCaller(t *testing.T) {
	actions := map[inspectv1.Action]bool{}
	for name, reason := range declared.Constants[policy.Reason](t) {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, name, string(reason))
			require.Contains(t, decisions, reason, "how does it come about?")
			d := decisions[reason]
			f, skip := newSkippingFixture(t)
			if d.prepare != nil {
				d.prepare(t, f)
			}
			f.targets.stand(f.metadata(d.pairs...))
			request := &inspectv1.ExplainRequest{Name: "orders", Namespace: "shop", Replicas: &d.replicas, LastScaleTime: &timestamppb.Timestamp{}}
			if d.depth >= 0 {
				request.QueueDepth = &d.depth
			}
			if d.scaled {
				request.LastScaleTime = timestamppb.Now()
			}
			if d.seen > 0 {
				_, err := f.inspector.Explain(t.Context(), request)
				require.NoError(t, err)
				skip(d.seen)
			}
			got, err := f.inspector.Explain(t.Context(), request)
			require.NoError(t, err)
			assert.Equal(t, strings.ToUpper(name), strings.ReplaceAll(strings.TrimPrefix(got.GetReason().String(), "REASON_"), "_", ""), got.GetExplanation())
			assert.Equal(t, d.action, got.GetAction(), got.GetExplanation())
			checkExplanation(t, got)
			decided := reason == policy.AboveUpperBound || reason == policy.BelowLowerBound || reason == policy.Cooldown || reason == policy.AboveUtilization
			assert.Equal(t, decided, got.GetArithmetic() != "", "%q", got.GetArithmetic())
			actions[got.GetAction()] = true
		})
	}
	assert.Len(t, actions, len(declared.Values[policy.Action](t)), "an action that no reason has")
	assert.Len(t, decisions, len(inspectv1.Reason_name)-1, "all but UNSPECIFIED")
	assert.Len(t, actions, len(inspectv1.Action_name)-1, "all but UNSPECIFIED")
}
