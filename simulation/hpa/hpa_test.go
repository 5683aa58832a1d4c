package hpa_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"

	"github.com/jawaracloud/pubsub-operator/simulation/hpa"
)

var start = time.Date(2026, 1, 2, 15, 4, 5, 300_000_000, time.UTC)

func config(behavior *autoscalingv2.HorizontalPodAutoscalerBehavior) hpa.Config {
	return hpa.Config{
		MinReplicas: 1, MaxReplicas: 100, Target: 10, Behavior: behavior, KeepsTolerance: true,
		Tolerance: hpa.DefaultTolerance, DownscaleStabilization: hpa.DefaultDownscaleStabilization,
	}
}

func rules(policies ...autoscalingv2.HPAScalingPolicy) *autoscalingv2.HPAScalingRules {
	return &autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: ptr.To[int32](0), Policies: policies}
}

func pods(value, period int32) autoscalingv2.HPAScalingPolicy {
	return autoscalingv2.HPAScalingPolicy{Type: autoscalingv2.PodsScalingPolicy, Value: value, PeriodSeconds: period}
}

func percent(value, period int32) autoscalingv2.HPAScalingPolicy {
	return autoscalingv2.HPAScalingPolicy{Type: autoscalingv2.PercentScalingPolicy, Value: value, PeriodSeconds: period}
}

func with(behavior autoscalingv2.HorizontalPodAutoscalerBehavior) *autoscalingv2.HorizontalPodAutoscalerBehavior {
	return &behavior
}

// Each row is a run of syncs, 15 s apart, on a target that does at once what it is told.
func TestSync(t *testing.T) {
	tolerant := func(milli int64) *autoscalingv2.HPAScalingRules {
		r := rules(pods(100, 15))
		r.Tolerance = resource.NewMilliQuantity(milli, resource.DecimalSI)
		return r
	}
	choosing := func(policy autoscalingv2.ScalingPolicySelect) *autoscalingv2.HPAScalingRules {
		r := rules(pods(1, 15), percent(50, 15))
		r.SelectPolicy = &policy
		return r
	}
	behavior := func(up, down *autoscalingv2.HPAScalingRules) *autoscalingv2.HorizontalPodAutoscalerBehavior {
		return with(autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleUp: up, ScaleDown: down})
	}
	tests := map[string]struct {
		behavior *autoscalingv2.HorizontalPodAutoscalerBehavior
		change   func(*hpa.Config)
		from     int32
		values   []float64
		want     []int32
	}{
		"no behavior, up: twice as many, or 4":          {nil, nil, 1, []float64{990, 990, 990, 990, 990, 990}, []int32{4, 8, 16, 32, 64, 99}},
		"the API server's rules, up: 4 more, or double": {behavior(nil, nil), nil, 1, []float64{990, 990, 990, 990, 990, 990}, []int32{5, 10, 20, 40, 80, 99}},
		"up to maxReplicas":                             {behavior(nil, nil), nil, 90, []float64{1e18}, []int32{100}},
		"down to minReplicas":                           {behavior(nil, rules(pods(100, 15))), func(c *hpa.Config) { c.MinReplicas = 3 }, 9, []float64{0}, []int32{3}},
		"the edges of the tolerance":                    {nil, nil, 10, []float64{110, 90}, []int32{10, 10}},
		"beyond the tolerance":                          {behavior(nil, rules(pods(100, 15))), nil, 10, []float64{110.001, 89}, []int32{12, 9}},
		"a tolerance of 0":                              {behavior(tolerant(0), tolerant(0)), nil, 20, []float64{200, 201, 200}, []int32{20, 21, 20}},
		"a tolerance for each direction":                {behavior(tolerant(500), tolerant(0)), nil, 20, []float64{300, 300.001, 309, 309.9}, []int32{20, 31, 31, 31}},
		"a tolerance that the server drops":             {behavior(tolerant(0), tolerant(0)), func(c *hpa.Config) { c.KeepsTolerance = false }, 20, []float64{201, 220, 221}, []int32{20, 20, 23}},
		"Max takes the greater change":                  {behavior(choosing(autoscalingv2.MaxChangePolicySelect), choosing(autoscalingv2.MaxChangePolicySelect)), nil, 10, []float64{990, 0}, []int32{15, 7}},
		"Min takes the smaller change":                  {behavior(choosing(autoscalingv2.MinChangePolicySelect), choosing(autoscalingv2.MinChangePolicySelect)), nil, 10, []float64{990, 0}, []int32{11, 10}},
		"Disabled":                                      {behavior(choosing(autoscalingv2.DisabledPolicySelect), choosing(autoscalingv2.DisabledPolicySelect)), nil, 10, []float64{990, 0}, []int32{10, 10}},
		"a policy's period":                             {behavior(rules(pods(6, 40)), nil), nil, 10, []float64{120, 990, 990, 990}, []int32{12, 16, 16, 18}},
		"above maxReplicas, whatever the metric says":   {nil, nil, 120, []float64{0}, []int32{100}},
		"below minReplicas, whatever the metric says":   {nil, func(c *hpa.Config) { c.MinReplicas = 3 }, 1, []float64{990}, []int32{3}},
		"off at 0 replicas":                             {nil, nil, 0, []float64{990, 990}, []int32{0, 0}},
		"no number is 0":                                {behavior(nil, rules(pods(100, 15))), nil, 9, []float64{math.NaN()}, []int32{1}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := config(test.behavior)
			if test.change != nil {
				test.change(&c)
			}
			autoscaler := hpa.New(c)
			replicas, got := test.from, []int32{}
			for i, value := range test.values {
				replicas = autoscaler.Sync(start.Add(time.Duration(i)*hpa.DefaultSyncPeriod), replicas, replicas, value)
				got = append(got, replicas)
			}
			assert.Equal(t, test.want, got)
		})
	}
}

// Scaling down waits until the highest recommendation is older than the window.
func TestDownscaleStabilization(t *testing.T) {
	tests := map[string]struct {
		behavior *autoscalingv2.HorizontalPodAutoscalerBehavior
		want     time.Duration // until the replicas fall
	}{
		"no behavior: the window's end still counts": {nil, 315 * time.Second},
		"the controller's window":                    {&autoscalingv2.HorizontalPodAutoscalerBehavior{}, 300 * time.Second},
		"a window of its own": {with(autoscalingv2.HorizontalPodAutoscalerBehavior{
			ScaleDown: &autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: ptr.To[int32](60)}}), 60 * time.Second},
		"none": {with(autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleDown: rules(percent(100, 15))}), 15 * time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			autoscaler := hpa.New(config(test.behavior))
			require.EqualValues(t, 8, autoscaler.Sync(start, 8, 8, 80))
			var after time.Duration
			for replicas := int32(8); replicas == 8; replicas = autoscaler.Sync(start.Add(after), replicas, replicas, 20) {
				after += hpa.DefaultSyncPeriod
			}
			assert.Equal(t, test.want, after)
		})
	}
}

// status.replicas decides whether the value is within the tolerance, and is then the proposal.
func TestPodsThatAreNotYetThere(t *testing.T) {
	assert.EqualValues(t, 10, hpa.New(config(nil)).Sync(start, 10, 0, 100))
	assert.EqualValues(t, 11, hpa.New(config(nil)).Sync(start, 10, 11, 100), "a value of 10 replicas within a tenth of 11")
}

func TestLastScaleTime(t *testing.T) {
	autoscaler := hpa.New(config(nil))
	assert.True(t, autoscaler.LastScaleTime().IsZero())
	autoscaler.Sync(start, 2, 2, 20)
	assert.True(t, autoscaler.LastScaleTime().IsZero(), "a sync that changed nothing")
	autoscaler.Sync(start, 2, 2, 40)
	assert.Equal(t, start.Truncate(time.Second), autoscaler.LastScaleTime())
}

// What it is configured with stays the caller's.
func TestBehaviorIsNotChanged(t *testing.T) {
	behavior := &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleUp: &autoscalingv2.HPAScalingRules{}}
	before := behavior.DeepCopy()
	hpa.New(config(behavior)).Sync(start, 2, 2, 40)
	assert.Equal(t, before, behavior)
}
