package inspect

import (
	"strings"

	"google.golang.org/protobuf/proto"

	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
)

// Lasting is a copy of an answer without what only counts. Two answers whose lasting parts
// are equal say the same: the second is no news.
func Lasting(answer *inspectv1.ExplainResponse) *inspectv1.ExplainResponse {
	clone := proto.CloneOf(answer)
	DropCounting(clone)
	return clone
}

// DropCounting takes what only counts out of an answer: fields that differ from one second to
// the next while nothing else does, and the explanation, which tells them in words
// (lasting_explanation does not).
func DropCounting(answer *inspectv1.ExplainResponse) {
	answer.SampleAge, answer.CooldownLeft, answer.OldestAge, answer.Explanation = nil, nil, nil, ""
}

// WithoutDigits is a message without what merely counts in it, such as seconds, or the ports
// of connections.
func WithoutDigits(message string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, message)
}
