package replay

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/jawaracloud/pubsub-operator/scaler/policy"
	"github.com/jawaracloud/pubsub-operator/simulation"
	"github.com/jawaracloud/pubsub-operator/translator/autoscaling"
)

// block is over how many seconds the speed of workers is taken: status.messageRate is a mean of as
// many.
const block = 15

// model is what the simulation is given.
type model struct {
	config      simulation.Config // without the policy
	concurrency int
	arrivals    []int64
	messages    int64 // the sum of the arrivals
	assumed     []string
}

// models reads the surroundings from the record: one, or, if the speed of a worker is not known, one with the slowest and one with the
// fastest that it may have.
func (w *window) models(past Past) ([]*model, error) {
	concurrency, err := autoscaling.WorkerConcurrency(&past.Channel.Spec)
	if err != nil {
		return nil, err
	}
	found := w.speed(float64(concurrency))
	if found.least <= 0 {
		return nil, errNoSpeed
	}
	if found.known() {
		return []*model{w.model(past, int(concurrency), found.middle(), found.words())}, nil
	}
	slow, fast := found.band()
	return []*model{w.model(past, int(concurrency), slow, found.words()), w.model(past, int(concurrency), fast, found.words())}, nil
}

// model is that with a speed, which the words tell.
func (w *window) model(past Past, concurrency int, speed float64, words string) *model {
	channel := past.Channel
	m := &model{config: simulation.DefaultConfig(policy.Spec{}), concurrency: concurrency}
	m.config.Start = &w.desired[0]
	m.config.ServiceRate = speed
	m.assume("%s", words)
	if w.cut != "" {
		m.assume("the window begins at %s: %s", clock(w.start), w.cut)
	}
	if w.missed {
		m.assume("the window ends at %s: since then nothing was heard of the channel", clock(w.start.Add(time.Duration(len(w.depth))*time.Second)))
	}
	if start, seen := w.podStart(); seen {
		m.config.PodStart = start
		m.assume("a new worker takes messages after %s, the median of the recorded scalings", start)
	} else {
		m.assume("a new worker takes messages after %s: no start of a worker is recorded in the window", m.config.PodStart)
	}
	if d := channel.Status.Decision; d != nil {
		m.config.KeepsTolerance = !d.ToleranceIgnored
		if d.DepthIsLowerBound {
			m.assume("the depth is what was recorded, which the scaler now says is only a lower bound: there may have been more messages")
		}
	}
	m.assume("the HPA decides every %s, Kubernetes' default", m.config.HPASync)
	m.cool(past, w.start)
	m.arrive(w, speed)
	m.tellChanges(past, w.start)
	m.tellWhatIsLeftOut(channel)
	return m
}

func (m *model) assume(format string, args ...any) {
	m.assumed = append(m.assumed, fmt.Sprintf(format, args...))
}

// median is the lower one of two in the middle; 0 of nothing.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[(len(values)-1)/2]
}

func perSecondWords(rate float64) string {
	return fmt.Sprintf("%.3g messages per second", rate)
}

func sum(values []float64) (total float64) {
	for _, value := range values {
		total += value
	}
	return total
}

// podStart is the median time from a scaling up until all its workers were ready; false if the
// window has none, or nobody told how many were ready.
func (w *window) podStart() (time.Duration, bool) {
	var took []int
	for i := w.unready + 1; i < len(w.desired); i++ {
		if w.desired[i] <= w.desired[i-1] || w.ready[i-1] < w.desired[i-1] {
			continue // no more workers, or the ones before are not there yet
		}
		for j := i; j < len(w.desired) && w.desired[j] == w.desired[i]; j++ {
			if w.ready[j] >= w.desired[j] {
				took = append(took, j-i)
				break
			}
		}
	}
	if len(took) == 0 {
		return 0, false
	}
	slices.Sort(took)
	return time.Duration(took[len(took)/2]) * time.Second, true
}

// arrive fills in the arrivals of each second. What waited at the start arrives with the first.
func (m *model) arrive(w *window, speed float64) {
	m.arrivals = make([]int64, len(w.depth))
	rates := w.plausible(speed)
	carry, guessed := w.depth[0], 0
	if carry > 0 {
		m.assume("the %.0f messages of the start arrive with the first second: how long they waited before is in no wait", carry)
	}
	for from := 0; from < len(w.depth); from += block {
		to := min(from+block, len(w.depth))
		guess, seconds := w.guess(rates, from, to, speed, float64(max(1, m.concurrency)))
		guessed += seconds
		for i := from; i < to; i++ {
			arrived := rates[i]
			if arrived < 0 {
				arrived = guess
			}
			carry += arrived
			whole := math.Floor(carry)
			m.arrivals[i] = int64(whole)
			m.messages += int64(whole)
			carry -= whole
		}
	}
	if guessed > 0 {
		m.assume("the arrivals of %s of %s are the growth of the depth and what the ready workers finish, because status.messageRate does not tell them; while the queue is empty there are none",
			time.Duration(guessed)*time.Second, time.Duration(len(w.depth))*time.Second)
	}
}

// guess is the arrivals per second of the seconds of a block that nothing counted, and how many
// seconds those are: what the depth grew by, what the workers finished, less the arrivals that were
// counted. A worker that has not as many messages as it works on at once finishes fewer: of a fleet
// that keeps up, all that the depth has is in the hands of a few. It is of the whole block: the number
// of workers may change in it, and how the depth changed within it the record does not tell.
func (w *window) guess(rates []float64, from, to int, speed, concurrency float64) (perSecond float64, seconds int) {
	total := w.depth[min(to, len(w.depth)-1)] - w.depth[from]
	for i := from; i < to; i++ {
		total += speed * min(float64(w.ready[i]), w.depth[i]/concurrency)
		if rates[i] < 0 {
			seconds++
		} else {
			total -= rates[i]
		}
	}
	return max(0, total) / float64(max(1, seconds)), seconds
}
