// Package trouble finds what is wrong with a channel, from its status. It is pure.
package trouble

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/reading"
)

// Rank says how bad a trouble is.
type Rank int

// The ranks, the best first.
const (
	Well     Rank = iota // nothing is wrong
	OnTheWay             // it will be well by itself
	Held                 // it works, and not as it was asked for
	Unseen               // its queue can't be read
	Broken               // it does not work
)

// Trouble is what is wrong with a channel.
type Trouble struct {
	// Reason is that of the first condition that is not as it should be; empty if all are.
	Reason string
	// Message is that condition's. If all is well, it is the last decision's.
	Message string
	Rank    Rank
}

// check is what is wrong in a condition.
type check struct {
	kind  string
	wrong func(metav1.Condition) bool
	rank  Rank
}

// checks are the worst first.
var checks = []check{
	{v1.ConditionReady, func(c metav1.Condition) bool {
		return c.Status != metav1.ConditionTrue && c.Reason != v1.ReasonProgressing
	}, Broken},
	{v1.ConditionStalled, func(c metav1.Condition) bool { return c.Status == metav1.ConditionTrue }, Broken},
	{v1.ConditionConnected, func(c metav1.Condition) bool { return c.Status != metav1.ConditionTrue }, Unseen},
	{v1.ConditionScaled, func(c metav1.Condition) bool {
		return slices.Contains([]string{v1.ReasonNotCarriedOut, v1.ReasonHeldByScaledObject, v1.ReasonFallback}, c.Reason)
	}, Held},
	{v1.ConditionUtilization, func(c metav1.Condition) bool { return c.Status == metav1.ConditionFalse }, Held},
	{v1.ConditionReady, func(c metav1.Condition) bool { return c.Status != metav1.ConditionTrue }, OnTheWay},
}

// Of finds the first condition that somebody should look at.
func Of(channel *v1.PubSubChannel) Trouble {
	if words := reading.Unreadable(channel); words != "" {
		return Trouble{v1.ReasonInvalidSpec, words, Broken}
	}
	conditions := channel.Status.Conditions
	if len(conditions) == 0 {
		return Trouble{"NotObserved", "no controller has looked at it yet: see kubectl pubsub doctor", Broken}
	}
	for _, each := range checks {
		if c := meta.FindStatusCondition(conditions, each.kind); c != nil && each.wrong(*c) {
			return Trouble{c.Reason, c.Message, each.rank}
		}
	}
	if c := meta.FindStatusCondition(conditions, v1.ConditionScaled); c != nil {
		return Trouble{Message: c.Message}
	}
	return Trouble{}
}

// Good is whether a condition is as it should be, by the same rules. Of one that has no rule,
// neither status is wrong.
func Good(c metav1.Condition) bool {
	return !slices.ContainsFunc(checks, func(each check) bool { return each.kind == c.Type && each.wrong(c) })
}
