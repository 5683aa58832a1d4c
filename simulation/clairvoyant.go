package simulation

import "math"

// clairvoyant is a schedule that no real autoscaler has: it knows when messages will arrive and
// how long they take on average. At each sync of the HPA it has as many workers as the coming
// messages need until those of the next sync would be up. It has no cooldown and no steps.
//
// The slots are the fewest with which, by A. K. Erlang's formula for exponential times (1917), at
// most 1 % of the messages wait longer than a second.
type clairvoyant struct {
	config  Config
	sync    timer
	offered []float64 // slots that are busy in each second if nobody waits
}

// clairvoyantWindow is the seconds over which arrivals are averaged, and within which a queue
// should be worked off.
const clairvoyantWindow = 15

func newClairvoyant(c Config, arrivals []int64) *clairvoyant {
	s := &clairvoyant{config: c, sync: newTimer(c.HPASync, c.Phase), offered: make([]float64, len(arrivals))}
	for second := range arrivals {
		work := s.work(float64(second))
		span := int(max(clairvoyantWindow, math.Ceil(work)))
		var sum float64
		for _, before := range arrivals[max(0, second+1-span) : second+1] {
			sum += float64(before)
		}
		s.offered[second] = sum / float64(min(span, second+1)) * work
	}
	return s
}

// work is how long a message takes on average, in seconds, if it is taken at a time.
func (s *clairvoyant) work(at float64) float64 {
	return float64(s.config.Work.Slots()) / s.config.ServiceRate / s.config.Work.Speed(at)
}

func (s *clairvoyant) replicas(o observation) int32 {
	if !s.sync.due(o.second) {
		return o.replicas
	}
	until := o.second + s.sync.period + int(math.Ceil(s.config.PodStart.Seconds())) + clairvoyantWindow
	var load float64
	for _, offered := range s.offered[min(o.second, len(s.offered)):min(until, len(s.offered))] {
		load = max(load, offered)
	}
	work := s.work(float64(o.second))
	slots := slotsFor(load, work) + float64(o.waiting)*work/max(clairvoyantWindow, work)
	need := math.Ceil(slots / float64(s.config.Work.Slots()))
	return int32(min(max(need, float64(s.config.Spec.MinReplicas)), float64(s.config.Spec.MaxReplicas)))
}

// slotsFor is the fewest slots with which at most 1 % of the messages wait longer than a second. The
// load is the slots that are busy if nobody waits, work the seconds that a message takes.
func slotsFor(load, work float64) float64 {
	if load <= 0 {
		return 0
	}
	blocked := 1.0 // of Erlang's B formula, by its recursion over the slots
	for slots := 1.0; ; slots++ {
		blocked = load * blocked / (slots + load*blocked)
		if slots <= load {
			continue
		}
		waits := blocked / (1 - load/slots*(1-blocked)) // Erlang's C
		if waits*math.Exp(-(slots-load)/work) <= 0.01 {
			return slots
		}
	}
}
