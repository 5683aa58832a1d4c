package scaler

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"google.golang.org/grpc/status"

	"github.com/jawaracloud/pubsub-operator/proto/inspect"
	"github.com/jawaracloud/pubsub-operator/scaler/policy"
	"github.com/jawaracloud/pubsub-operator/scaler/target"
)

const (
	// answerIdle is how long an answer is told without a question of KEDA. KEDA asks every 15 to 30 s.
	answerIdle = 2 * time.Minute
	// maxUnchecked is about how many ScaledObjects a scaler without a cluster tells. There a
	// caller may use any name, and each new one costs memory and series.
	maxUnchecked = 1000
	// maxTriggers is how many triggers of a ScaledObject are told apart.
	maxTriggers = 32
	// leastFull is how many are known before the first look for those that nobody asks about.
	leastFull = 100
)

// answers are the newest answers to KEDA about each ScaledObject. They are for metrics and the
// log alone: nothing is decided from them.
type answers struct {
	targets Targets // nil: without a cluster
	now     func() time.Time

	mu    sync.Mutex
	known map[objectKey]*objectAnswers
	// full is how many are known when it is worth looking for those that nobody asks about: a
	// scaler whose metrics nobody scrapes must not keep all that it ever heard of.
	full int
}

// objectAnswers are those about one ScaledObject.
type objectAnswers struct {
	// byTrigger has the answer about each trigger that is ours, by its index.
	byTrigger []answer
	// unresolved says that the last question was about no trigger that can be read.
	unresolved bool
	asked      time.Time
	failures   map[inspect.ErrorReason]uint64
}

// answer is the newest answer about one trigger.
type answer struct {
	asked  time.Time // the zero time: never
	failed bool      // then nothing below is known

	sampled         time.Time
	ready, inFlight int64
	lowerBound      bool
	rate            float64 // messages per second
	rateKnown       bool
	oldest          time.Time // the zero time: none waits, or it is not known

	minReplicas, maxReplicas, replicas, desired int32
	target, lower, upper                        int64 // messages
	reason                                      policy.Reason
	cooldownEnd                                 time.Time
	active                                      bool

	slots     int64   // messages that the replicas work on at once; 0 for policies that don't ask
	busy      float64 // messages in flight on average, by which Utilization decides
	busyKnown bool
}

func newAnswers(targets Targets, now func() time.Time) *answers {
	return &answers{targets: targets, now: now, known: map[objectKey]*objectAnswers{}}
}

// succeeded takes down an answer. It reports whether the answer asks for a change that the one
// before did not ask for.
func (a *answers) succeeded(r *request, e *evaluation) (news bool) {
	now, d, spec := a.now(), &e.Decision, &r.trigger.Policy
	next := answer{
		asked: now, sampled: e.reading.at, ready: e.reading.ready, inFlight: e.reading.inFlight, lowerBound: e.reading.lowerBound,
		rateKnown: e.reading.rate != nil, oldest: e.reading.oldest,
		minReplicas: spec.MinReplicas, maxReplicas: spec.MaxReplicas, replicas: d.Replicas, desired: d.Desired,
		target: spec.TargetQueueDepth, lower: d.LowerBound, upper: d.UpperBound,
		reason: d.Reason, cooldownEnd: now.Add(d.CooldownLeft), active: d.Active,
	}
	if next.rateKnown {
		next.rate = *e.reading.rate
	}
	if spec.Policy == policy.ByUtilization {
		next.slots = spec.Slots(d.Replicas)
		next.busy, next.busyKnown = e.reading.busy.recent()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	object := a.of(objectKey{r.namespace, r.name})
	if object == nil {
		return next.desired != next.replicas
	}
	last := object.trigger(r.index)
	news = next.desired != next.replicas && (last.desired != next.desired || last.replicas != next.replicas)
	*last, object.asked, object.unresolved = next, now, false
	return news
}

// failed takes down that a question about a trigger has no answer, or, without a request, that
// the trigger itself can't be read.
func (a *answers) failed(ctx context.Context, namespace, name string, r *request, err error) {
	reason, ours := inspect.ReasonOf(status.Convert(err))
	if !ours || reason == inspect.Canceled || reason == inspect.ShuttingDown {
		return // it says nothing about the queue
	}
	key := objectKey{namespace, name}
	if r == nil && a.find(ctx, key) != nil {
		return // a caller with made-up names must not make series of them
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	object := a.of(key)
	if object == nil {
		return
	}
	object.asked = a.now()
	object.failures[reason]++
	if object.unresolved = r == nil; object.unresolved {
		return
	}
	last := object.trigger(r.index)
	last.asked, last.failed = object.asked, true
}

// of returns what is known of a ScaledObject; nil if no more may be known.
func (a *answers) of(key objectKey) *objectAnswers {
	if object, ok := a.known[key]; ok {
		return object
	}
	if len(a.known) >= a.full || a.targets == nil && len(a.known) >= maxUnchecked {
		a.forgetIdle()
		a.full = 2*len(a.known) + leastFull
	}
	if key.name == "" || a.targets == nil && len(a.known) >= maxUnchecked {
		return nil
	}
	object := &objectAnswers{failures: make(map[inspect.ErrorReason]uint64), asked: a.now()}
	a.known[key] = object
	return object
}

func (o *objectAnswers) trigger(index int) *answer {
	index = min(index, maxTriggers-1)
	for len(o.byTrigger) <= index {
		o.byTrigger = append(o.byTrigger, answer{})
	}
	return &o.byTrigger[index]
}

// findTimeout bounds a look into the cluster's cache, which answers at once if it is filled.
const findTimeout = time.Second

// find looks for a ScaledObject.
func (a *answers) find(ctx context.Context, key objectKey) error {
	if a.targets == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, findTimeout)
	defer cancel()
	_, err := a.targets.Find(ctx, key.namespace, key.name)
	return err
}

// told is what is to be told of a ScaledObject.
type told struct {
	objectKey
	answer   // of its triggers, the one that asks for the most replicas, as the HPA follows that
	known    bool
	asked    time.Time
	failing  bool
	failures map[inspect.ErrorReason]uint64
}

// all returns what is to be told now. What nobody asks about, and what is gone from the
// cluster, is forgotten.
func (a *answers) all() []told {
	for _, key := range a.keys() {
		if errors.Is(a.find(context.Background(), key), target.ErrNotFound) {
			a.forget(key)
		}
	}
	now := a.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.forgetIdle()
	all := make([]told, 0, len(a.known))
	for key, object := range a.known {
		t := told{objectKey: key, asked: object.asked, failing: object.unresolved, failures: maps.Clone(object.failures)}
		for i := range object.byTrigger {
			one := &object.byTrigger[i]
			switch {
			case one.asked.IsZero() || now.Sub(one.asked) > answerIdle:
			case one.failed:
				t.failing = true
			case !t.known || one.desired > t.answer.desired:
				t.answer, t.known = *one, true
			}
		}
		all = append(all, t)
	}
	return all
}

// forgetIdle forgets what nobody asks about. The mutex must be held.
func (a *answers) forgetIdle() {
	now := a.now()
	maps.DeleteFunc(a.known, func(_ objectKey, object *objectAnswers) bool { return now.Sub(object.asked) > answerIdle })
}

func (a *answers) keys() []objectKey {
	a.mu.Lock()
	defer a.mu.Unlock()
	keys := make([]objectKey, 0, len(a.known))
	for key := range a.known {
		keys = append(keys, key)
	}
	return keys
}

func (a *answers) forget(key objectKey) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.known, key)
}

// evaluateForKEDA is evaluate for a question of KEDA. The answer is taken down, and a decision
// that changes something is logged once.
func (s *Service) evaluateForKEDA(ctx context.Context, r *request) (evaluation, error) {
	e, err := s.evaluate(ctx, r)
	if err != nil {
		s.answers.failed(ctx, r.namespace, r.name, r, err)
		return e, err
	}
	if s.answers.succeeded(r, &e) {
		s.logger.InfoContext(ctx, "decided", "namespace", r.namespace, "name", r.name, "replicas", e.Decision.Replicas,
			"desiredReplicas", e.Decision.Desired, "reason", string(e.Decision.Reason), "message", r.told(e.Decision.Text))
	}
	return e, nil
}

// resolveForKEDA is resolve for a question of KEDA about a queue.
func (s *Service) resolveForKEDA(ctx context.Context, q question) (*request, error) {
	r, err := s.resolve(ctx, q)
	if err != nil {
		s.answers.failed(ctx, q.namespace, q.name, nil, err)
	}
	return r, err
}
