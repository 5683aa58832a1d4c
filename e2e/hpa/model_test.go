package hpa_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/resource"
	defaults "k8s.io/kubernetes/pkg/apis/autoscaling/v2"
	"k8s.io/utils/ptr"

	"github.com/jawaracloud/pubsub-operator/simulation/hpa"
)

// The model of the HPA that `kubectl pubsub simulate` runs sets the replicas that the
// HPA's own code sets, at every sync: for any behavior, any walk of the metric, any sync
// period, and replicas that somebody else changes in between.
func TestModelIsTheHPA(t *testing.T) {
	forEachCase(t, func(t *testing.T, r *rand.Rand) {
		config := randomConfig(r)
		kube := &run{
			hpa:           newHPA(config.MinReplicas, config.MaxReplicas, config.Target, config.Behavior.DeepCopy()),
			period:        randomPeriod(r),
			tolerance:     config.Tolerance,
			stabilization: config.DownscaleStabilization,
			spec:          1 + r.Int32N(config.MaxReplicas),
		}
		// What the API server does when the object comes in.
		dropTolerance(kube.hpa.Spec.Behavior, config.KeepsTolerance)
		defaults.SetDefaults_HorizontalPodAutoscaler(kube.hpa)

		ratio, late, meddled := 1.0, r.IntN(2) == 0, r.IntN(2) == 0
		kube.begin = func(s *hpaSync) {
			if late {
				pause(r)
			}
			if meddled && r.IntN(20) == 0 {
				s.spec = r.Int32N(2 * config.MaxReplicas)
			}
			s.status = s.spec
			if meddled && r.IntN(5) == 0 {
				s.status = max(0, s.spec+r.Int32N(7)-3)
			}
			ratio = walk(r, ratio)
		}
		kube.metric = func(s *hpaSync) float64 { return randomValue(r, ratio*config.Target, s) }
		kube.forSyncs(t, 300)

		model := hpa.New(config)
		for i, s := range kube.syncs {
			got := model.Sync(s.start, s.spec, s.status, s.value)
			require.Equalf(t, s.after, got, "sync %d: %+v\n%+v\n%s", i, *s, config, describe(config.Behavior))
			require.Truef(t, s.scaledAt.Equal(model.LastScaleTime()), "sync %d: lastScaleTime %s, the model's %s", i, s.scaledAt, model.LastScaleTime())
		}
	})
}

// walk changes the ratio of load to what the replicas carry: slowly, at times in a jump.
func walk(r *rand.Rand, ratio float64) float64 {
	switch r.IntN(12) {
	case 0:
		return math.Exp(4 * r.NormFloat64())
	case 1, 2, 3:
		return ratio
	default:
		return ratio * math.Exp(r.NormFloat64()/8)
	}
}

// randomValue is around the load, at times exactly at an edge of the default tolerance.
func randomValue(r *rand.Rand, load float64, s *hpaSync) float64 {
	switch r.IntN(25) {
	case 0:
		return 0
	case 1:
		return oneOf(r, math.NaN(), math.Inf(1), -1, 0.0004, 1e15, 9.3e15, 1e18)
	case 2, 3, 4:
		return load * float64(s.status) * oneOf(r, .9, 1, 1.1)
	default:
		return load * float64(max(s.status, 1)) * math.Exp(r.NormFloat64()/16)
	}
}

func randomConfig(r *rand.Rand) hpa.Config {
	config := hpa.Config{
		MaxReplicas:            int32(upTo(r, 1000)),
		Target:                 oneOf(r, 1, 100, float64(upTo(r, 1_000_000)), 1000*r.Float64()+.001),
		Tolerance:              oneOf(r, hpa.DefaultTolerance, hpa.DefaultTolerance, 0, r.Float64()),
		KeepsTolerance:         r.IntN(2) == 0,
		DownscaleStabilization: oneOf(r, hpa.DefaultDownscaleStabilization, 0, time.Duration(r.Int64N(int64(10*time.Minute)))),
	}
	config.MinReplicas = 1 + r.Int32N(min(config.MaxReplicas, oneOf[int32](r, 1, 1000)))
	if r.IntN(5) > 0 {
		config.Behavior = &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleUp: randomRules(r), ScaleDown: randomRules(r)}
	}
	return config
}

// randomRules are rules that the API server takes, with anything left out.
func randomRules(r *rand.Rand) *autoscalingv2.HPAScalingRules {
	if r.IntN(5) == 0 {
		return nil
	}
	rules := &autoscalingv2.HPAScalingRules{
		SelectPolicy: oneOf(r, nil, ptr.To(autoscalingv2.MaxChangePolicySelect), ptr.To(autoscalingv2.MaxChangePolicySelect),
			ptr.To(autoscalingv2.MinChangePolicySelect), ptr.To(autoscalingv2.MinChangePolicySelect), ptr.To(autoscalingv2.DisabledPolicySelect)),
		StabilizationWindowSeconds: oneOf(r, nil, ptr.To[int32](0), ptr.To[int32](0), ptr.To(15*r.Int32N(8)), ptr.To(r.Int32N(3601))),
		Tolerance:                  oneOf(r, nil, resource.NewQuantity(0, resource.DecimalSI), resource.NewMilliQuantity(r.Int64N(500), resource.DecimalSI)),
	}
	if r.IntN(6) == 0 {
		return rules // the default policies
	}
	for range 1 + r.IntN(4) {
		rules.Policies = append(rules.Policies, autoscalingv2.HPAScalingPolicy{
			Type:          oneOf(r, autoscalingv2.PodsScalingPolicy, autoscalingv2.PercentScalingPolicy),
			Value:         int32(upTo(r, 250)),
			PeriodSeconds: oneOf(r, 15*(1+r.Int32N(8)), 1+r.Int32N(120), 1+r.Int32N(1800)),
		})
	}
	return rules
}

// dropTolerance does what an API server before 1.35 does with a field that it doesn't know.
func dropTolerance(behavior *autoscalingv2.HorizontalPodAutoscalerBehavior, keeps bool) {
	if keeps || behavior == nil {
		return
	}
	for _, rules := range []*autoscalingv2.HPAScalingRules{behavior.ScaleUp, behavior.ScaleDown} {
		if rules != nil {
			rules.Tolerance = nil
		}
	}
}
