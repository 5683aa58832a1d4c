package translator

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/translator/inquiry"
)

// Explainer asks the scaler what it would decide now, and why.
type Explainer interface {
	// Explain answers as Inspector.Explain does. Its errors are gRPC statuses; those of
	// the scaler's own are those of proto/inspect.
	// The answer is the caller's to change.
	Explain(ctx context.Context, request *inspectv1.ExplainRequest) (*inspectv1.ExplainResponse, error)
}

const (
	// explainTimeout bounds one question to the scaler.
	explainTimeout = 3 * time.Second
	// explainWorkers is how many questions may be under way at once: enough for 1,000
	// channels every 15 s even while each takes all of explainTimeout.
	explainWorkers = 256
	// explainJitter spreads the questions: each interval is up to this much shorter or
	// longer.
	explainJitter = 0.2
	// explainSettle is when a new question is asked once more: the scaler's view of the
	// cluster may not have had what changed here, such as the replicas that the HPA just set.
	explainSettle = 2 * time.Second
)

// observer keeps asking the scaler about every channel, beside the reconciler: a scaler
// that is slow or gone delays no reconcile, and one slow queue no other channel's answer.
type observer struct {
	explainer Explainer
	interval  time.Duration
	clock     clock.WithTicker
	due       workqueue.TypedDelayingInterface[types.NamespacedName]
	// changed gets the channels about which the scaler said something new.
	changed chan types.NamespacedName
	tracer  trace.Tracer // nil: nothing is traced

	mu       sync.Mutex
	followed map[types.NamespacedName]*following
}

type following struct {
	question *inquiry.Question // nobody changes it
	answer   *inquiry.Answer   // nil until the first
}

// newObserver makes an observer that asks about each channel once per interval.
func newObserver(explainer Explainer, interval time.Duration, clock clock.WithTicker) *observer {
	return &observer{
		explainer: explainer,
		interval:  interval,
		clock:     clock,
		due: workqueue.NewTypedDelayingQueueWithConfig(workqueue.TypedDelayingQueueConfig[types.NamespacedName]{
			Name: "explain", Clock: clock,
		}),
		changed:  make(chan types.NamespacedName),
		followed: map[types.NamespacedName]*following{},
	}
}

// follow makes the question the one that is asked about the channel, at once where it is a
// new one, and returns the last answer about the same queue and policy; nil while there
// is none.
func (o *observer) follow(key types.NamespacedName, q inquiry.Question) *inquiry.Answer {
	o.mu.Lock()
	f, known := o.followed[key]
	if !known {
		f = &following{}
		o.followed[key] = f
	}
	asked := known && f.question.Equal(q)
	if !asked {
		f.question = &q
	}
	last := f.answer
	o.mu.Unlock()
	if !asked {
		o.due.Add(key)
		o.due.AddAfter(key, explainSettle) // which a later time does not put off
	}
	if last != nil && !last.Question.SameQueue(q) {
		return nil
	}
	return last
}

// restart returns the answer as one whose decision stands from now on, and keeps it so.
func (o *observer) restart(key types.NamespacedName, a *inquiry.Answer) *inquiry.Answer {
	fresh := *a
	fresh.Since = o.clock.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	if f, ok := o.followed[key]; ok && f.answer == a {
		if f.answer = &fresh; f.question == &a.Question {
			f.question = &fresh.Question // one copy
		}
	}
	return &fresh
}

// forget ends the questions about a channel.
func (o *observer) forget(key types.NamespacedName) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.followed, key)
}

// Start asks until the context ends. It runs where the controller does: on the leader.
func (o *observer) Start(ctx context.Context) error {
	var workers sync.WaitGroup
	for range explainWorkers {
		workers.Go(func() {
			for {
				key, shutdown := o.due.Get()
				if shutdown {
					return
				}
				o.ask(ctx, key)
				o.due.Done(key)
			}
		})
	}
	<-ctx.Done()
	o.due.ShutDown()
	workers.Wait()
	return nil
}

// ask asks once about one channel, and sees to it that it is asked again.
func (o *observer) ask(ctx context.Context, key types.NamespacedName) {
	o.mu.Lock()
	f, ok := o.followed[key]
	var q inquiry.Question
	if ok {
		q = *f.question
	}
	o.mu.Unlock()
	if !ok || ctx.Err() != nil {
		return
	}
	asking, cancel := context.WithTimeout(ctx, explainTimeout)
	asking, end := began(asking, o.tracer, "ask the scaler", key)
	response, err := o.explainer.Explain(asking, q.Request(key.Namespace, key.Name))
	end(err)
	cancel()
	if ctx.Err() != nil {
		return // we are stopping: the error says nothing of the scaler
	}
	if response != nil {
		slim(response)
	}
	now := o.clock.Now()
	if o.keep(key, &inquiry.Answer{Question: q, Response: response, Err: err, At: now, Since: now}) {
		select {
		case o.changed <- key:
		case <-ctx.Done():
			return
		}
	}
	o.due.AddAfter(key, o.pause())
}

// slim leaves of an answer, which is kept for as long as the channel lives, what somebody reads.
// The status has most of its texts as well.
func slim(response *inspectv1.ExplainResponse) {
	response.Explanation, response.CooldownLeft, response.Utilization = "", nil, nil
	response.Keys = nil
	if window := response.GetPolicy().GetUtilizationWindow(); window != nil && response.GetWindowSeen() != nil {
		response.Policy = &inspectv1.Policy{UtilizationWindow: window}
	} else {
		response.Policy = nil
	}
	for _, text := range []*string{
		&response.QueueType, &response.PolicyInUse, &response.FallbackReason, &response.ConcurrencyRemark,
		&response.LastingExplanation, &response.Arithmetic, &response.Remarks,
	} {
		intern(text)
	}
}

// keep stores an answer and reports whether it says anything new. One that does not is not
// kept, so that what changes a little each time is held against what was told.
func (o *observer) keep(key types.NamespacedName, a *inquiry.Answer) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	f, ok := o.followed[key]
	if !ok {
		return false // deleted meanwhile
	}
	last := f.answer
	if a.SameAs(last) {
		return false
	}
	if a.Decides(last) {
		a.Since = last.Since
	}
	f.answer = a
	if f.question.Equal(a.Question) {
		f.question = &a.Question // one copy
	}
	return true
}

func (o *observer) pause() time.Duration {
	return time.Duration(float64(o.interval) * (1 - explainJitter + 2*explainJitter*rand.Float64()))
}

// deliver passes what changed on to the controller's queue; it is a source of the
// controller.
func (o *observer) deliver(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case key := <-o.changed:
				queue.Add(reconcile.Request{NamespacedName: key})
			}
		}
	}()
	return nil
}
