package scaler

import (
	"fmt"
	"math"
	"time"

	"github.com/jawaracloud/pubsub-operator/scaler/explanation"
	"github.com/jawaracloud/pubsub-operator/scaler/policy"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

// minRecent is how much of policy.RecentWindow must have been seen before a fleet grows by it. A
// single sample may be a peak that the next one is not: a scaler that has just started would
// otherwise grow a fleet for no reason.
const minRecent = policy.RecentWindow / 3

// busy is the work in flight of all queues of a trigger over time.
type busy struct {
	sampling.Work
	// hidden is the first queue that does not show what is in flight; nil: all do, or did in the window.
	hidden *queue.Queue
	kind   queue.Kind // of hidden, as it was read
}

// sumWork adds up what was in flight. It is nil if that was not asked for.
func sumWork(queues []queue.Queue, samples []sampling.Sample) *busy {
	total := &busy{Work: sampling.Work{Known: true, RecentSeen: math.MaxInt64, Seen: math.MaxInt64}}
	for i, sample := range samples {
		if sample.Work == nil {
			return nil
		}
		if !sample.Work.Known {
			return &busy{hidden: &queues[i], kind: sample.Kind}
		}
		total.Recent = queue.Sum(total.Recent, sample.Work.Recent)
		total.Mean = queue.Sum(total.Mean, sample.Work.Mean)
		total.Most = queue.Sum(total.Most, sample.Work.Most)
		total.RecentSeen = min(total.RecentSeen, sample.Work.RecentSeen)
		total.Seen = min(total.Seen, sample.Work.Seen)
		total.Waited = total.Waited || sample.Work.Waited // in any: its workers could take it
	}
	return total
}

// work is the same as the policy decides by it; nil if it is not known.
func (b *busy) work() *explanation.Work {
	if b == nil || !b.Known {
		return nil
	}
	work := &explanation.Work{Mean: b.Mean, Seen: b.Seen}
	if b.RecentSeen >= minRecent {
		work.Recent = &b.Recent
	}
	return work
}

// unknown says why it is not known, if there is something to say.
func (b *busy) unknown() string {
	if b == nil || b.Known || b.hidden == nil {
		return ""
	}
	return hiddenWords(*b.hidden, b.kind)
}

// recent is the mean of policy.RecentWindow, in messages, if enough of it was seen.
func (b *busy) recent() (mean float64, known bool) {
	if b == nil || !b.Known || b.RecentSeen < minRecent {
		return 0, false
	}
	return messages(b.Recent), true
}

// hiddenWords says why a queue does not show what is in flight, with the remedy.
func hiddenWords(q queue.Queue, kind queue.Kind) string {
	const remedy = "until then, and where that never comes, Threshold decides; use a Stream, or set policy to Threshold, where workers are of another make"
	if kind == queue.None {
		return fmt.Sprintf("%q does not exist, and no worker shows what it holds of it: a list of our subscriber's shows its work once a worker runs, and a stream once it exists; %s", q.Key, remedy)
	}
	if kind == queue.List {
		return fmt.Sprintf("no worker shows what it holds of the list %q: our subscriber does once it runs, and others if they add their names to %s; %s", q.Key, queue.ConsumersKey(q.Key), remedy)
	}
	return fmt.Sprintf("nothing shows the work in flight of %q, which is of kind %s: set policy to Threshold, or use a Stream", q.Key, kind)
}

// showsWork tells whether all queues show now what is in flight.
func (r reading) showsWork() bool {
	for _, sample := range r.samples {
		if !sample.ShowsWork() {
			return false
		}
	}
	return len(r.samples) > 0
}

// messages is a number that is given in thousandths.
func messages(thousandths int64) float64 { return float64(thousandths) / 1000 }

// concurrencyRemark says what is wrong with workerConcurrency by what was seen; empty: nothing. It has no number
// in it that changes with every sample. While the fleet changes, and workers start or end, nothing can be told.
func (b *busy) concurrencyRemark(spec policy.Spec, replicas int32, lastScale, now time.Time) string {
	if b == nil || !b.Known {
		return ""
	}
	window, each := spec.UtilizationWindow(), max(1, spec.WorkerConcurrency)
	slots := spec.Slots(replicas)
	if replicas == 0 || b.Seen < window || now.Sub(lastScale) < 2*window {
		return ""
	}
	given := fmt.Sprintf("%d × workerConcurrency %d = %d", replicas, each, slots)
	if b.Mean/1000 > slots && 10*b.Mean > 11*1000*slots {
		return fmt.Sprintf("over the last %s more was in flight than the workers' slots, %s: they work on more at once, or fetch ahead, and count as busier than they are; "+
			"set workerConcurrency to what one worker has in flight at most, or have the workers fetch no more than they work on", window, given)
	}
	fewer := (b.Most + int64(replicas) - 1) / int64(replicas) // that one worker had at most, if all had as many
	if b.Waited && b.Most > 0 && fewer < int64(each) && 10*b.Most < 9*slots {
		return fmt.Sprintf("messages waited all of the last %s, but never was more in flight than %d a worker, which is less than the workers' slots, %s: "+
			"the fleet counts as less busy than it is, and does not grow by it; set workerConcurrency to %d, or see why workers don't take more (are all of them ready?)", window, fewer, given, fewer)
	}
	return ""
}
