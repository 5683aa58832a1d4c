package scaler_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/scaler"
	"github.com/jawaracloud/pubsub-operator/scaler/policy"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

// FuzzExplain asks what-if questions, which need neither cluster nor queue: each is
// answered in agreement with itself, or refused as the caller's mistake.
func FuzzExplain(f *testing.F) {
	f.Add("channelName=q", int64(500), int32(3), int64(0))
	f.Add("channelName=q\nminReplicas=0\nmaxReplicas=50\ntargetQueueDepth=1", int64(math.MaxInt64), int32(0), int64(1))
	f.Add("channelName=q\nscaleUpThreshold=2\nscaleDownThreshold=1\nmaxScaleUpStep=50%\nmaxScaleDownStep=none", int64(0), int32(math.MaxInt32), int64(-1))
	f.Add("channelName=q\ncooldownPeriod=86400\nactivationQueueDepth=5", int64(-1), int32(-1), int64(math.MaxInt64))
	f.Add("channelName=q\npolicy=Utilization\nworkerConcurrency=8\nutilizationTarget=60\nutilizationScaleUp=75\nutilizationScaleDown=50\nutilizationWindow=10m", int64(9), int32(3), int64(0))
	f.Add("maxReplicas=ten", int64(0), int32(1), int64(1_700_000_000))
	pool := sampling.NewPool(sampling.Options{})
	f.Cleanup(pool.Close)
	now := time.Unix(1_800_000_000, 0)
	service := scaler.New(scaler.Options{Pool: pool, Now: func() time.Time { return now }})
	f.Fuzz(func(t *testing.T, metadata string, depth int64, replicas int32, lastScale int64) {
		in := &inspectv1.ExplainRequest{
			ScalerMetadata: map[string]string{},
			QueueDepth:     &depth,
			Replicas:       &replicas,
			LastScaleTime:  &timestamppb.Timestamp{Seconds: lastScale},
		}
		for line := range strings.Lines(metadata) {
			key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
			in.ScalerMetadata[key] = value
		}
		out, err := service.Explain(t.Context(), in)
		if err != nil {
			require.Equal(t, codes.InvalidArgument, status.Code(err), "%v", err)
			return
		}
		checkExplanation(t, out)
	})
}

// checkExplanation checks what holds of every answer.
func checkExplanation(t *testing.T, out *inspectv1.ExplainResponse) {
	floor := max(1, out.GetPolicy().GetMinReplicas())
	assert.NotEmpty(t, out.GetExplanation())
	assert.NotEmpty(t, out.GetLastingExplanation())
	assert.NotZero(t, out.GetReason())
	assert.LessOrEqual(t, out.GetLowerBound(), out.GetUpperBound()+1, "at most the rounding apart")
	assert.InDelta(t, out.GetDesiredReplicas(), math.Ceil(out.GetMetricValue()/out.GetTargetQueueDepth()), 0, "what the HPA computes")
	switch out.GetAction() {
	case inspectv1.Action_ACTION_SCALE_UP:
		assert.Greater(t, out.GetDesiredReplicas(), out.GetReplicas())
	case inspectv1.Action_ACTION_SCALE_DOWN:
		assert.Less(t, out.GetDesiredReplicas(), out.GetReplicas())
	case inspectv1.Action_ACTION_HOLD:
		assert.Equal(t, out.GetReplicas(), out.GetDesiredReplicas())
	default:
		t.Errorf("action %v", out.GetAction())
	}
	if out.GetReplicas() > 0 {
		assert.GreaterOrEqual(t, out.GetDesiredReplicas(), floor)
		assert.LessOrEqual(t, out.GetDesiredReplicas(), out.GetPolicy().GetMaxReplicas())
	}
	if out.GetReplicas() > floor {
		assert.True(t, out.GetActive(), "KEDA would go from %d straight to 0", out.GetReplicas())
	}
	assert.LessOrEqual(t, out.GetReplicas(), int32(policy.MaxReplicasLimit))
}
