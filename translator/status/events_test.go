package status

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	eventsv1 "k8s.io/api/events/v1"
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
	for _, reason := range []string{v1.ReasonInvalidSpec, v1.ReasonRefused, v1.ReasonAdoptionRefused, v1.ReasonDeploymentConflict, v1.ReasonScaledObjectConflict} {
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

func TestTroubleEvents(t *testing.T) {
	with := func(kind string, status metav1.ConditionStatus, reason, message string) v1.PubSubChannelStatus {
		return v1.PubSubChannelStatus{Conditions: []metav1.Condition{condition(kind, status, reason, message)}}
	}
	unreadable := with(v1.ConditionConnected, metav1.ConditionFalse, "Unavailable", "connection refused")
	for name, test := range map[string]struct {
		before, after v1.PubSubChannelStatus
		want          string
	}{
		"read":                     {v1.PubSubChannelStatus{}, with(v1.ConditionConnected, metav1.ConditionTrue, v1.ReasonQueueRead, "m"), ""},
		"unreadable":               {v1.PubSubChannelStatus{}, unreadable, "QueueUnreadable connection refused"},
		"unreadable as before":     {unreadable, with(v1.ConditionConnected, metav1.ConditionFalse, "Unavailable", "refused 2 times"), ""},
		"unreadable otherwise":     {unreadable, with(v1.ConditionConnected, metav1.ConditionFalse, "Unauthenticated", "a password"), "QueueUnreadable a password"},
		"the scaler does not tell": {v1.PubSubChannelStatus{}, with(v1.ConditionConnected, metav1.ConditionUnknown, v1.ReasonScalerUnreachable, "m"), ""},
		"KEDA is not ready": {with(v1.ConditionReady, metav1.ConditionTrue, v1.ReasonAvailable, "m"),
			with(v1.ConditionReady, metav1.ConditionFalse, v1.ReasonKEDANotReady, "no such metric"), "KEDANotReady no such metric"},
		"KEDA is not ready as before": {with(v1.ConditionReady, metav1.ConditionFalse, v1.ReasonKEDANotReady, "for 5 s"),
			with(v1.ConditionReady, metav1.ConditionFalse, v1.ReasonKEDANotReady, "for 10 s"), ""},
		"KEDA is ready": {v1.PubSubChannelStatus{}, with(v1.ConditionReady, metav1.ConditionTrue, v1.ReasonAvailable, "m"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			channel := channeltest.Channel()
			channel.Status = test.before
			got := ""
			for _, event := range []*eventsv1.Event{UnreadableEvent(channel, test.after, "me", time.Now()), KEDANotReadyEvent(channel, test.after, "me", time.Now())} {
				if event != nil {
					assert.Equal(t, "Warning", event.Type)
					got += event.Reason + " " + event.Note
				}
			}
			assert.Equal(t, test.want, got)
		})
	}
}
