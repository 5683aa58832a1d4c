// Package view renders decisions for people: pure text, no I/O.
package view

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/jawaracloud/pubsub-operator/proto/inspect"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
)

// none is shown when there is no value.
const none = "-"

// meanings describes each reason in a few words, as the comments of proto/inspect/v1 do.
var meanings = map[inspectv1.Reason]string{
	inspectv1.Reason_REASON_WITHIN_BAND:                    "the depth is between the bounds",
	inspectv1.Reason_REASON_ABOVE_UPPER_BOUND:              "the depth is above the upper bound",
	inspectv1.Reason_REASON_BELOW_LOWER_BOUND:              "the depth is below the lower bound",
	inspectv1.Reason_REASON_COOLDOWN:                       "the last scaling was less than cooldownPeriod ago",
	inspectv1.Reason_REASON_AT_MAX_REPLICAS:                "already at maxReplicas",
	inspectv1.Reason_REASON_AT_MIN_REPLICAS:                "already at minReplicas, or at the last replica, which only KEDA removes",
	inspectv1.Reason_REASON_FEWER_WOULD_EXCEED_UPPER_BOUND: "with one replica fewer the depth would be above the upper bound",
	inspectv1.Reason_REASON_ABOVE_MAX_AGE:                  "the oldest message waits longer than maxAge",
	inspectv1.Reason_REASON_DEPTH_UNCERTAIN:                "the depth is only a lower bound, so the fleet does not shrink",
	inspectv1.Reason_REASON_ABOVE_UTILIZATION:              "the workers are busier than utilization.scaleUp",
	inspectv1.Reason_REASON_WORKERS_BUSY:                   "the depth is below the lower bound, but fewer workers would be busier than utilization.scaleDown",
	inspectv1.Reason_REASON_WINDOW_INCOMPLETE:              "the depth is below the lower bound, but the work in flight was not yet seen for all of utilization.window",
	inspectv1.Reason_REASON_ACTIVATION:                     "there are no replicas, and the depth is above activationQueueDepth: KEDA wakes the target",
	inspectv1.Reason_REASON_IDLE:                           "there are no replicas, and the depth is not above activationQueueDepth",
	inspectv1.Reason_REASON_OUTSIDE_LIMITS:                 "the replicas are not between minReplicas and maxReplicas",
}

// actionWords describes the action.
func actionWords(answer *inspectv1.ExplainResponse) string {
	switch answer.GetAction() {
	case inspectv1.Action_ACTION_SCALE_UP:
		return fmt.Sprintf("scale up, %d → %s", answer.GetReplicas(), plural(int64(answer.GetDesiredReplicas()), "replica"))
	case inspectv1.Action_ACTION_SCALE_DOWN:
		return fmt.Sprintf("scale down, %d → %s", answer.GetReplicas(), plural(int64(answer.GetDesiredReplicas()), "replica"))
	case inspectv1.Action_ACTION_HOLD:
		return "hold at " + plural(int64(answer.GetReplicas()), "replica")
	default:
		return inspect.ActionName(answer.GetAction())
	}
}

func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// number prints a float without trailing zeros.
func number(value float64) string { return strconv.FormatFloat(value, 'f', -1, 64) }

// seconds prints whole seconds, rounded up as the scaler's messages do, so that a running
// cooldown never reads "0 s".
func seconds(d time.Duration) string {
	return fmt.Sprintf("%d s", (d+time.Second-1)/time.Second)
}

// age says how long ago something was, in the format of kubectl.
func age(now, then time.Time) string {
	return duration.HumanDuration(max(0, now.Sub(then))) + " ago"
}

// rate prints messages per second, with enough digits to tell a slow rate from none.
func rate(perSecond float64) string {
	precision := 1
	if perSecond > 0 && perSecond < 0.1 {
		precision = 3
	}
	return strconv.FormatFloat(perSecond, 'f', precision, 64)
}

// clean makes text from elsewhere safe to print on one line of a terminal: a queue's key may
// hold anything, including escape sequences.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case !unicode.IsPrint(r):
			return unicode.ReplacementChar
		default:
			return r
		}
	}, text)
}
