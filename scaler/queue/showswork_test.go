package queue_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/jawaracloud/pubsub-operator/scaler/framework"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// Nothing in flight is an answer only of queues that would show it.
func TestShowsWork(t *testing.T) {
	for name, test := range map[string]struct {
		depth       queue.Depth
		is, atLeast bool
	}{
		"a stream": {queue.Depth{Kind: queue.Stream}, true, false},
		"a stream of which what waits is a lower bound": {queue.Depth{Kind: queue.Stream, LowerBound: true}, true, false},
		"a list with consumers":                         {queue.Depth{Kind: queue.List, Consumed: true}, true, false},
		"a list whose consumers change":                 {queue.Depth{Kind: queue.List, Consumed: true, LowerBound: true}, true, true},
		"a list whose consumers are gone":               {queue.Depth{Kind: queue.List, InFlight: 1}, true, false},
		"a plain list":                                  {queue.Depth{Kind: queue.List, Ready: 5}, false, false},
		"no key":                                        {queue.Depth{Kind: queue.None}, false, false},
		"a sorted set":                                  {queue.Depth{Kind: queue.SortedSet}, false, false},
		"Pub/Sub":                                       {queue.Depth{Kind: queue.PubSub, LowerBound: true}, false, true},
		"Arq":                                           {queue.Depth{Kind: queue.KindOf(framework.Arq)}, false, false},
		"BullMQ":                                        {queue.Depth{Kind: queue.KindOf(framework.BullMQ)}, true, false},
		"what is of all queues of Celery":               {queue.Depth{Kind: queue.SharedKindOf(framework.Celery), LowerBound: true}, true, true},
		"one queue of Sidekiq":                          {queue.Depth{Kind: queue.KindOf(framework.Sidekiq)}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.is, test.depth.ShowsWork())
			assert.Equal(t, test.atLeast, test.depth.WorkAtLeast())
		})
	}
}
