package simulation

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/scaler/policy"
	"github.com/jawaracloud/pubsub-operator/simulation/trace"
	"github.com/jawaracloud/pubsub-operator/simulation/work"
)

// change is one scaling of a replay.
type change struct {
	second   int
	from, to int32
}

func changes(r Result) []change {
	var found []change
	for second := 1; second < len(r.Replicas); second++ {
		if from, to := r.Replicas[second-1], r.Replicas[second]; from != to {
			found = append(found, change{second, from, to})
		}
	}
	return found
}

func replayBuiltIn(t *testing.T, name string, autoscaler *Autoscaler) Result {
	t.Helper()
	builtIn, ok := trace.Lookup(name)
	require.True(t, ok)
	return Run(DefaultConfig(builtIn.Spec), builtIn.Arrivals(1), autoscaler)
}

func TestThePolicyScalesAtSyncsAndKeepsItsRules(t *testing.T) {
	r := replayBuiltIn(t, "steady", Threshold)
	spec := policy.DefaultSpec()
	last := -60
	for _, c := range changes(r) {
		assert.Equal(t, 7, c.second%15, "at an HPA sync")
		assert.GreaterOrEqual(t, c.second-last, 60, "after the cooldown")
		assert.LessOrEqual(t, c.from-c.to, max(1, c.from/5), "down by at most 20 %%")
		if c.to > c.from {
			// the sample is a second old: the depth at the end of the second before that
			depth := math.Round(r.Depth[c.second-2])
			assert.InDelta(t, math.Ceil(100*depth/float64(spec.TargetQueueDepth*int64(spec.ScaleUpThreshold))), c.to, 1)
		}
		last = c.second
	}
	assert.Len(t, changes(r), r.Scalings)
	assert.Greater(t, r.Scalings, 50)
}

// A replay that is not to go on ends, and has no result; asking changes nothing.
func TestAReplayIsGivenUp(t *testing.T) {
	arrivals, config := slices.Repeat([]int64{300}, 300), DefaultConfig(policy.DefaultSpec())
	asked := 0
	_, finished := RunWhile(func() bool { asked++; return asked < 10 }, config, arrivals, Threshold)
	assert.False(t, finished)
	assert.Equal(t, 10, asked)
	result, finished := RunWhile(always, config, arrivals, Threshold)
	assert.True(t, finished)
	assert.Equal(t, Run(config, arrivals, Threshold), result)

	// Messages that are taken one by one may all be of one second.
	config.Work = work.Work{Distribution: work.Exponential, Concurrency: 1}
	asked = 0
	_, finished = RunWhile(func() bool { asked++; return asked < 10 }, config, []int64{1_000_000, 0}, Threshold)
	assert.False(t, finished)
	assert.LessOrEqual(t, asked, 11)
}

// A replay that begins in a cooldown keeps what is left of it.
func TestAReplayBeginsInACooldown(t *testing.T) {
	arrivals := slices.Repeat([]int64{300}, 300)
	first := func(since *time.Duration) int {
		config := DefaultConfig(policy.DefaultSpec())
		config.Start, config.SinceScale = new(int32(1)), since
		return changes(Run(config, arrivals, Threshold))[0].second
	}
	assert.Equal(t, 7, first(nil), "at the first sync")
	assert.Equal(t, 7, first(new(time.Hour)))
	assert.Equal(t, 52, first(new(10*time.Second)), "at the first sync after 60 s since the scaling")
}

func TestStepChangesByOne(t *testing.T) {
	for _, c := range changes(replayBuiltIn(t, "spike", Step)) {
		assert.EqualValues(t, 1, max(c.to-c.from, c.from-c.to))
	}
}

func TestKEDADoublesAndGivesBackAfterFiveMinutes(t *testing.T) {
	r := replayBuiltIn(t, "spike", KEDA)
	for _, c := range changes(r) {
		assert.Equal(t, 7, c.second%15)
		if c.to > c.from {
			assert.LessOrEqual(t, c.to, max(2*c.from, 4))
			continue
		}
		assert.EqualValues(t, 2, c.to, "all at once")
		assert.Less(t, slices.Max(r.Depth[c.second-300:c.second]), 10000.0)
		assert.Less(t, slices.Max(r.Depth[c.second-285:c.second]), 100.0, "five minutes without a queue")
	}
	behavior := replayBuiltIn(t, "spike", KEDABehavior)
	assert.EqualValues(t, 6, changes(behavior)[0].to, "2 and 4 pods")
}

// With minReplicas 0, one batch: who wakes the workers when, and when they go.
func TestToAndFromZero(t *testing.T) {
	spec := policy.DefaultSpec()
	spec.MinReplicas = 0
	arrivals := make([]int64, 1800)
	arrivals[600] = 50
	ours := Run(DefaultConfig(spec), arrivals, Threshold)
	require.Equal(t, []change{{602, 0, 1}, {685, 1, 0}}, changes(ours),
		"woken by a push a tick after the batch is there; asleep at the first poll (every 10 s) later than 60 s and one poll after the last that found work")
	assert.InDelta(t, 6, ours.Max.Seconds(), 1, "a pod's start, and the push")

	theirs := Run(DefaultConfig(spec), arrivals, KEDA)
	require.Equal(t, []change{{615, 0, 1}, {945, 1, 0}}, changes(theirs),
		"woken by the poll (every 30 s), asleep at the first poll later than 300 s after the last that found work")
}

func TestActivationQueueDepth(t *testing.T) {
	spec := policy.DefaultSpec()
	spec.MinReplicas, spec.ActivationQueueDepth = 0, 50
	arrivals := make([]int64, 300)
	arrivals[100] = 50
	r := Run(DefaultConfig(spec), arrivals, Threshold)
	assert.Empty(t, changes(r), "50 is not more than 50")
	assert.InDelta(t, 50, r.Left, 1e-9, "nobody will ever take them")
	assert.Len(t, r.Replicas, 600, "given up after as long again")
	assert.InDelta(t, 499.5, r.P50.Seconds(), 0.1, "waits count until then")
}

// A server that drops the tolerance ignores changes of up to 10 %, and the scaler answers
// beyond it: with more than ten replicas the HPA goes further than asked, not less far.
func TestWithoutTolerance(t *testing.T) {
	builtIn, _ := trace.Lookup("flash")
	config := DefaultConfig(builtIn.Spec)
	config.KeepsTolerance = false
	r := Run(config, builtIn.Arrivals(1), Threshold)
	assert.Greater(t, r.Scalings, 30)
	assert.InEpsilon(t, 47.1, r.ReplicaHours, 0.05)
	assert.Less(t, r.P99, 20*time.Second)
	assert.NotEqual(t, replayBuiltIn(t, "flash", Threshold).Replicas, r.Replicas)
}

func TestCompare(t *testing.T) {
	spec := policy.DefaultSpec()
	arrivals := slices.Repeat([]int64{200}, 600)
	config := DefaultConfig(spec)
	results := Compare(config, arrivals, Fixed, Threshold, KEDA)
	require.Len(t, results, 3)
	assert.Same(t, Threshold, results[0].Autoscaler)
	assert.Same(t, KEDA, results[2].Autoscaler)
	mean := int32(math.Ceil(results[0].MeanReplicas()))
	assert.Equal(t, slices.Repeat([]int32{mean}, len(results[1].Replicas)), results[1].Replicas)
	assert.Zero(t, results[1].Scalings)
	assert.EqualValues(t, 4, results[0].Replicas[0], "a replay begins with as many as the first minute needs: 200/57")

	config.Fixed = 7
	assert.Equal(t, "fixed 7", Compare(config, arrivals, Fixed)[1].Label)
	assert.Equal(t, results, Compare(DefaultConfig(spec), arrivals, Fixed, Threshold, KEDA), "the same every time")
}

func TestTheTimeThatPodsTakeToStart(t *testing.T) {
	spec := policy.DefaultSpec()
	spec.Cooldown = 0
	arrivals := slices.Repeat([]int64{10}, 120)
	arrivals[65] = 10_000
	for _, podStart := range []time.Duration{0, 2500 * time.Millisecond, 20 * time.Second} {
		config := DefaultConfig(spec)
		config.PodStart = podStart
		r := Run(config, arrivals, Threshold)
		// One worker until the sync at second 67 asks for ten and they are up, and then ten:
		// that is how long the last message of the batch waits, which comes a second late.
		alone := 67 - 65 + podStart.Seconds()
		assert.InDelta(t, alone+(10_000-57*alone)/570-1, r.Max.Seconds(), 0.2, "pods that start in %s", podStart)
		assert.Zero(t, r.Left)
	}
}

// A replay may begin with any number of replicas, also none.
func TestTheNumberAtTheStart(t *testing.T) {
	for _, replicas := range []int32{0, 1, 7} {
		config := DefaultConfig(policy.DefaultSpec())
		config.Start = &replicas
		arrivals := slices.Repeat([]int64{100}, 120)
		assert.Equal(t, replicas, Run(config, arrivals, Threshold).Replicas[0])
	}
	config := DefaultConfig(policy.DefaultSpec())
	config.Start = new(int32(-1))
	require.ErrorContains(t, config.Validate(), "start is -1: it must be from 0 to 1000000")
}

func TestConfigIsValidated(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Config)
		words  string
	}{
		"spec":             {func(c *Config) { c.Spec.MaxReplicas = 0 }, "maxReplicas is 0: it must be from 1 to 1000000"},
		"no service":       {func(c *Config) { c.ServiceRate = 0 }, "serviceRate is 0: it must be more than 0"},
		"no number":        {func(c *Config) { c.ServiceRate = math.NaN() }, "serviceRate is NaN"},
		"a later scaling":  {func(c *Config) { c.SinceScale = new(-time.Second) }, "sinceScale is -1s: it must be 0s or more"},
		"early pods":       {func(c *Config) { c.PodStart = -1 }, "podStart is -1ns: it must be from 0s to 1h"},
		"parts of seconds": {func(c *Config) { c.HPASync = 1500 * time.Millisecond }, "hpaSync is 1.5s: it must be whole seconds"},
		"never in sync":    {func(c *Config) { c.HPASync = 0 }, "hpaSync is 0s"},
		"whole phase":      {func(c *Config) { c.Phase = 1 }, "phase is 1"},
		"fewer than none":  {func(c *Config) { c.Fixed = -1 }, "fixed is -1"},
	} {
		t.Run(name, func(t *testing.T) {
			config := DefaultConfig(policy.DefaultSpec())
			require.NoError(t, config.Validate())
			test.change(&config)
			assert.ErrorContains(t, config.Validate(), test.words)
		})
	}
}

// Another policy is another Decider: nothing else of the replay knows which one decides.
func TestAnotherDecider(t *testing.T) {
	builtIn, ok := trace.Lookup("spike")
	assert.True(t, ok)
	asked := 0
	holding := &Autoscaler{"holding", called("never moves"), func(c Config, _ []int64) scaler {
		return newExternal(c, func(spec policy.Spec, state policy.State) policy.Decision {
			asked++
			assert.Equal(t, builtIn.Spec, spec)
			return policy.Decision{Replicas: state.Replicas, Desired: state.Replicas, Action: policy.Hold, Active: true}
		})
	}}
	result := Run(DefaultConfig(builtIn.Spec), builtIn.Arrivals(1), holding)
	assert.Greater(t, asked, 10)
	assert.Zero(t, result.Scalings)
	assert.Equal(t, "never moves", result.Label)
}

func TestEveryAutoscalerHasItsName(t *testing.T) {
	for _, a := range Autoscalers() {
		found, ok := ByName(a.String())
		assert.True(t, ok)
		assert.Same(t, a, found, "%s is the name of two", a)
		assert.NotEmpty(t, a.label(Config{}))
	}
	_, ok := ByName("none")
	assert.False(t, ok)
}
