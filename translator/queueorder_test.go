package translator

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

type requestQueue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// looked is a channel as who adds it, and who looks at it, know it.
type looked struct {
	request reconcile.Request
	changed atomic.Int64 // changes, each counted before the channel is added
	seen    atomic.Int64 // those that whoever looks has seen
	held    atomic.Bool  // somebody looks at it
}

func (l *looked) upToDate() bool { return l.seen.Load() == l.changed.Load() && !l.held.Load() }

func lookedAt(n int) []*looked {
	all := make([]*looked, n)
	for i := range all {
		all[i] = &looked{request: reconcile.Request{NamespacedName: types.NamespacedName{Namespace: "shop", Name: fmt.Sprint("channel-", i)}}}
	}
	return all
}

// change changes channels, and adds each in one of the ways of the controller's sources.
func change(ctx context.Context, r *rand.Rand, queue requestQueue, channels []*looked) {
	for range 1 + r.IntN(30) {
		channel := channels[r.IntN(len(channels))]
		channel.changed.Add(1)
		switch r.IntN(5) {
		case 0:
			queue.AddAfter(channel.request, time.Duration(r.IntN(3000))*time.Millisecond)
		case 1:
			queue.AddRateLimited(channel.request)
		case 2:
			if ours, ok := queue.(priorityqueue.PriorityQueue[reconcile.Request]); ok { // as handlers do at the start
				ours.AddWithOpts(priorityqueue.AddOpts{Priority: new(handler.LowPriority)}, channel.request, channels[r.IntN(len(channels))].request)
				continue
			}
			queue.Add(channel.request)
		default:
			queue.Add(channel.request)
		}
		if r.IntN(2) == 0 {
			pauseFor(ctx, time.Duration(r.IntN(20))*time.Millisecond)
		}
	}
}

// look takes channels until the queue is shut down, and returns each as the controller's workers do: some of them to be
// looked at again, which makes up for what was lost, so not always.
func look(ctx context.Context, t *testing.T, r *rand.Rand, queue requestQueue, again bool, channels map[reconcile.Request]*looked) {
	for {
		request, shutdown := queue.Get()
		if shutdown {
			return
		}
		channel := channels[request]
		assert.True(t, channel.held.CompareAndSwap(false, true), "%s is looked at by two at once", request.Name)
		changed := channel.changed.Load()
		if r.IntN(2) == 0 {
			pauseFor(ctx, time.Duration(r.IntN(30))*time.Millisecond)
		}
		channel.seen.Store(max(changed, channel.seen.Load()))
		channel.held.Store(false)
		switch next := r.IntN(6); {
		case again && next == 0:
			queue.AddRateLimited(request)
		case again && next == 1:
			queue.Forget(request)
			queue.AddAfter(request, time.Duration(1+r.IntN(5000))*time.Millisecond)
		default:
			queue.Forget(request)
		}
		queue.Done(request)
	}
}

// Whoever changes a channel and then adds it can rely on that somebody looks at it afterwards, whatever is
// added, looked at, given back and put off meanwhile; never do two look at one channel at once; and all end when the
// queue is shut down. client-go's queue says what is right: it is held to the same.
func TestNoChangeIsLost(t *testing.T) {
	limiter := func() workqueue.TypedRateLimiter[reconcile.Request] { return newRetries(15 * time.Second) }
	first := rand.Uint64()
	for name, queueOf := range map[string]func() requestQueue{
		"client-go's": func() requestQueue { return workqueue.NewTypedRateLimitingQueue(limiter()) },
		"ours":        func() requestQueue { return newInTurn("no-change-is-lost", limiter()) },
	} {
		t.Run(name, func(t *testing.T) {
			for i := range uint64(200) {
				synctest.Test(t, func(t *testing.T) { changesAreSeen(t, first+i, queueOf()) })
			}
		})
	}
}

func changesAreSeen(t *testing.T, seed uint64, queue requestQueue) {
	r := rand.New(rand.NewPCG(seed, 0))
	channels := lookedAt(1 + r.IntN(8))
	byRequest := map[reconcile.Request]*looked{}
	for _, channel := range channels {
		byRequest[channel.request] = channel
	}
	var looking, changing sync.WaitGroup
	again := r.IntN(2) == 0
	for i := range 1 + r.IntN(4) {
		looking.Go(func() { look(t.Context(), t, rand.New(rand.NewPCG(seed, 100+uint64(i))), queue, again, byRequest) })
	}
	for i := range 1 + r.IntN(4) {
		changing.Go(func() { change(t.Context(), rand.New(rand.NewPCG(seed, 200+uint64(i))), queue, channels) })
	}
	changing.Wait()
	// The clock of a synctest bubble: it takes as long as the machine needs, and ends at once where nothing is left to do.
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); {
		if !slices.ContainsFunc(channels, func(channel *looked) bool { return !channel.upToDate() }) {
			break
		}
		pauseFor(t.Context(), 10*time.Millisecond)
	}
	for _, channel := range channels {
		assert.Equal(t, channel.changed.Load(), channel.seen.Load(), "seed %d: %s was changed, and nobody looks", seed, channel.request.Name)
	}
	if r.IntN(2) == 0 { // while some wait and some are added
		queue.AddAfter(channels[0].request, time.Hour)
		queue.Add(channels[0].request)
	}
	queue.ShutDown()
	queue.Add(channels[0].request) // is no more
	looking.Wait()                 // a bubble in which all wait for ever fails
}

// A single worker looks at channels in the order in which they became due, whether they were added then or put
// off until then.
func TestTheOrderIsThatOfBecomingDue(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for i := range uint64(50) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, i))
			queue := newInTurn("order", newRetries(15*time.Second))
			channels := lookedAt(20)
			due := map[reconcile.Request]time.Duration{} // since the start, each another one
			began := time.Now()
			for at, position := range r.Perm(len(channels)) {
				channel := channels[position]
				now := time.Since(began)
				if r.IntN(2) == 0 {
					due[channel.request] = now
					queue.Add(channel.request)
				} else {
					after := time.Duration(r.IntN(200))*time.Millisecond + time.Duration(1+at)*time.Microsecond
					due[channel.request] = now + after
					queue.AddAfter(channel.request, after)
				}
				pauseFor(t.Context(), 10*time.Millisecond)
			}
			pauseFor(t.Context(), time.Second) // all are due
			var order []time.Duration
			for range channels {
				request, shutdown := queue.Get()
				require.False(t, shutdown)
				order = append(order, due[request])
				queue.Done(request)
			}
			assert.True(t, slices.IsSorted(order), "seed %d, %d: %v", seed, i, order)
			queue.ShutDown()
		})
	}
}
