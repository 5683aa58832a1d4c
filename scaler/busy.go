package scaler

import (
	"fmt"
	"math"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
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

// inFlight is the work as the policy decides by it.
func (b *busy) inFlight() policy.InFlight {
	if b == nil || !b.Known {
		return policy.InFlight{}
	}
	in := policy.InFlight{Known: true, Window: b.Mean, Seen: b.Seen}
	if b.RecentSeen >= minRecent {
		in.Recent = b.Recent
	}
	return in
}

// recent is the mean of policy.RecentWindow, in messages, if enough of it was seen.
func (b *busy) recent() (mean float64, known bool) {
	if b == nil || !b.Known || b.RecentSeen < minRecent {
		return 0, false
	}
	return messages(b.Recent), true
}

// inUse is the policy that decides, and why it is not the one that the trigger names.
func inUse(spec policy.Spec, read reading) (name policy.Name, why string) {
	if spec.Policy != policy.ByUtilization {
		return policy.ByThreshold, ""
	}
	switch b := read.busy; {
	case b == nil:
		return policy.ByThreshold, "queue_depth says nothing of the work in flight: leave it out to have Utilization decide"
	case !b.Known && b.hidden != nil:
		return policy.ByThreshold, hiddenWords(*b.hidden, b.kind)
	}
	return policy.ByUtilization, ""
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

// tellBusy adds what Utilization decides by to an answer.
func (e evaluation) tellBusy(out *inspectv1.ExplainResponse, spec policy.Spec, now time.Time) {
	out.InFlightKnown = e.reading.showsWork()
	out.PolicyInUse, out.FallbackReason = string(e.inUse), e.fallback
	if spec.Policy != policy.ByUtilization {
		return
	}
	slots := spec.Slots(e.decision.Replicas)
	out.Slots = slots
	b := e.reading.busy
	if b == nil || !b.Known {
		return
	}
	out.BusyOverWindow, out.WindowSeen = new(messages(b.Mean)), durationpb.New(b.Seen)
	if recent, known := b.recent(); known {
		out.Busy = new(recent)
		if slots > 0 {
			out.Utilization = new(100 * recent / float64(slots))
		}
	}
	out.ConcurrencyRemark = b.concurrencyRemark(spec, e.state.Replicas, e.state.LastScale, now)
}

// messages is a number that is given in thousandths.
func messages(thousandths int64) float64 { return float64(thousandths) / 1000 }

// concurrencyRemark says what is wrong with workerConcurrency by what was seen; empty: nothing. It has no number
// in it that changes with every sample. While the fleet changes, and workers start or end, nothing can be told.
func (b *busy) concurrencyRemark(spec policy.Spec, replicas int32, lastScale, now time.Time) string {
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
