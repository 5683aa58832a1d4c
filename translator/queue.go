package translator

import (
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// inTurn is a queue in which each channel has its turn, in the order in which they became due.
//
// controller-runtime's own gives what was there at the start a low priority (0.25,
// pkg/handler, WithLowPriorityWhenUnchanged), which it keeps as long as it waits. Channels are
// looked at again and again, so where there is always one due of those that came later, those of
// the start would never be looked at. It keeps one entry for each channel, where client-go's
// keeps one more for a later look.
type inTurn struct {
	priorityqueue.PriorityQueue[reconcile.Request]
}

func newInTurn(name string, limiter workqueue.TypedRateLimiter[reconcile.Request]) workqueue.TypedRateLimitingInterface[reconcile.Request] {
	return inTurn{priorityqueue.New(name, func(o *priorityqueue.Opts[reconcile.Request]) { o.RateLimiter = limiter })}
}

// AddWithOpts ignores the priority.
func (q inTurn) AddWithOpts(options priorityqueue.AddOpts, requests ...reconcile.Request) {
	options.Priority = nil
	q.PriorityQueue.AddWithOpts(options, requests...)
}
