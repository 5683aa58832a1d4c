package replay

import (
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/dashboard/protocol"
	"github.com/jawaracloud/pubsub-operator/translator/autoscaling"
)

// cool sets the cooldown in which the window begins.
func (m *model) cool(past Past, start time.Time) {
	last, known := lastScaling(past, start)
	switch {
	case !last.IsZero():
		since := start.Sub(last)
		m.config.SinceScale = &since
		policy, _ := autoscaling.Policy(past.Channel.Spec.AutoScaling) // what is faulty the run refuses
		if left := policy.Cooldown - since; left > 0 {
			m.assume("the window begins %s after a scaling, so %s of the cooldown are left", since.Round(time.Second), left.Round(time.Second))
		}
	case !known:
		m.assume("the window begins without a cooldown, because the record does not tell when the fleet was scaled before")
	}
}

// lastScaling is when the HPA last scaled before a time; known is whether that it did not is known.
// The status tells the last scaling of all, and the record each change that it has seen. KEDA's own
// steps from 0 and to 0 begin no cooldown.
func lastScaling(past Past, start time.Time) (last time.Time, known bool) {
	if d := past.Channel.Status.Decision; d != nil {
		if d.LastScaleTime != nil && !d.LastScaleTime.After(start) {
			return d.LastScaleTime.Time, true
		}
		known = d.LastScaleTime == nil // it never did, or KEDA does not scale now
	}
	for i, p := range past.Points {
		if p.Time.After(start) {
			break
		}
		if p.Gap || i > 0 && past.Points[i-1].Gap {
			last = time.Time{} // it may have been scaled in the gap, at any time
			continue
		}
		if i > 0 && p.Desired != past.Points[i-1].Desired && p.Desired > 0 && past.Points[i-1].Desired > 0 {
			last = p.Time
		}
	}
	return last, known
}

// tellChanges tells what somebody changed of the channel within the window. A replay has the settings
// of one moment, and no pause.
func (m *model) tellChanges(past Past, start time.Time) {
	if times := timesOf(past, start, protocol.MarkSettings); times != "" {
		m.assume("spec.autoScaling was changed at %s: what happened is by the settings of each time, and a replay has the same for the whole window", times)
	}
	if times := timesOf(past, start, protocol.MarkSpec); times != "" {
		m.assume("the spec was changed at %s beside spec.autoScaling, such as what the workers run: their speed is taken from before and after that alike", times)
	}
	for _, p := range pauses(past, start) {
		until := "until now"
		if !p.to.IsZero() {
			until = "to " + clock(p.to)
		}
		m.assume("the channel was paused from %s %s, and its number of workers was held: the replays go on scaling", clock(p.from), until)
	}
	if past.Older > 0 {
		if began := past.Points[past.Older-1].Time; began.After(start) {
			m.assume("until %s all replicas count as ready, and pauses and changes of the spec are not known, because the Prometheus does not tell of them", clock(began))
		}
	}
}

// timesOf are when there were marks of a kind since a time; empty: there were none.
func timesOf(past Past, since time.Time, kind string) string {
	var times []string
	for _, mark := range past.Marks {
		if mark.Kind == kind && mark.Time.After(since) { // at the start itself it is so already
			times = append(times, clock(mark.Time))
		}
	}
	return strings.Join(times, ", ")
}

type pause struct{ from, to time.Time } // to is the zero time: it lasts

// pauses are those after a time, the oldest first. Before the first mark it was as that tells; without
// any, as it is now. A mark at the time itself is of before, as one of what was found after a gap.
func pauses(past Past, since time.Time) []pause {
	status := past.Channel.Status.Conditions
	paused := past.Channel.Spec.Paused || meta.IsStatusConditionTrue(status, v1.ConditionPaused)
	var found []pause
	first := true
	for _, mark := range past.Marks {
		if !mark.Time.After(since) || mark.Kind != protocol.MarkPaused && mark.Kind != protocol.MarkResumed {
			continue
		}
		switch {
		case mark.Kind == protocol.MarkPaused:
			found = append(found, pause{from: mark.Time})
		case first:
			found = append(found, pause{since, mark.Time})
		default:
			found[len(found)-1].to = mark.Time
		}
		first = false
	}
	if first && paused {
		found = append(found, pause{from: since})
	}
	return found
}

// tellWhatIsLeftOut tells what of the channel's scaling a replay does not have.
func (m *model) tellWhatIsLeftOut(channel *v1.PubSubChannel) {
	auto := channel.Spec.AutoScaling
	if len(auto.Schedules) > 0 {
		m.assume("spec.autoScaling.schedules are left out: minReplicas is the same at all hours")
	}
	if len(auto.Triggers) > 0 {
		m.assume("spec.autoScaling.triggers are left out: the queue's depth alone scales")
	}
	if queue := channel.Spec.Queue; queue != nil && queue.MaxAge != nil {
		m.assume("spec.queue.maxAge is left out, because the record has no ages of messages")
	}
}
