package status

import (
	"testing"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"github.com/stretchr/testify/assert"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/translator/build"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
	"github.com/jawaracloud/pubsub-operator/translator/inquiry"
	"github.com/jawaracloud/pubsub-operator/translator/ownership"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// Exactly one annotation is written, by the order of precedence, and the condition names
// the others.
func TestPause(t *testing.T) {
	all := map[string]string{channeltest.PausedReplicas: "4", channeltest.PausedAll: "true", channeltest.PausedIn: "true", channeltest.PausedOut: "true"}
	for name, test := range map[string]struct {
		paused bool
		given  map[string]string
		want   map[string]string
		state  metav1.ConditionStatus
		reason string
		words  []string
	}{
		"nothing":                  {false, nil, nil, "False", v1.ReasonNotPaused, []string{"nothing asks"}},
		"spec.paused":              {true, nil, map[string]string{channeltest.PausedAll: "true"}, "True", v1.ReasonPausedBySpec, []string{"spec.paused"}},
		"spec.paused before all":   {true, all, map[string]string{channeltest.PausedAll: "true"}, "True", v1.ReasonPausedBySpec, []string{"without effect beside it", channeltest.PausedReplicas, channeltest.PausedAll, channeltest.PausedIn, channeltest.PausedOut}},
		"paused-replicas":          {false, all, map[string]string{channeltest.PausedReplicas: "4"}, "True", v1.ReasonPausedByAnnotation, []string{"KEDA holds 4 workers", channeltest.PausedIn, channeltest.PausedOut}},
		"paused":                   {false, map[string]string{channeltest.PausedAll: "true", channeltest.PausedOut: "true"}, map[string]string{channeltest.PausedAll: "true"}, "True", v1.ReasonPausedByAnnotation, []string{"stays as it is", channeltest.PausedOut}},
		"paused: false":            {false, map[string]string{channeltest.PausedAll: "false"}, nil, "False", v1.ReasonNotPaused, nil},
		"paused: false, beside":    {false, map[string]string{channeltest.PausedAll: "false", channeltest.PausedIn: "true"}, map[string]string{channeltest.PausedIn: "true"}, "True", v1.ReasonPausedByAnnotation, []string{"no worker is taken away"}},
		"false, and replicas":      {false, map[string]string{channeltest.PausedAll: "false", channeltest.PausedReplicas: "2"}, map[string]string{channeltest.PausedReplicas: "2"}, "True", v1.ReasonPausedByAnnotation, nil},
		"no boolean, which counts": {false, map[string]string{channeltest.PausedAll: "yes"}, map[string]string{channeltest.PausedAll: "yes"}, "True", v1.ReasonPausedByAnnotation, nil},
		"scale-out":                {false, map[string]string{channeltest.PausedOut: "true"}, map[string]string{channeltest.PausedOut: "true"}, "True", v1.ReasonPausedByAnnotation, []string{"no worker is added"}},
		"what is not KEDA's":       {false, map[string]string{"theirs": "true", "scaledobject.keda.sh/transfer-hpa-ownership": "true"}, nil, "False", v1.ReasonNotPaused, nil},
	} {
		t.Run(name, func(t *testing.T) {
			channel := channeltest.Channel(channeltest.AutoScaled(), channeltest.Annotated(test.given), func(c *v1.PubSubChannel) { c.Labels = map[string]string{"team": "a"} })
			channel.Spec.Paused = test.paused
			so := build.ScaledObject(plan.Of(channel), build.ScalerRef{Address: "s:1"})
			assert.Equal(t, test.want, so.Annotations)
			assert.NotContains(t, so.Labels, "team")
			got := pausedCondition(plan.Of(channel), nil)
			assert.Equal(t, test.state, got.Status)
			assert.Equal(t, test.reason, got.Reason)
			for _, words := range test.words {
				assert.Contains(t, got.Message, words)
			}
		})
	}
}

func TestPauseThatKEDACannotRead(t *testing.T) {
	for value, wrong := range map[string]bool{"0": false, "7": false, "-1": true, "five": true, "": true, "99999999999": true} {
		err := plan.Of(channeltest.Channel(channeltest.AutoScaled(), channeltest.Annotated(map[string]string{channeltest.PausedReplicas: value}))).Unscalable
		if !wrong {
			assert.NoError(t, err, value)
			continue
		}
		assert.ErrorContains(t, err, channeltest.PausedReplicas, value)
		assert.ErrorContains(t, err, "set it to a number of replicas", value)
	}
}

// While autoscaling is off KEDA's annotations can't count, and the condition says so.
func TestPauseWithoutAutoScaling(t *testing.T) {
	got := pausedCondition(plan.Of(channeltest.Channel(channeltest.Annotated(map[string]string{channeltest.PausedIn: "true", channeltest.PausedReplicas: "2"}))), nil)
	assert.Equal(t, v1.ReasonPauseIgnored, got.Reason)
	assert.Contains(t, got.Message, channeltest.PausedReplicas+", "+channeltest.PausedIn)
	assert.Equal(t, v1.ReasonPausedBySpec, pausedCondition(plan.Of(channeltest.Channel(channeltest.Paused)), nil).Reason)
}

// A ScaledObject that somebody paused by hand shows; one that we are about to release does
// not.
func TestPauseOfTheScaledObjectItself(t *testing.T) {
	so := &kedav1alpha1.ScaledObject{ObjectMeta: metav1.ObjectMeta{Name: "orders", Annotations: map[string]string{channeltest.PausedIn: "true"}}}
	got := pausedCondition(plan.Of(channeltest.Channel(channeltest.AutoScaled())), so)
	assert.Equal(t, v1.ReasonPausedOnScaledObject, got.Reason)
	assert.Contains(t, got.Message, channeltest.PausedIn)
	so.ManagedFields = []metav1.ManagedFieldsEntry{{
		Manager: ownership.Main, Operation: metav1.ManagedFieldsOperationApply,
		FieldsV1: metav1.NewFieldsV1(`{"f:metadata":{"f:annotations":{"f:` + channeltest.PausedIn + `":{}}}}`),
	}}
	assert.Equal(t, v1.ReasonNotPaused, pausedCondition(plan.Of(channeltest.Channel(channeltest.AutoScaled())), so).Reason)
}

// A pause tells what would be done without it, and only where it is in the way.
func TestScaledWhilePaused(t *testing.T) {
	up := channeltest.Answered(4, 900, inspectv1.Reason_REASON_ABOVE_UPPER_BOUND, "4 → 6")
	up.Response.Action = inspectv1.Action_ACTION_SCALE_UP
	down := channeltest.Answered(4, 0, inspectv1.Reason_REASON_BELOW_LOWER_BOUND, "4 → 3")
	down.Response.Action = inspectv1.Action_ACTION_SCALE_DOWN
	hold := channeltest.Answered(4, 400, inspectv1.Reason_REASON_WITHIN_BAND, "holding")
	for name, test := range map[string]struct {
		change func(*v1.PubSubChannel)
		answer *inquiry.Answer
		state  metav1.ConditionStatus
		reason string
		words  string
	}{
		"up":                   {channeltest.Paused, up, "False", v1.ReasonPaused, "without the pause: 4 → 6"},
		"holding":              {channeltest.Paused, hold, "True", v1.ReasonPaused, "without the pause: holding"},
		"no scale-in, down":    {channeltest.Annotated(map[string]string{channeltest.PausedIn: "1"}), down, "False", v1.ReasonPaused, "no worker is taken away"},
		"no scale-in, up":      {channeltest.Annotated(map[string]string{channeltest.PausedIn: "1"}), up, "False", "AboveUpperBound", "4 → 6"},
		"no scale-out, up":     {channeltest.Annotated(map[string]string{channeltest.PausedOut: "1"}), up, "False", v1.ReasonPaused, "no worker is added"},
		"no scale-out, down":   {channeltest.Annotated(map[string]string{channeltest.PausedOut: "1"}), down, "False", "BelowLowerBound", "4 → 3"},
		"held at a number":     {channeltest.Annotated(map[string]string{channeltest.PausedReplicas: "4"}), up, "False", v1.ReasonPaused, "KEDA holds 4 workers"},
		"nobody asks for that": {channeltest.Annotated(map[string]string{channeltest.PausedAll: "false"}), up, "False", "AboveUpperBound", "4 → 6"},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := scaledCondition(plan.Of(channeltest.Channel(channeltest.AutoScaled(), test.change)), Observed{Deployment: channeltest.Fleet(4, 4, 4), Answer: test.answer}, channeltest.Now)
			assert.True(t, ok)
			assert.Equal(t, test.state, got.Status)
			assert.Equal(t, test.reason, got.Reason)
			assert.Contains(t, got.Message, test.words)
		})
	}
}
