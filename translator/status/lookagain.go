package status

import (
	"time"

	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// LookAgain is when the condition may have to change though nothing else does; 0: never.
func LookAgain(p *plan.Plan, seen Observed, now time.Time) time.Duration {
	if wantsFewer(p, seen) {
		if schedule, end := keptBySchedule(p, replicasOf(seen), now); schedule != nil {
			return end.Sub(now)
		}
	}
	_, untilTakenUp := notTakenUp(p, seen.ScaledObject, now)
	return Sooner(untilOverdue(p, seen, now), untilTakenUp, untilUtilizationTold(p, seen, now))
}

// untilOverdue is when a step may have to be told as not carried out; 0: never, or it is told.
func untilOverdue(p *plan.Plan, seen Observed, now time.Time) time.Duration {
	s := stepOf(p, seen)
	if s == noStep {
		return 0
	}
	return max(0, overdueFrom(p, seen, s).Sub(now))
}

// Sooner is the least of these times, of which 0 is never.
func Sooner(times ...time.Duration) time.Duration {
	var least time.Duration
	for _, d := range times {
		if least == 0 || d != 0 && d < least {
			least = d
		}
	}
	return least
}
