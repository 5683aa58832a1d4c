package translator

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/jawaracloud/pubsub-operator/translator/apply"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
	"github.com/jawaracloud/pubsub-operator/translator/status"
)

// A refusal whose message counts on is one refusal.
func TestAMessageOfAWebhookThatCounts(t *testing.T) {
	channel := channeltest.Channel()
	events := 0
	for _, id := range []string{"1001", "1002", "1003"} {
		refused, _ := apply.Assess([]error{deniedWith("request " + id + " refused by policy")})
		seen := status.Observed{Problem: refused}
		next, _ := status.Next(plan.Of(channel), seen, channeltest.Now)
		if status.RefusalEvent(channel, next, "x", channeltest.Now) != nil {
			events++
		}
		channel.Status = next
	}
	assert.Equal(t, 1, events)
}

func deniedWith(words string) error {
	return apierrors.NewForbidden(schema.GroupResource{Group: "apps", Resource: "deployments"}, "orders", errors.New(`admission webhook "w" denied the request: `+words))
}
