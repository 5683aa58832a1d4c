package demo

import (
	"fmt"
	"time"
)

const (
	// idleFor is how long the fleet must have been idle before the burst, so that the
	// view shows it.
	idleFor = 5 * time.Second
	// patience is how long a state from which the story can't go on may last: twice the
	// time in which HPA and controller look again.
	patience = 45 * time.Second
)

// sample is what was seen of the channel at one moment.
type sample struct {
	at           time.Duration // since the demo's start
	depth        int64         // messages, waiting and in flight
	depthUnknown error         // why the depth is the one before; nil where it is new

	wanted, existing, ready int32 // of the Deployment's replicas

	phase          string // the channel's
	reason, words  string // of its Scaled condition
	notReady       string // why its Ready condition is not True; empty where it is
	troubles       string // of workers that are wanted and not ready; empty: none
	scalings       []scaling
	publisherState publisherState
}

// scaling is one Scaled event of the channel.
type scaling struct {
	at    time.Duration // when it was first seen, since the demo's start
	words string
}

type publisherState int

const (
	notStarted publisherState = iota
	publishing
	published
)

// story follows the channel from idle through the burst back to idle. Its methods are for
// one goroutine.
type story struct {
	samples []sample // one a second

	idleSince   time.Duration // -1: not idle
	failedSince time.Duration // -1: the channel's phase is not Failed
	blindSince  time.Duration // -1: the queue was read
	downSince   time.Duration // -1: a worker is ready, or nothing is known to be in its way
	stuckSince  time.Duration // -1: there is work to do, or the fleet has grown

	burst        bool
	burstAt      time.Duration
	peakDepth    int64
	peakWanted   int32
	peakReady    int32
	changes      int           // of the wanted replicas, since the burst
	firstUp      time.Duration // after the burst; 0 while there was none
	drainedAt    time.Duration // when the queue was first empty after the burst; 0 before
	eventsBefore int           // Scaled events that were there before the burst
}

func newStory() *story {
	return &story{idleSince: -1, failedSince: -1, blindSince: -1, downSince: -1, stuckSince: -1}
}

// last is the latest sample.
func (s *story) last() sample {
	if len(s.samples) == 0 {
		return sample{}
	}
	return s.samples[len(s.samples)-1]
}

// observe adds a sample.
func (s *story) observe(now sample) {
	before := s.last()
	s.samples = append(s.samples, now)
	since(&s.idleSince, now.idle(), now.at)
	since(&s.failedSince, now.phase == "Failed", now.at)
	since(&s.downSince, now.ready == 0 && now.troubles != "", now.at)
	since(&s.blindSince, now.depthUnknown != nil, now.at)
	if !s.burst {
		return
	}
	s.peakDepth = max(s.peakDepth, now.depth)
	s.peakWanted = max(s.peakWanted, now.wanted)
	s.peakReady = max(s.peakReady, now.ready)
	if now.wanted != before.wanted {
		s.changes++
	}
	if s.firstUp == 0 && now.wanted > before.wanted {
		s.firstUp = now.at - s.burstAt
	}
	consumed := now.publisherState == published && now.depthUnknown == nil && now.depth == 0
	if consumed && s.drainedAt == 0 {
		s.drainedAt = now.at
	}
	since(&s.stuckSince, consumed && s.firstUp == 0, now.at)
}

// since keeps the time from which on something is true; -1 while it is not.
func since(from *time.Duration, holds bool, now time.Duration) {
	switch {
	case !holds:
		*from = -1
	case *from < 0:
		*from = now
	}
}

// statement is what the scaler said last, or what stands in the way; empty where there is
// neither.
func (s sample) statement() (words string, trouble bool) {
	switch {
	case s.troubles != "":
		return s.troubles, true
	case s.reason != "":
		return s.reason + ": " + s.words, false
	default:
		return s.notReady, s.notReady != ""
	}
}

// idle means that minReplicas workers are there, no other, with nothing to do.
func (s sample) idle() bool {
	return s.atMin() && s.depthUnknown == nil && s.depth == 0 && s.notReady == "" && s.phase != ""
}

func (s sample) atMin() bool {
	return s.wanted == minReplicas && s.existing == minReplicas && s.ready == minReplicas
}

// readyForBurst is true once the fleet has been idle for a while.
func (s *story) readyForBurst() bool {
	return !s.burst && s.idleSince >= 0 && s.last().at-s.idleSince >= idleFor
}

// publish notes that the burst begins.
func (s *story) publish(at time.Duration) {
	s.burst, s.burstAt, s.eventsBefore = true, at, len(s.last().scalings)
}

// done is true when the story has a good end: the burst was published and consumed, the
// replicas rose above minReplicas and are back, and the channel says so.
func (s *story) done() bool {
	last := s.last()
	return s.burst && last.publisherState == published && s.firstUp > 0 && s.drainedAt > 0 &&
		last.atMin() && last.phase == "Running" && last.depthUnknown == nil && last.depth == 0
}

// stage says in words what is going on.
func (s *story) stage() string {
	last := s.last()
	switch {
	case s.done():
		return "done: all messages consumed, and back at the start"
	case !s.burst && s.idleSince >= 0:
		return "idle"
	case !s.burst && last.notReady != "":
		return "getting ready: " + last.notReady
	case !s.burst:
		return fmt.Sprintf("waiting until %d worker is idle", minReplicas)
	case last.publisherState == publishing:
		return fmt.Sprintf("publishing %d messages", messages)
	case s.firstUp == 0:
		return "the burst is in the queue; the HPA looks every 15 s"
	case last.ready < last.wanted:
		return "scaling up: workers are starting"
	case last.existing > last.wanted:
		return "scaling down: workers finish what they hold, then stop"
	case last.depth > 0:
		return "working the queue off"
	default:
		return "the queue is empty; scaling down in steps"
	}
}

// failure is why the story can't have a good end any more; nil while it can.
func (s *story) failure() error {
	last := s.last()
	if s.blindSince >= 0 && last.at-s.blindSince >= patience {
		return fmt.Errorf("nothing could be read for %s: %w", patience, last.depthUnknown)
	}
	if s.downSince >= 0 && last.at-s.downSince >= patience {
		return fmt.Errorf("no worker has been ready for %s: %s", patience, last.troubles)
	}
	if s.failedSince >= 0 && last.at-s.failedSince >= patience {
		return fmt.Errorf("the channel's phase has been Failed for %s: %s", patience, last.notReady)
	}
	if s.stuckSince >= 0 && last.at-s.stuckSince >= patience {
		return fmt.Errorf("all messages were consumed, but the replicas never rose above %d; the scaler's last words: %s: %s", minReplicas, last.reason, last.words)
	}
	return nil
}

// late is what had not happened when the deadline passed.
func (s *story) late() error {
	last := s.last()
	scaler := fmt.Sprintf("%s: %s", last.reason, last.words)
	switch {
	case len(s.samples) == 0:
		return fmt.Errorf("the channel could not be read")
	case last.depthUnknown != nil:
		return fmt.Errorf("the queue can't be read: %w", last.depthUnknown)
	case !s.burst && last.notReady != "":
		return fmt.Errorf("the channel did not become ready: %s", last.notReady)
	case !s.burst:
		return fmt.Errorf("the fleet did not come to rest at %d worker: %s; the scaler says %s", minReplicas, last.counts(), scaler)
	case last.publisherState != published:
		return fmt.Errorf("the burst was not published: Job %s is still at it", burstJob)
	case s.firstUp == 0:
		return fmt.Errorf("the replicas never rose above %d; the scaler says %s", minReplicas, scaler)
	case last.depth > 0:
		return fmt.Errorf("the queue was not worked off: %s; the scaler says %s", last.counts(), scaler)
	default:
		return fmt.Errorf("the replicas did not come back to %d: %s, phase %s; the scaler says %s", minReplicas, last.counts(), last.phase, scaler)
	}
}

func (s sample) counts() string {
	return fmt.Sprintf("depth %d, replicas %d ready, %d existing, %d wanted", s.depth, s.ready, s.existing, s.wanted)
}
