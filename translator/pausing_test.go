package translator

import (
	"testing"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"github.com/stretchr/testify/assert"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
)

const (
	pausedReplicas = "autoscaling.keda.sh/paused-replicas"
	pausedAll      = "autoscaling.keda.sh/paused"
	pausedIn       = "autoscaling.keda.sh/paused-scale-in"
	pausedOut      = "autoscaling.keda.sh/paused-scale-out"
)

// annotated is a change of a channel's annotations.
func annotated(annotations map[string]string) func(*v1.PubSubChannel) {
	return func(c *v1.PubSubChannel) { c.Annotations = annotations }
}

func paused(c *v1.PubSubChannel) { c.Spec.Paused = true }

// Exactly one annotation is written, by the order of precedence, and the condition names
// the others.
func TestPause(t *testing.T) {
	all := map[string]string{pausedReplicas: "4", pausedAll: "true", pausedIn: "true", pausedOut: "true"}
	for name, test := range map[string]struct {
		paused bool
		given  map[string]string
		want   map[string]string
		state  metav1.ConditionStatus
		reason string
		words  []string
	}{
		"nothing":                  {false, nil, nil, "False", v1.ReasonNotPaused, []string{"nothing asks"}},
		"spec.paused":              {true, nil, map[string]string{pausedAll: "true"}, "True", v1.ReasonPausedBySpec, []string{"spec.paused"}},
		"spec.paused before all":   {true, all, map[string]string{pausedAll: "true"}, "True", v1.ReasonPausedBySpec, []string{"without effect beside it", pausedReplicas, pausedAll, pausedIn, pausedOut}},
		"paused-replicas":          {false, all, map[string]string{pausedReplicas: "4"}, "True", v1.ReasonPausedByAnnotation, []string{"KEDA holds 4 workers", pausedIn, pausedOut}},
		"paused":                   {false, map[string]string{pausedAll: "true", pausedOut: "true"}, map[string]string{pausedAll: "true"}, "True", v1.ReasonPausedByAnnotation, []string{"stays as it is", pausedOut}},
		"paused: false":            {false, map[string]string{pausedAll: "false"}, nil, "False", v1.ReasonNotPaused, nil},
		"paused: false, beside":    {false, map[string]string{pausedAll: "false", pausedIn: "true"}, map[string]string{pausedIn: "true"}, "True", v1.ReasonPausedByAnnotation, []string{"no worker is taken away"}},
		"false, and replicas":      {false, map[string]string{pausedAll: "false", pausedReplicas: "2"}, map[string]string{pausedReplicas: "2"}, "True", v1.ReasonPausedByAnnotation, nil},
		"no boolean, which counts": {false, map[string]string{pausedAll: "yes"}, map[string]string{pausedAll: "yes"}, "True", v1.ReasonPausedByAnnotation, nil},
		"scale-out":                {false, map[string]string{pausedOut: "true"}, map[string]string{pausedOut: "true"}, "True", v1.ReasonPausedByAnnotation, []string{"no worker is added"}},
		"what is not KEDA's":       {false, map[string]string{"theirs": "true", "scaledobject.keda.sh/transfer-hpa-ownership": "true"}, nil, "False", v1.ReasonNotPaused, nil},
	} {
		t.Run(name, func(t *testing.T) {
			channel := testChannel(scaled(), annotated(test.given), func(c *v1.PubSubChannel) { c.Labels = map[string]string{"team": "a"} })
			channel.Spec.Paused = test.paused
			so := buildScaledObject(planOf(channel), ScalerRef{Address: "s:1"})
			assert.Equal(t, test.want, so.Annotations)
			assert.NotContains(t, so.Labels, "team")
			got := pausedCondition(planOf(channel), nil)
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
		err := scalingFault(testChannel(scaled(), annotated(map[string]string{pausedReplicas: value})))
		if !wrong {
			assert.NoError(t, err, value)
			continue
		}
		assert.ErrorContains(t, err, pausedReplicas, value)
		assert.ErrorContains(t, err, "set it to a number of replicas", value)
	}
}

// While autoscaling is off KEDA's annotations can't count, and the condition says so.
func TestPauseWithoutAutoScaling(t *testing.T) {
	got := pausedCondition(planOf(testChannel(annotated(map[string]string{pausedIn: "true", pausedReplicas: "2"}))), nil)
	assert.Equal(t, v1.ReasonPauseIgnored, got.Reason)
	assert.Contains(t, got.Message, pausedReplicas+", "+pausedIn)
	assert.Equal(t, v1.ReasonPausedBySpec, pausedCondition(planOf(testChannel(paused)), nil).Reason)
}

// A ScaledObject that somebody paused by hand shows; one that we are about to release does
// not.
func TestPauseOfTheScaledObjectItself(t *testing.T) {
	so := &kedav1alpha1.ScaledObject{ObjectMeta: metav1.ObjectMeta{Name: "orders", Annotations: map[string]string{pausedIn: "true"}}}
	got := pausedCondition(planOf(testChannel(scaled())), so)
	assert.Equal(t, v1.ReasonPausedOnScaledObject, got.Reason)
	assert.Contains(t, got.Message, pausedIn)
	so.ManagedFields = []metav1.ManagedFieldsEntry{{
		Manager: ownerMain, Operation: metav1.ManagedFieldsOperationApply,
		FieldsV1: metav1.NewFieldsV1(`{"f:metadata":{"f:annotations":{"f:` + pausedIn + `":{}}}}`),
	}}
	assert.Equal(t, v1.ReasonNotPaused, pausedCondition(planOf(testChannel(scaled())), so).Reason)
}

// A pause tells what would be done without it, and only where it is in the way.
func TestScaledWhilePaused(t *testing.T) {
	up := answered(4, 900, inspectv1.Reason_REASON_ABOVE_UPPER_BOUND, "4 → 6")
	up.response.Action = inspectv1.Action_ACTION_SCALE_UP
	down := answered(4, 0, inspectv1.Reason_REASON_BELOW_LOWER_BOUND, "4 → 3")
	down.response.Action = inspectv1.Action_ACTION_SCALE_DOWN
	hold := answered(4, 400, inspectv1.Reason_REASON_WITHIN_BAND, "holding")
	for name, test := range map[string]struct {
		change func(*v1.PubSubChannel)
		answer *answer
		state  metav1.ConditionStatus
		reason string
		words  string
	}{
		"up":                   {paused, up, "False", v1.ReasonPaused, "without the pause: 4 → 6"},
		"holding":              {paused, hold, "True", v1.ReasonPaused, "without the pause: holding"},
		"no scale-in, down":    {annotated(map[string]string{pausedIn: "1"}), down, "False", v1.ReasonPaused, "no worker is taken away"},
		"no scale-in, up":      {annotated(map[string]string{pausedIn: "1"}), up, "False", "AboveUpperBound", "4 → 6"},
		"no scale-out, up":     {annotated(map[string]string{pausedOut: "1"}), up, "False", v1.ReasonPaused, "no worker is added"},
		"no scale-out, down":   {annotated(map[string]string{pausedOut: "1"}), down, "False", "BelowLowerBound", "4 → 3"},
		"held at a number":     {annotated(map[string]string{pausedReplicas: "4"}), up, "False", v1.ReasonPaused, "KEDA holds 4 workers"},
		"nobody asks for that": {annotated(map[string]string{pausedAll: "false"}), up, "False", "AboveUpperBound", "4 → 6"},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := scaledCondition(planOf(testChannel(scaled(), test.change)), observed{deployment: workers(4, 4, 4), answer: test.answer}, now)
			assert.True(t, ok)
			assert.Equal(t, test.state, got.Status)
			assert.Equal(t, test.reason, got.Reason)
			assert.Contains(t, got.Message, test.words)
		})
	}
}
