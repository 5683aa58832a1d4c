package replay

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/protocol"
	"github.com/jawaracloud/pubsub-operator/scaler/policy"
	"github.com/jawaracloud/pubsub-operator/simulation"
)

// overloaded is a past with 500 messages and 2 workers of 50 per second all the time, of which the second one came after 200 s:
// the policy would have 4 as soon as the cooldown of 60 s is over.
func overloaded() Past {
	past := Past{Channel: channelOf(), To: noon.Add(600 * time.Second)}
	for i := range 600 {
		depth, rate, desired := int64(500), int64(100), int32(2)
		if i < 200 {
			desired = 1
		}
		past.Points = append(past.Points, protocol.Point{Time: noon.Add(time.Duration(i) * time.Second), Depth: &depth, Rate: &rate, Replicas: 2, Ready: 2, Desired: desired})
	}
	return past
}

// firstScaling is the second in which a curve first changes.
func firstScaling(c protocol.Curve) int {
	return slices.IndexFunc(c.Replicas, func(n int32) bool { return n != c.Replicas[0] })
}

// A window that begins in a cooldown keeps what is left of it, by the cooldown of each of the settings.
func TestAWindowThatBeginsInACooldown(t *testing.T) {
	for name, test := range map[string]struct {
		decision *v1.ScalingDecision
		seconds  float64
		now, ten int // the seconds of the first scaling, with cooldowns of 60 s and 10 s
		words    string
	}{
		"recorded":             {nil, 390, 52, 7, "the window begins 10s after a scaling, so 50s of the cooldown are left"},
		"told by the status":   {&v1.ScalingDecision{LastScaleTime: new(metav1.NewTime(noon.Add(195 * time.Second)))}, 390, 52, 7, "the window begins 15s after a scaling, so 45s of the cooldown are left"},
		"long ago":             {nil, 100, 7, 7, ""},
		"not known":            {nil, 0, 7, 7, "the window begins without a cooldown, because the record does not tell when the fleet was scaled before"},
		"told as never":        {&v1.ScalingDecision{}, 0, 7, 7, ""},
		"later than the start": {&v1.ScalingDecision{LastScaleTime: new(metav1.NewTime(noon.Add(300 * time.Second)))}, 390, 52, 7, "the window begins 10s after a scaling"},
	} {
		t.Run(name, func(t *testing.T) {
			past := overloaded()
			past.Channel.Status.Decision = test.decision
			r, err := Run(t.Context(), past, protocol.ReplayRequest{Seconds: test.seconds, Changes: protocol.Changes{"cooldownPeriod": 10}})
			require.NoError(t, err)
			assert.Equal(t, test.now, firstScaling(curveNamed(t, r, "now")))
			assert.Equal(t, test.ten, firstScaling(curveNamed(t, r, "changed")))
			words := strings.Join(r.Assumed, "\n")
			if test.words != "" {
				assert.Contains(t, words, test.words)
				return
			}
			assert.NotContains(t, words, "the window begins")
		})
	}
}

// The replays have the settings of one moment, and no pause: if that is not how it was, it is told.
func TestChangesWithinTheWindowAreTold(t *testing.T) {
	mark := func(second int, kind string) protocol.Mark {
		return protocol.Mark{Time: noon.Add(time.Duration(second) * time.Second), Kind: kind}
	}
	for name, test := range map[string]struct {
		marks  []protocol.Mark
		change func(*Past)
		words  []string
	}{
		"nothing": {nil, func(*Past) {}, nil},
		"the settings": {[]protocol.Mark{mark(100, protocol.MarkSettings), mark(400, protocol.MarkSettings), mark(500, protocol.MarkSettings)}, func(*Past) {},
			[]string{"spec.autoScaling was changed at 12:06:40 UTC, 12:08:20 UTC: what happened is by the settings of each time"}},
		"the workers": {[]protocol.Mark{mark(450, protocol.MarkSpec)}, func(*Past) {}, []string{"the spec was changed at 12:07:30 UTC beside spec.autoScaling"}},
		"before":      {[]protocol.Mark{mark(100, protocol.MarkPaused), mark(200, protocol.MarkResumed), mark(250, protocol.MarkSpec)}, func(*Past) {}, nil},
		"pauses": {[]protocol.Mark{mark(100, protocol.MarkPaused), mark(310, protocol.MarkResumed), mark(400, protocol.MarkPaused), mark(410, protocol.MarkResumed), mark(500, protocol.MarkPaused)},
			func(p *Past) { p.Channel.Spec.Paused = true }, []string{
				"paused from 12:05:00 UTC to 12:05:10 UTC", "paused from 12:06:40 UTC to 12:06:50 UTC", "paused from 12:08:20 UTC until now, and its number of workers was held: the replays go on scaling",
			}},
		"paused all the time": {nil, func(p *Past) { p.Channel.Spec.Paused = true }, []string{"paused from 12:05:00 UTC until now"}},
		"paused at KEDA": {nil, func(p *Past) {
			p.Channel.Status.Conditions = []metav1.Condition{{Type: v1.ConditionPaused, Status: metav1.ConditionTrue}}
		}, []string{"paused from 12:05:00 UTC until now"}},
		"a Prometheus": {nil, func(p *Past) { p.Older = 400 }, []string{"until 12:06:39 UTC all replicas count as ready, and pauses and changes of the spec are not known"}},
		"schedules": {nil, func(p *Past) {
			p.Channel.Spec.AutoScaling.Schedules = []v1.Schedule{{Name: "day", Timezone: "UTC", Start: "0 8 * * *", End: "0 18 * * *", MinReplicas: 5}}
			p.Channel.Spec.Queue = &v1.QueueSpec{MaxAge: &metav1.Duration{Duration: time.Minute}}
		}, []string{"spec.autoScaling.schedules are left out", "spec.queue.maxAge is left out"}},
		"Utilization": {nil, func(p *Past) { p.Channel.Spec.AutoScaling.Policy = v1.PolicyUtilization }, []string{"the policy Utilization begins without what was in flight before the window"}},
	} {
		t.Run(name, func(t *testing.T) {
			past := overloaded()
			past.Marks = test.marks
			test.change(&past)
			r, err := Run(t.Context(), past, protocol.ReplayRequest{Seconds: 300})
			require.NoError(t, err)
			words := strings.Join(r.Assumed, "\n")
			for _, want := range test.words {
				assert.Contains(t, words, want)
			}
			for _, other := range []string{"was changed", "paused", "left out", "as ready", "Utilization"} {
				assert.Equal(t, strings.Contains(strings.Join(test.words, "\n"), other), strings.Contains(words, other), "%s: %s", other, words)
			}
		})
	}
}

// Arrivals that nothing counts are as many as there were, also while the number of workers changes.
func TestArrivalsWhileTheFleetChanges(t *testing.T) {
	for name, ready := range map[string]func(second int) int32{
		"the same":       func(int) int32 { return 2 },
		"more":           func(second int) int32 { return 1 + int32(second/100) },
		"up and down":    func(second int) int32 { return 1 + 3*int32(second/20%2) },
		"within a block": func(second int) int32 { return 1 + 3*int32(second/7%2) },
	} {
		t.Run(name, func(t *testing.T) {
			w, arrived := &window{start: noon}, 0.0
			depth := 20_000.0
			for i := range 300 {
				w.depth, w.rate, w.ready = append(w.depth, depth), append(w.rate, -1), append(w.ready, ready(i))
				if i%2 == 0 && i < 100 { // in a part of the time some seconds are counted
					w.rate[i] = 90
				}
				arrived += 90
				depth = max(0, depth+90-50*float64(ready(i)))
			}
			m := &model{}
			m.arrive(w, 50)
			assert.InDelta(t, 20_000+arrived, float64(m.messages), 0.02*arrived)
		})
	}
}

// Of a fleet that keeps up with its messages, few workers have any: 2 of 4 at once, of 50 per second, are 25 per second.
func TestArrivalsWhileMostWorkersAreIdle(t *testing.T) {
	w := &window{start: noon}
	for range 60 {
		w.depth, w.rate, w.ready = append(w.depth, 2), append(w.rate, -1), append(w.ready, 10)
	}
	m := &model{concurrency: 4}
	m.arrive(w, 50)
	assert.InDelta(t, 2+60*25, m.messages, 1)
}

// A Prometheus does not tell when workers were ready, so that none of its scalings took no time.
func TestTheStartOfWorkersIsNotKnownFromAPrometheus(t *testing.T) {
	for name, test := range map[string]struct {
		older int
		want  string
	}{
		"all":           {1200, "a new worker takes messages after 5s: no start of a worker is recorded"},
		"the beginning": {310, "a new worker takes messages after 7s, the median of the recorded scalings"},
	} {
		t.Run(name, func(t *testing.T) {
			past, _ := simulated(t, true)
			past.Older = test.older
			for i := range test.older {
				past.Points[i].Ready = past.Points[i].Replicas
			}
			r, err := Run(t.Context(), past, protocol.ReplayRequest{})
			require.NoError(t, err)
			assert.Contains(t, strings.Join(r.Assumed, "\n"), test.want)
		})
	}
}

// A second of which nothing is known is no second without arrivals, and a gap ends the window.
func TestGapsAreNotZero(t *testing.T) {
	past := overloaded()
	for i := 400; i < 500; i++ {
		past.Points[i].Rate = nil
	}
	past.Points[250].Depth = nil
	r, err := Run(t.Context(), past, protocol.ReplayRequest{})
	require.NoError(t, err)
	assert.Equal(t, noon.Add(251*time.Second), r.Start)
	words := strings.Join(r.Assumed, "\n")
	assert.Contains(t, words, "the arrivals of 1m45s of 5m49s are the growth of the depth and what the ready workers finish")
	assert.Greater(t, slices.Min(curveNamed(t, r, "now").Depth[200:240]), 0.0)
	w, err := windowOf(past, longest)
	require.NoError(t, err)
	models, err := w.models(past)
	require.NoError(t, err)
	m := models[0]
	for i := 149; i < 249; i++ {
		assert.InDelta(t, 100, m.arrivals[i], 1, i)
	}
}

// The curves are by the policies' own code: a record that a policy made is replayed as it was, from the middle, too.
func TestTheMiddleOfARecordIsReplayedAsItWas(t *testing.T) {
	for name, chosen := range map[string]*simulation.Autoscaler{"Threshold": simulation.Threshold, "Utilization": simulation.Utilization} {
		t.Run(name, func(t *testing.T) {
			config := simulation.DefaultConfig(policy.DefaultSpec())
			config.Spec.MaxReplicas, config.ServiceRate, config.PodStart = 10, 50, 7*time.Second
			channel := channelOf()
			if chosen == simulation.Utilization {
				config.Spec.Policy, config.Spec.WorkerConcurrency, config.Work.Concurrency = policy.ByUtilization, 4, 4
				channel.Spec.AutoScaling.Policy, channel.Spec.AutoScaling.WorkerConcurrency = v1.PolicyUtilization, 4
			}
			arrivals := make([]int64, 1800)
			for i := range arrivals {
				arrivals[i] = 60
				if i >= 600 && i < 1200 {
					arrivals[i] = 300
				}
			}
			happened := simulation.Run(config, arrivals, chosen)
			past := Past{Channel: channel, To: noon.Add(1800 * time.Second)}
			for i := range arrivals {
				depth, rate := int64(happened.Depth[i]), told(arrivals, i)
				inFlight := min(depth, 4*int64(happened.Replicas[i]))
				past.Points = append(past.Points, protocol.Point{
					Time: noon.Add(time.Duration(i) * time.Second), Depth: &depth, Rate: &rate, InFlight: &inFlight,
					Replicas: happened.Replicas[i], Ready: slices.Min(happened.Replicas[max(0, i-7) : i+1]), Desired: happened.Replicas[i],
				})
			}
			r, err := Run(t.Context(), past, protocol.ReplayRequest{Seconds: 1150}) // from 12:10:50 on, while it grows
			require.NoError(t, err)
			was, is := curveNamed(t, r, "recorded"), curveNamed(t, r, "now")
			if chosen == simulation.Utilization {
				assert.Regexp(t, `a worker finishes (4[6-9]|5[0-3])(\.\d)? messages per second, as it works on 4 at once and a message was in flight for (7|8)\d(\.\d+)?ms on average`, strings.Join(r.Assumed, "\n"))
			}
			assert.InDelta(t, was.ReplicaHours, is.ReplicaHours, 0.15*was.ReplicaHours)
			assert.InDelta(t, was.MaxReplicas, is.MaxReplicas, 1)
			if chosen == simulation.Utilization {
				for i := range 100 {
					assert.GreaterOrEqual(t, is.Replicas[i+1], is.Replicas[i], "it removes none before its window was seen")
				}
			}
		})
	}
}
