package hpa_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/kubernetes/pkg/apis/autoscaling"
	defaults "k8s.io/kubernetes/pkg/apis/autoscaling/v2"
	"k8s.io/kubernetes/pkg/apis/autoscaling/validation"

	"github.com/jawaracloud/pubsub-operator/scaler/policy"
	"github.com/jawaracloud/pubsub-operator/translator/behavior"
)

// The API server takes the behavior of every legal policy, and has nothing to add to it.
func TestAPIServerTakesEveryBehavior(t *testing.T) {
	r := rand.New(rand.NewPCG(*seed, 0))
	t.Logf("seed %d, %d cases", *seed, *cases)
	for range 50 * *cases {
		spec := randomSpec(r, policy.MaxReplicasLimit)
		if r.IntN(10) == 0 {
			spec.Cooldown = time.Duration(r.IntN(86401)) * time.Second
		}
		require.NoError(t, spec.Validate())
		applied := newHPA(max(1, spec.MinReplicas), spec.MaxReplicas, float64(spec.TargetQueueDepth), behavior.For(spec))
		defaulted := applied.DeepCopy()
		defaults.SetDefaults_HorizontalPodAutoscaler(defaulted)
		require.Equal(t, applied, defaulted)
		var internal autoscaling.HorizontalPodAutoscaler
		require.NoError(t, defaults.Convert_v2_HorizontalPodAutoscaler_To_autoscaling_HorizontalPodAutoscaler(defaulted, &internal, nil))
		refused := validation.ValidateHorizontalPodAutoscaler(&internal, validation.HorizontalPodAutoscalerSpecValidationOptions{MinReplicasLowerBound: 1})
		require.Emptyf(t, refused, "%+v: %s", spec, describe(applied.Spec.Behavior))
	}
}

// Two scalings are never closer than the cooldown less one second, because lastScaleTime
// has whole seconds; and under a load that always asks for more, or always for less, the
// next scaling comes with the first sync after the cooldown: the periods of the HPA's own
// policies delay nothing.
func TestScalingsComeAsSoonAsTheCooldownIsOver(t *testing.T) {
	scalings := 0
	forEachCase(t, func(t *testing.T, r *rand.Rand) {
		f := randomFollower(r, r.IntN(2) == 0)
		f.meddle = nil
		f.spec.MinReplicas, f.spec.ActivationQueueDepth = 1, 0
		f.spec.ScaleUpThreshold, f.spec.ScaleDownThreshold = 150, 50
		f.spec.Cooldown = time.Duration(oneOf(r, 0, 1, 2, 14, 15, 16, 60, r.IntN(200), 1799+r.IntN(200))) * time.Second
		f.period = max(f.period, f.spec.Cooldown/50) // some scalings even where the cooldown is long
		f.depth = upAndDown(f.spec)
		if f.byWork() { // by the depth alone, though the work in flight is seen
			f.inFlight = func(int32) policy.InFlight { return policy.InFlight{Known: true, Seen: time.Hour} }
		}
		var last *decided
		for i, s := range f.follow(t, r, 200) {
			if s.writes == 0 {
				continue
			}
			if last != nil && s.asked {
				scalings++
				gap := s.wrote.Sub(last.wrote)
				require.GreaterOrEqualf(t, gap, f.spec.Cooldown-time.Second, "sync %d of %+v every %s", i, f.spec, f.period)
				require.Lessf(t, gap, max(f.spec.Cooldown, time.Second)+f.period+3*longestPause, "sync %d of %+v every %s", i, f.spec, f.period)
			}
			last = &s
		}
	})
	require.Greater(t, scalings, 10**cases, "too few scalings to say anything")
}

// upAndDown is a queue that is always out of the band: full until the replicas are as many
// as they may be, empty until they are as few.
func upAndDown(spec policy.Spec) func(int32) int64 {
	full := true
	return func(replicas int32) int64 {
		switch replicas {
		case spec.MaxReplicas:
			full = false
		case 1:
			full = true
		}
		if full {
			return 100 * spec.TargetQueueDepth * int64(spec.MaxReplicas)
		}
		return 0
	}
}
