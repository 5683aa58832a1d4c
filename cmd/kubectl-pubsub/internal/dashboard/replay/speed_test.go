package replay

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/protocol"
	"github.com/jawaracloud/pubsub-operator/scaler/policy"
	"github.com/jawaracloud/pubsub-operator/simulation"
	"github.com/jawaracloud/pubsub-operator/simulation/work"
)

// loads are arrivals in the half hour, as multiples of what one worker finishes.
var loads = map[string]func(second int) float64{
	"a step": func(i int) float64 {
		if i > 300 && i < 900 {
			return 6
		}
		return 1.2
	},
	"a ramp":  func(i int) float64 { return 0.5 + float64(i)/200 },
	"a sine":  func(i int) float64 { return 4.5 - 3.5*math.Cos(2*math.Pi*float64(i)/600) },
	"even":    func(int) float64 { return 2.6 },
	"bursts":  func(i int) float64 { return burst(i, 150, 60) },
	"short":   func(i int) float64 { return burst(i, 100, 12) },
	"drained": func(i int) float64 { return burst(i-140, 1800, 300) },
}

// burst is that many seconds' work at once, every so often.
func burst(second, every int, load float64) float64 {
	if second%every == 60 {
		return load
	}
	return 0.3
}

// seen is how a record was made.
type seen struct {
	speed           float64 // of a worker, per second
	every           int     // seconds from one status to the next, if there was no scaling
	rates, inFlight bool    // whether they are told
	policy          v1.ScalingPolicy
}

// halfHour is one of workers with 2 messages at once, of which each takes a random time.
type halfHour struct {
	seen
	arrivals []int64
	result   simulation.Result
}

func simulate(s seen, load func(second int) float64) halfHour {
	random := rand.New(rand.NewPCG(7, 7))
	arrivals := make([]int64, 1800)
	for i := range arrivals {
		mean := s.speed * load(i)
		arrivals[i] = int64(max(0, mean+math.Sqrt(mean)*random.NormFloat64()+random.Float64())) // about Poisson's
	}
	config := simulation.DefaultConfig(policy.DefaultSpec())
	config.Spec.TargetQueueDepth, config.Spec.MaxReplicas = int64(max(1, s.speed*10)), 10
	config.ServiceRate, config.PodStart = s.speed, 7*time.Second
	config.Work = work.Work{Distribution: work.Exponential, Concurrency: 2}
	if s.policy == v1.PolicyUtilization {
		config.Spec.Policy, config.Spec.WorkerConcurrency = policy.ByUtilization, 2
	}
	return halfHour{s, arrivals, simulation.Run(config, arrivals, simulation.Own(config))}
}

// record is what the dashboard would have seen of it.
func (h halfHour) record() Past {
	arrivals, result := h.arrivals, h.result
	past := Past{Channel: channelOf(), To: noon.Add(time.Duration(len(arrivals)) * time.Second)}
	past.Channel.Spec.AutoScaling.WorkerConcurrency, past.Channel.Spec.AutoScaling.Policy = 2, h.policy
	last := protocol.Point{}
	for i := 1; i < len(arrivals); i++ { // at the second i, the one before is over
		ready := slices.Min(result.Replicas[max(0, i-7) : i+1])
		depth := int64(result.Depth[i-1])
		p := protocol.Point{Time: noon.Add(time.Duration(i) * time.Second), Depth: &depth, Replicas: result.Replicas[i], Ready: ready, Desired: result.Replicas[i]}
		if h.rates {
			total := 0.0
			for _, arrived := range arrivals[max(0, i-block):i] {
				total += float64(arrived)
			}
			p.Rate = new(int64(math.Round(total / float64(min(block, i)))))
		}
		if h.inFlight {
			p.InFlight = new(min(depth, 2*int64(ready)))
		}
		if i == 1 || i%h.every == 0 || last.Ready != p.Ready || last.Desired != p.Desired {
			past.Points = append(past.Points, p)
			last = p
		}
	}
	return past
}

// Of records of workers whose speed is known, the one that is told as a number is within 25 %, and a band has it within, give or take
// the 5 % of the cases in which chance has it otherwise.
func TestTheSpeedIsRightOrTheBandHasIt(t *testing.T) {
	numbers, bands, missed := 0, 0, 0
	for _, perSecond := range []float64{0.5, 5, 50} {
		for name, load := range loads {
			for _, chosen := range []v1.ScalingPolicy{v1.PolicyThreshold, v1.PolicyUtilization} {
				h := simulate(seen{speed: perSecond, policy: chosen}, load)
				for _, told := range []seen{{every: 1, rates: true, inFlight: true}, {every: 1, rates: true}, {every: 1}, {every: 15, rates: true, inFlight: true}, {every: 15, rates: true}, {every: 15}} {
					h.every, h.rates, h.inFlight = told.every, told.rates, told.inFlight
					w, err := windowOf(h.record(), longest)
					require.NoError(t, err)
					found := w.speed(2)
					if found.least == 0 {
						continue // there is no replay
					}
					words := fmt.Sprintf("%s: %+v: %+v", name, h.seen, found)
					slow, fast := found.band()
					if found.known() {
						numbers++
						slow, fast = found.middle()/1.25, found.middle()*1.25
						assert.InEpsilon(t, perSecond, found.middle(), 0.4, words)
					} else {
						bands++
						assert.LessOrEqual(t, slow, 2*perSecond, words)
						assert.GreaterOrEqual(t, fast, perSecond/2, words)
					}
					if perSecond < slow || perSecond > fast {
						missed++
						t.Log(words)
					}
				}
			}
		}
	}
	t.Logf("%d numbers, %d bands, of which %d are wrong", numbers, bands, missed)
	assert.LessOrEqual(t, missed, (numbers+bands)/20)
	assert.Greater(t, numbers, bands)
}

// What is not known is no number: the replays are made with both ends, and say so.
func TestABandIsReplayedWithBothEnds(t *testing.T) {
	r, err := Run(t.Context(), simulate(seen{speed: 5, every: 15}, loads["bursts"]).record(), protocol.ReplayRequest{Changes: protocol.Changes{"cooldownPeriod": 15}})
	require.NoError(t, err)
	assert.Regexp(t, `a worker finishes at least [\d.]+ messages per second, as fast as the depth fell at most, while nothing counts arrivals; it may be faster, and nothing in the record says how much: the replays are made with that and with 4 times as much`,
		strings.Join(r.Assumed, "\n"))
	require.Len(t, r.Curves, 5)
	assert.Nil(t, r.Curves[0].Speed)
	for i, name := range []string{"now", "now", "changed", "changed"} {
		assert.Equal(t, name, r.Curves[i+1].Name)
		require.NotNil(t, r.Curves[i+1].Speed)
	}
	slow, fast := *r.Curves[1].Speed, *r.Curves[2].Speed
	assert.InEpsilon(t, 4*slow, fast, 1e-9)
	assert.LessOrEqual(t, slow, 5.0)
	assert.GreaterOrEqual(t, fast, 5.0)
	assert.InEpsilon(t, slow, *r.Curves[3].Speed, 1e-9)

	known, err := Run(t.Context(), simulate(seen{speed: 50, every: 15, rates: true}, loads["a step"]).record(), protocol.ReplayRequest{})
	require.NoError(t, err)
	require.Len(t, known.Curves, 2)
	assert.Nil(t, known.Curves[1].Speed)
}

// Replays with both ends take no longer than with one speed: each may have half of the messages.
func TestABandIsOfHalfOfTheMessages(t *testing.T) {
	past := Past{Channel: channelOf(), To: noon.Add(120 * time.Second)}
	for i := range int64(120) {
		depth := max(0, 2_000_000-40_000*i)
		past.Points = append(past.Points, protocol.Point{Time: noon.Add(time.Duration(i) * time.Second), Depth: &depth, Replicas: 2, Ready: 2, Desired: 2})
	}
	_, err := Run(t.Context(), past, protocol.ReplayRequest{Changes: protocol.Changes{"policy": "Utilization", "workerConcurrency": 1}})
	require.ErrorContains(t, err, "at most 1500000: choose a shorter window")
}
