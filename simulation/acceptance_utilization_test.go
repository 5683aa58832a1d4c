package simulation_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/simulation"
	"github.com/jawaracloud/pubsub-operator/simulation/trace"
	"github.com/jawaracloud/pubsub-operator/simulation/work"
)

// goal is what Utilization reaches on a trace, compared with each of KEDA's redis scalers.
type goal struct {
	wait          float64 // the p99 wait as a part of KEDA's
	hours         float64 // the replica-hours as a part of KEDA's; 0: no goal
	moreScalings  bool    // it scales more often than KEDA
	behaviorScale bool    // it scales more often than KEDA with a behavior
}

// usual is the goal of all traces but those below.
var usual = goal{wait: 1.0 / 3, hours: 1.1}

// goals are those of the traces that defeat the usual one; docs/simulation.md says why.
var goals = map[string]goal{
	"spike":    {wait: 0.5, hours: 1.1, moreScalings: true, behaviorScale: true},
	"batch":    {wait: 0.5, hours: 1.1, moreScalings: true, behaviorScale: true},
	"noisy":    {wait: 1.0 / 3, hours: 1.1, behaviorScale: true},
	"jobs-10s": {wait: 0.45},
	"jobs-2m":  {wait: 1.0 / 3},
}

// The medians over the seeds of Utilization, against KEDA's redis scaler with its own defaults and
// with those that the API server fills in.
func TestUtilizationIsBetterThanKEDA(t *testing.T) {
	for _, builtIn := range trace.BuiltIns() {
		want, special := goals[builtIn.Name]
		if !special {
			want = usual
		}
		t.Run(builtIn.Name, func(t *testing.T) {
			t.Parallel()
			results := runs(t, builtIn, simulation.Utilization, simulation.KEDA, simulation.KEDABehavior)
			wait, hours, scalings := figures(results[simulation.Utilization])
			for _, keda := range []*simulation.Autoscaler{simulation.KEDA, simulation.KEDABehavior} {
				theirWait, theirHours, theirScalings := figures(results[keda])
				assert.LessOrEqual(t, wait, want.wait*theirWait, "p99 wait, %s", keda)
				if want.hours > 0 {
					assert.LessOrEqual(t, hours, want.hours*theirHours, "replica-hours, %s", keda)
				}
				more := want.moreScalings || want.behaviorScale && keda == simulation.KEDABehavior
				assert.Equal(t, more, scalings >= theirScalings, "scalings, %s: %v and %v", keda, scalings, theirScalings)
			}
		})
	}
}

// A load that never changes is left alone, also if the times that messages take, and so the
// work in flight, are random.
func TestUtilizationLeavesASteadyLoadAlone(t *testing.T) {
	for _, name := range []string{"steady", "small"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			builtIn, ok := trace.Lookup(name)
			require.True(t, ok)
			builtIn.Work.Distribution = work.Exponential
			results := runs(t, builtIn, simulation.Utilization, simulation.Threshold)
			wait, hours, scalings := figures(results[simulation.Utilization])
			_, byDepth, _ := figures(results[simulation.Threshold])
			assert.Less(t, wait, 0.2)
			assert.LessOrEqual(t, scalings, 3.0)
			assert.Less(t, hours, 1.1*byDepth)
		})
	}
}

// figures are the medians of the p99 wait in seconds, the replica-hours and the scalings.
func figures(results []simulation.Result) (p99, hours, scalings float64) {
	return medianP99(results).Seconds(),
		median(results, func(r simulation.Result) float64 { return r.ReplicaHours }),
		median(results, func(r simulation.Result) float64 { return float64(r.Scalings) })
}
