package translator

import (
	"math/rand/v2"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// heartbeat is how old status.observedTime may become where nothing else is to be written;
// 0: as old as it likes. The leader's Lease is what tells by default that a controller is
// there: one object, however many channels there are.
type heartbeat time.Duration

// next is when a channel is looked at again for its heartbeat: four to five fifths of it after
// the time that its status had, so that channels which were written at once do not stay
// together; 0: never.
func (h heartbeat) next(observed *metav1.Time, now time.Time) time.Duration {
	if h == 0 {
		return 0
	}
	age := time.Duration(0) // just written
	if !h.late(observed, now) {
		age = now.Sub(observed.Time)
	}
	return time.Duration((1-0.2*rand.Float64())*float64(h)) - age
}

// due reports whether a status is to be written, and sets the time of that in it: where it
// says anything new but that time, or the time is too old.
func (h heartbeat) due(last v1.PubSubChannelStatus, next *v1.PubSubChannelStatus, now time.Time) bool {
	next.ObservedTime = last.ObservedTime
	if apiequality.Semantic.DeepEqual(last, *next) && !h.late(last.ObservedTime, now) {
		return false
	}
	next.ObservedTime = ptr.To(metav1.NewTime(now.Truncate(time.Second)))
	return true
}

// late reports whether a heartbeat is due: from four fifths of it, as next has it. A time in
// the future is another controller's, whose clock was ahead by more than clocks differ.
func (h heartbeat) late(observed *metav1.Time, now time.Time) bool {
	if h == 0 {
		return false
	}
	if observed == nil {
		return true
	}
	age := now.Sub(observed.Time)
	return age >= time.Duration(h)*4/5 || age <= -time.Duration(h)/5
}
