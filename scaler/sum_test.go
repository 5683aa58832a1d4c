package scaler

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/jawaracloud/pubsub-operator/scaler/policy"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
	"github.com/jawaracloud/pubsub-operator/scaler/target"
	"github.com/jawaracloud/pubsub-operator/scaler/trigger"
)

// What several queues come to, and what that does to a fleet of 10.
func TestSumOfWhatIsNotCertain(t *testing.T) {
	exact := queue.Depth{Kind: queue.List, Ready: 100, InFlight: 20}
	atLeast := queue.Depth{Kind: queue.Stream, Ready: 7, LowerBound: true}
	estimate := queue.Depth{Kind: queue.Stream, Ready: 90, Estimate: true}
	pubSub := queue.Depth{Kind: queue.PubSub, LowerBound: true, Estimate: true}
	huge := queue.Depth{Kind: queue.List, Ready: math.MaxInt64}
	tests := map[string]struct {
		depths     []queue.Depth
		depth      int64
		lowerBound bool
		desired    int32
		reason     policy.Reason
	}{
		"exact":                               {[]queue.Depth{exact, exact}, 240, false, 8, policy.BelowLowerBound},
		"one of them is a lower bound":        {[]queue.Depth{exact, atLeast}, 127, true, 10, policy.DepthUncertain},
		"an estimate is decided by":           {[]queue.Depth{exact, estimate}, 210, false, 8, policy.BelowLowerBound},
		"Pub/Sub is decided by, and told so":  {[]queue.Depth{pubSub}, 0, true, 8, policy.BelowLowerBound},
		"Pub/Sub does not make another exact": {[]queue.Depth{pubSub, atLeast}, 7, true, 10, policy.DepthUncertain},
		"more than a number can hold":         {[]queue.Depth{huge, huge, exact}, math.MaxInt64, false, 100, policy.AboveUpperBound},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			queues, samples := make([]queue.Queue, len(test.depths)), make([]sampling.Sample, len(test.depths))
			for i, depth := range test.depths {
				samples[i] = sampling.Sample{Depth: depth, At: time.Unix(1, 0)}
			}
			read := sum(queues, samples)
			spec := policy.DefaultSpec()
			spec.MaxReplicas = 100
			e := New(Options{}).decide(&request{trigger: trigger.Trigger{Policy: spec}}, read, target.State{Replicas: 10})
			assert.Equal(t, test.depth, read.depth())
			assert.Equal(t, test.lowerBound, read.lowerBound)
			assert.Equal(t, test.desired, e.Decision.Desired, e.Decision.Text)
			assert.Equal(t, test.reason, e.Decision.Reason, e.Decision.Text)
		})
	}
}
