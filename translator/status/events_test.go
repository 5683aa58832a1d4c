package status

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
)

func TestRefusalEvent(t *testing.T) {
	withReady := func(reason, message string) v1.PubSubChannelStatus {
		return v1.PubSubChannelStatus{Conditions: []metav1.Condition{condition(v1.ConditionReady, metav1.ConditionFalse, reason, message)}}
	}
	channel := channeltest.Channel()
	assert.Nil(t, RefusalEvent(channel, v1.PubSubChannelStatus{}, "me", time.Now()))
	assert.Nil(t, RefusalEvent(channel, withReady(v1.ReasonProgressing, "m"), "me", time.Now()), "no refusal")
	for _, reason := range []string{v1.ReasonInvalidSpec, v1.ReasonRefused} {
		event := RefusalEvent(channel, withReady(reason, "m"), "me", time.Now())
		require.NotNil(t, event, reason)
		assert.Equal(t, "Warning "+reason+" m", event.Type+" "+event.Reason+" "+event.Note)
	}
	event := RefusalEvent(channel, withReady(v1.ReasonNotPermitted, strings.Repeat("é", 2000)), "me", time.Now())
	require.NotNil(t, event)
	assert.Equal(t, strings.Repeat("é", maxNote/2), event.Note)
	channel.Status = withReady(v1.ReasonNotPermitted, "one")
	assert.Nil(t, RefusalEvent(channel, withReady(v1.ReasonNotPermitted, "one"), "me", time.Now()))
	assert.NotNil(t, RefusalEvent(channel, withReady(v1.ReasonNotPermitted, "another"), "me", time.Now()))
}
