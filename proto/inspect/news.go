package inspect

import (
	"strings"

	"google.golang.org/protobuf/proto"

	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
)

// Lasting is a copy of an answer without the fields that change all the time. If the lasting
// parts of two answers are equal, the second answer is no news.
func Lasting(answer *inspectv1.ExplainResponse) *inspectv1.ExplainResponse {
	clone := proto.CloneOf(answer)
	DropCounting(clone)
	return clone
}

// DropCounting removes the fields that change all the time from an answer: those that differ
// from one second to the next while nothing else does, and the explanation, which contains them
// (lasting_explanation does not).
func DropCounting(answer *inspectv1.ExplainResponse) {
	answer.SampleAge, answer.CooldownLeft, answer.OldestAge, answer.Explanation = nil, nil, nil, ""
	answer.Busy, answer.BusyOverWindow, answer.Utilization, answer.MeanTimeInFlight = nil, nil, nil, nil
	if window := answer.GetPolicy().GetUtilizationWindow().AsDuration(); window == 0 || answer.GetWindowSeen().AsDuration() < window {
		answer.WindowSeen = nil // that all of it was seen is news, and does not count on
	}
}

// WithoutDigits is a message without its digits, such as seconds or the ports of connections,
// which change all the time.
func WithoutDigits(message string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, message)
}
