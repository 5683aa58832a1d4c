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

// none stands where there is nothing to tell.
const none = "-"

// meanings are the reasons in words, as proto/inspect/v1 has them.
var meanings = map[inspectv1.Reason]string{
	inspectv1.Reason_REASON_WITHIN_BAND:                    "the depth is between the bounds",
	inspectv1.Reason_REASON_ABOVE_UPPER_BOUND:              "the depth is above the upper bound",
	inspectv1.Reason_REASON_BELOW_LOWER_BOUND:              "the depth is below the lower bound",
	inspectv1.Reason_REASON_COOLDOWN:                       "the last scaling was less than cooldownPeriod ago",
	inspectv1.Reason_REASON_AT_MAX_REPLICAS:                "already at maxReplicas",
	inspectv1.Reason_REASON_AT_MIN_REPLICAS:                "already at minReplicas, or at the one replica that only KEDA takes away",
	inspectv1.Reason_REASON_FEWER_WOULD_EXCEED_UPPER_BOUND: "one replica fewer would be too few again",
	inspectv1.Reason_REASON_ABOVE_MAX_AGE:                  "the oldest message waits longer than maxAge",
	inspectv1.Reason_REASON_DEPTH_UNCERTAIN:                "the depth is only known to be at least so many: the fleet does not shrink",
	inspectv1.Reason_REASON_ACTIVATION:                     "no replicas, and a depth above activationQueueDepth: KEDA wakes the target",
	inspectv1.Reason_REASON_IDLE:                           "no replicas, and nothing to wake them for",
	inspectv1.Reason_REASON_OUTSIDE_LIMITS:                 "the replicas are outside minReplicas and maxReplicas",
}

// actionWords tell what is done.
func actionWords(answer *inspectv1.ExplainResponse) string {
	switch answer.GetAction() {
	case inspectv1.Action_ACTION_SCALE_UP:
		return fmt.Sprintf("scale up, %d → %d replicas", answer.GetReplicas(), answer.GetDesiredReplicas())
	case inspectv1.Action_ACTION_SCALE_DOWN:
		return fmt.Sprintf("scale down, %d → %d replicas", answer.GetReplicas(), answer.GetDesiredReplicas())
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

// number is a float without a tail of zeros.
func number(value float64) string { return strconv.FormatFloat(value, 'f', -1, 64) }

// seconds are whole ones, rounded up so that a running cooldown never reads "0 s", as the
// scaler's explanations have them.
func seconds(d time.Duration) string {
	return fmt.Sprintf("%d s", (d+time.Second-1)/time.Second)
}

// age is how long ago something was, as kubectl tells ages.
func age(now, then time.Time) string {
	return duration.HumanDuration(max(0, now.Sub(then))) + " ago"
}

// rate is messages per second; enough digits to tell a slow one from none.
func rate(perSecond float64) string {
	precision := 1
	if perSecond > 0 && perSecond < 0.1 {
		precision = 3
	}
	return strconv.FormatFloat(perSecond, 'f', precision, 64)
}

// clean makes text from elsewhere fit for one line of a terminal: a queue's key may hold
// anything, escape sequences as well.
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
