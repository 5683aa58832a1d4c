package scaler_test

import (
	"fmt"
	"time"

	"github.com/jawaracloud/pubsub-operator/scaler/policy"
	"github.com/jawaracloud/pubsub-operator/scaler/trigger"
)

// What a call does between the cluster, the queue and the answer: it parses the trigger's
// metadata, decides, and makes the value from which the HPA computes the replicas.
func Example() {
	parsed, err := trigger.Parse(map[string]string{
		"channelName":      "orders",
		"redisAddress":     "dragonfly:6379",
		"maxReplicas":      "50",
		"targetQueueDepth": "100",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("read", parsed.QueueKeys(), "on", parsed.Redis.Address)

	decision := policy.Decide(parsed.Policy, policy.State{
		Replicas: 3,   // from the target
		Depth:    500, // from the queue: 480 ready and 20 in flight
		Now:      time.Date(2026, 11, 23, 5, 0, 0, 0, time.UTC),
	})
	fmt.Println(decision.Text)
	fmt.Println("GetMetrics:", parsed.Policy.MetricValue(decision, true))
	fmt.Println("IsActive:", decision.Active)
	// Output:
	// read [orders] on dragonfly:6379
	// queue depth 500 is above 450 = 100 × 3 × 150 %: 3 → 4 replicas
	// GetMetrics: 400
	// IsActive: true
}

// A trigger that can't be read is an error that names the key, its value and the remedy.
func Example_invalidTrigger() {
	_, err := trigger.Parse(map[string]string{"channelName": "orders", "cooldownPeriod": "1m"})
	fmt.Println(err)
	// Output:
	// trigger metadata: cooldownPeriod is "1m": it must be a whole number, for example 60
}
