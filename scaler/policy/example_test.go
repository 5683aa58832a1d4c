package policy_test

import (
	"fmt"
	"time"

	"github.com/jawaracloud/pubsub-operator/scaler/policy"
)

// A spec and a state are numbers, and so is what comes out: the same numbers always give the
// same decision.
func ExampleDecide() {
	spec := policy.DefaultSpec() // a target of 100 messages per replica, thresholds of 150 % and 50 %
	spec.MaxReplicas = 50
	now := time.Date(2026, 11, 23, 5, 0, 0, 0, time.UTC)

	for _, state := range []policy.State{
		{Replicas: 3, Depth: 500, Now: now},
		{Replicas: 4, Depth: 500, Now: now},
		{Replicas: 4, Depth: 700, Now: now, LastScale: now.Add(-20 * time.Second)},
		{Replicas: 10, Depth: 0, Now: now},
	} {
		decision := policy.Decide(spec, state)
		fmt.Printf("%s: %s\n", decision.Reason, decision.Text)
	}
	// Output:
	// AboveUpperBound: queue depth 500 is above 450 = 100 × 3 × 150 %: 3 → 4 replicas
	// WithinBand: queue depth 500 is between 200 and 600 (100 × 4 × 50 % and 150 %): holding at 4
	// Cooldown: queue depth 700 is above 600 = 100 × 4 × 150 %; holding at 4: 40 s of the 60 s cooldown left
	// BelowLowerBound: queue depth 0 is below 500 = 100 × 10 × 50 %: 10 → 8 replicas
}

// The arithmetic of a decision shows how the replicas are computed, and what limits them.
func ExampleDecide_arithmetic() {
	spec := policy.DefaultSpec()
	decision := policy.Decide(spec, policy.State{Replicas: 3, Depth: 5000})
	fmt.Println(decision.Arithmetic)
	fmt.Println(decision.Text)
	// Output:
	// ceil(5000 ÷ (100 × 150 %)) = 34, but maxReplicas is 10
	// queue depth 5000 is above 450 = 100 × 3 × 150 %: 3 → 10 replicas
}
