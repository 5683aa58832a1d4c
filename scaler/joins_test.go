package scaler

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jawaracloud/pubsub-operator/scaler/explanation"
	"github.com/jawaracloud/pubsub-operator/scaler/policy"
	"github.com/jawaracloud/pubsub-operator/scaler/trigger"
)

// What one room has, and another does not know, is an error that says so: no default, which
// would be the depth of something else or a decision without a reason.
func TestAValueWithoutARowIsAFault(t *testing.T) {
	s := New(Options{})
	ofQueue := func(q trigger.Queue) error {
		_, err := queuesOf(trigger.Trigger{ChannelName: "q", Queue: q})
		return err
	}
	ofDecision := func(action policy.Action, reason policy.Reason) error {
		out, err := s.explanation(&request{}, evaluation{Evaluation: explanation.Evaluation{Decision: policy.Decision{Action: action, Reason: reason}}})
		assert.Nil(t, out)
		return err
	}
	for words, err := range map[string]error{
		`queueType "Bag", preset "" and score "Any"`:        ofQueue(trigger.Queue{Type: "Bag", Score: trigger.AnyScore}),
		`queueType "Auto", preset "Resque" and score "Any"`: ofQueue(trigger.Queue{Type: trigger.Auto, Preset: "Resque", Score: trigger.AnyScore}),
		`preset "" and score "UnixMinutes"`:                 ofQueue(trigger.Queue{Type: trigger.SortedSet, Score: "UnixMinutes"}),
		`inFlight "Mine" and scheduled "Count"`:             ofQueue(trigger.Queue{Type: trigger.Auto, Preset: "RQ", Score: trigger.AnyScore, InFlight: "Mine", Scheduled: "Count"}),
		`scheduled "Never"`:                                 ofQueue(trigger.Queue{Type: trigger.Auto, Preset: "RQ", Score: trigger.AnyScore, InFlight: "Queue", Scheduled: "Never"}),
		`action 99 for reason "WithinBand"`:                 ofDecision(99, policy.WithinBand),
		`action 1 for reason "Whim"`:                        ofDecision(policy.Hold, "Whim"),
		`action 0 for reason ""`:                            ofDecision(0, ""),
	} {
		assert.Equal(t, codes.Internal, status.Code(err), words)
		assert.ErrorContains(t, err, words)
		assert.ErrorContains(t, err, "report it as a fault")
	}
}
