package hpa

import (
	"slices"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
)

// recommendation is what the metric asked for at a sync, before any limit.
type recommendation struct {
	replicas int32
	at       time.Time
}

// stabilize keeps the replicas between the lowest recommendation of the scale-up window
// and the highest of the scale-down window (horizontal.go,
// stabilizeRecommendationWithBehaviors), and records this one. A recommendation exactly
// as old as a window is outside it.
func (a *Autoscaler) stabilize(now time.Time, replicas, proposed int32) int32 {
	lowest, highest := proposed, proposed
	upFrom, downFrom := now.Add(-a.upWindow), now.Add(-a.downWindow)
	for _, r := range a.recommendations {
		if r.at.After(upFrom) {
			lowest = min(lowest, r.replicas)
		}
		if r.at.After(downFrom) {
			highest = max(highest, r.replicas)
		}
	}
	a.record(now, proposed, max(a.upWindow, a.downWindow))
	return min(max(replicas, lowest), highest)
}

// highestRecent is the rule where the HPA has no behavior (horizontal.go,
// stabilizeRecommendation): a recommendation exactly as old as the window still counts.
func (a *Autoscaler) highestRecent(now time.Time, proposed int32) int32 {
	highest := proposed
	from := now.Add(-a.downWindow)
	for _, r := range a.recommendations {
		if !r.at.Before(from) {
			highest = max(highest, r.replicas)
		}
	}
	a.record(now, proposed, a.downWindow)
	return highest
}

// record keeps a recommendation, and drops those that no later sync can count.
func (a *Autoscaler) record(now time.Time, proposed int32, window time.Duration) {
	from := now.Add(-window)
	a.recommendations = slices.DeleteFunc(a.recommendations, func(r recommendation) bool { return r.at.Before(from) })
	a.recommendations = append(a.recommendations, recommendation{proposed, now})
}

// remember records a change of the replicas that the HPA made.
func (a *Autoscaler) remember(now time.Time, change int32) {
	a.lastScale = now.Truncate(time.Second)
	switch {
	case !a.hasBehavior:
	case change > 0:
		a.ups.add(event{change, now}, longestPeriod(a.up))
	default:
		a.downs.add(event{-change, now}, longestPeriod(a.down))
	}
}

// event is a change by the HPA in one direction, in replicas.
type event struct {
	replicas int32
	at       time.Time
}

type events []event

// add puts an event in place of the last one that is older than the longest period of the
// rules of its own direction, or at the end. The controller does so too (horizontal.go,
// storeScaleEvent), and it shows: the rules of the other direction may have longer
// periods, for which an event counts until another has taken its place.
func (e *events) add(newest event, longest time.Duration) {
	from := newest.at.Add(-longest)
	for i, old := range slices.Backward(*e) {
		if old.at.Before(from) {
			(*e)[i] = newest
			return
		}
	}
	*e = append(*e, newest)
}

// since is the sum of the changes in a period that ends now.
func (e events) since(now time.Time, periodSeconds int32) int32 {
	from := now.Add(-seconds(periodSeconds))
	var sum int32
	for _, event := range e {
		if event.at.After(from) {
			sum += event.replicas
		}
	}
	return sum
}

func longestPeriod(rules *autoscalingv2.HPAScalingRules) time.Duration {
	var longest int32
	for _, policy := range rules.Policies {
		longest = max(longest, policy.PeriodSeconds)
	}
	return seconds(longest)
}
