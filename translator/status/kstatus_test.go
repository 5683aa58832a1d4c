package status

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/translator/apply"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
	"github.com/jawaracloud/pubsub-operator/translator/diagnosis"
	"github.com/jawaracloud/pubsub-operator/translator/inquiry"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

var update = flag.Bool("update", false, "write testdata/kstatus anew")

// stuckWorkers is a Deployment that gave up.
func stuckWorkers() *appsv1.Deployment {
	stuck := channeltest.Fleet(3, 3, 0)
	stuck.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse,
		Reason: "ProgressDeadlineExceeded", Message: `ReplicaSet "orders-subscriber-1" has timed out progressing.`}}
	return stuck
}

// states are what a channel can be in, by what kstatus has to make of it and a name. The
// objects are in testdata/kstatus, against which e2e/kstatus holds kstatus itself.
var states = map[string]struct {
	change func(*v1.PubSubChannel)
	seen   Observed
}{
	"Current-plain":                  {nil, Observed{Deployment: channeltest.Fleet(3, 3, 3), Answer: channeltest.Answered(3, 7, 0, "")}},
	"Current-at-zero":                {nil, Observed{Deployment: channeltest.Fleet(0, 0, 0)}},
	"Current-autoscaled":             {channeltest.AutoScaled(), Observed{Deployment: channeltest.Fleet(3, 3, 3), ScaledObject: channeltest.KEDAReady("True"), Answer: channeltest.Answered(3, 300, inspectv1.Reason_REASON_WITHIN_BAND, "holding")}},
	"Current-paused":                 {func(c *v1.PubSubChannel) { channeltest.AutoScaled()(c); channeltest.Paused(c) }, Observed{Deployment: channeltest.Fleet(3, 3, 3), ScaledObject: channeltest.KEDAReady("True"), Answer: channeltest.Answered(3, 300, 0, "holding")}},
	"Current-queue-not-readable":     {nil, Observed{Deployment: channeltest.Fleet(3, 3, 3), Answer: &inquiry.Answer{Err: channeltest.ScalerError(14, "refused")}}},
	"InProgress-no-workers-yet":      {nil, Observed{}},
	"InProgress-workers-start":       {nil, Observed{Deployment: channeltest.Fleet(3, 2, 1)}},
	"InProgress-KEDA-not-installed":  {channeltest.AutoScaled(), Observed{Deployment: channeltest.Fleet(1, 1, 1), Problem: apply.ErrKEDANotInstalled}},
	"InProgress-KEDA-has-not-looked": {channeltest.AutoScaled(), Observed{Deployment: channeltest.Fleet(1, 1, 1), ScaledObject: channeltest.KEDAReady("Unknown")}},
	"InProgress-KEDA-not-ready":      {channeltest.AutoScaled(), Observed{Deployment: channeltest.Fleet(1, 1, 1), ScaledObject: channeltest.KEDAReady("False")}},
	"InProgress-KEDA-lets-go":        {nil, Observed{Deployment: channeltest.Fleet(1, 1, 1), ScaledObject: channeltest.KEDAReady("True")}},
	"Failed-deadline-exceeded":       {nil, Observed{Deployment: stuckWorkers()}},
	"Failed-crash-loop":              {nil, Observed{Deployment: channeltest.Fleet(3, 3, 0), Workers: diagnosis.Seen{Trouble: &diagnosis.Trouble{Severity: diagnosis.CrashLoop, Cause: "container subscriber ends soon after each start (exit code 1)", Workers: 3, Failed: true}}}},
	"InProgress-no-node":             {nil, Observed{Deployment: channeltest.Fleet(3, 3, 2), Workers: diagnosis.Seen{Trouble: &diagnosis.Trouble{Severity: diagnosis.Unschedulable, Cause: "no node takes the pod (Unschedulable)", Workers: 1}}}},
	"Failed-deployment-conflict":     {nil, Observed{Problem: &plan.Problem{Phase: v1.PhaseFailed, Reason: v1.ReasonDeploymentConflict, Taken: true, Message: "Deployment orders-subscriber is theirs"}}},
	"Failed-invalid-spec":            {nil, Observed{Problem: &plan.Problem{Phase: v1.PhaseFailed, Reason: v1.ReasonInvalidSpec, Message: "no such field"}}},
	"Terminating-deleted":            {func(c *v1.PubSubChannel) { c.DeletionTimestamp = ptr.To(metav1.NewTime(channeltest.Now)) }, Observed{}},
}

// Reconciling and Stalled are there only while they are true, never together, and with the
// words of Ready.
func TestStates(t *testing.T) {
	for name, test := range states {
		t.Run(name, func(t *testing.T) {
			channel := channeltest.Channel(func(c *v1.PubSubChannel) {
				if test.change != nil {
					test.change(c)
				}
			})
			channel.TypeMeta = metav1.TypeMeta{APIVersion: v1.GroupVersion.String(), Kind: "PubSubChannel"}
			channel.Status, _ = Next(plan.Of(channel), test.seen, channeltest.Now)
			ready := meta.FindStatusCondition(channel.Status.Conditions, v1.ConditionReady)
			reconciling := meta.FindStatusCondition(channel.Status.Conditions, v1.ConditionReconciling)
			stalled := meta.FindStatusCondition(channel.Status.Conditions, v1.ConditionStalled)
			assert.Equal(t, channel.Status.Phase == v1.PhaseFailed, stalled != nil)
			assert.Equal(t, channel.Status.Phase != v1.PhaseFailed && channel.DeletionTimestamp == nil && ready.Status != metav1.ConditionTrue, reconciling != nil)
			for _, c := range []*metav1.Condition{reconciling, stalled} {
				if c != nil {
					assert.Equal(t, []string{"True", ready.Reason, ready.Message}, []string{string(c.Status), c.Reason, c.Message})
				}
			}
			assertObject(t, name, channel)
		})
	}
	files, err := filepath.Glob("testdata/kstatus/*.yaml")
	require.NoError(t, err)
	assert.Len(t, files, len(states)+2, "besides Unobserved and OldGeneration, which no reconcile makes")
}

// A channel that nobody has looked at, and one whose edit nobody has looked at, are on
// their way, whatever the conditions of before say.
func TestStatesBeforeAReconcile(t *testing.T) {
	fresh := channeltest.Channel()
	fresh.TypeMeta = metav1.TypeMeta{APIVersion: v1.GroupVersion.String(), Kind: "PubSubChannel"}
	edited := fresh.DeepCopy()
	fresh.Status.ObservedGeneration = -1 // as the API server makes it
	edited.Status, _ = Next(plan.Of(edited), Observed{Deployment: channeltest.Fleet(3, 3, 3)}, channeltest.Now)
	edited.Generation++
	assertObject(t, "InProgress-Unobserved", fresh)
	assertObject(t, "InProgress-OldGeneration", edited)
}

func assertObject(t *testing.T, name string, channel *v1.PubSubChannel) {
	t.Helper()
	got, err := yaml.Marshal(channel)
	require.NoError(t, err)
	path := filepath.Join("testdata", "kstatus", name+".yaml")
	if *update {
		require.NoError(t, os.WriteFile(path, got, 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), string(got), "write it anew with: go test ./translator/status -run TestStates -update")
}

// A channel goes from one to the other, and back to neither.
func TestProgressEnds(t *testing.T) {
	channel := channeltest.Channel()
	for _, step := range []struct {
		deployment *appsv1.Deployment
		want       string // of the two; empty: neither
	}{
		{channeltest.Fleet(3, 3, 1), v1.ConditionReconciling},
		{stuckWorkers(), v1.ConditionStalled},
		{channeltest.Fleet(3, 3, 2), v1.ConditionReconciling},
		{channeltest.Fleet(3, 3, 3), ""},
		{stuckWorkers(), v1.ConditionStalled},
		{channeltest.Fleet(3, 3, 3), ""},
	} {
		channel.Status, _ = Next(plan.Of(channel), Observed{Deployment: step.deployment}, channeltest.Now)
		for _, kind := range []string{v1.ConditionReconciling, v1.ConditionStalled} {
			assert.Equal(t, kind == step.want, meta.FindStatusCondition(channel.Status.Conditions, kind) != nil, kind)
		}
		again, _ := Next(plan.Of(channel), Observed{Deployment: step.deployment}, channeltest.Now.Add(time.Minute))
		assert.Equal(t, channel.Status, again, "quiet")
	}
}

// What KEDA reports is told where it explains what happens.
func TestWhatKEDASays(t *testing.T) {
	up := channeltest.Answered(3, 900, inspectv1.Reason_REASON_ABOVE_UPPER_BOUND, "3 → 4")
	up.Response.Action = inspectv1.Action_ACTION_SCALE_UP
	hold := channeltest.Answered(1, 0, inspectv1.Reason_REASON_IDLE, "idle")
	so := channeltest.KEDAReady("True")
	so.Status.Conditions.SetHPAActiveCondition("False", "FailedGetExternalMetric", "no metric")
	so.Status.Conditions.SetActiveCondition("False", "ScalerCooldown", "cooling down")
	zero := channeltest.AutoScaled(func(a *v1.AutoScalingSpec) { a.MinReplicas = ptr.To[int32](0) })
	for name, test := range map[string]struct {
		change func(*v1.PubSubChannel)
		answer *inquiry.Answer
		want   string
	}{
		"an HPA that does not follow":        {channeltest.AutoScaled(), up, "3 → 4; but KEDA reports (FailedGetExternalMetric): no metric"},
		"an HPA that has nothing to follow":  {channeltest.AutoScaled(), hold, "idle"},
		"an idle target that may go to zero": {zero, hold, "idle; KEDA reports (ScalerCooldown): cooling down"},
		"while paused":                       {func(c *v1.PubSubChannel) { zero(c); channeltest.Paused(c) }, up, "the number of workers stays as it is, by spec.paused; without the pause: 3 → 4"},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := scaledCondition(plan.Of(channeltest.Channel(test.change)), Observed{Deployment: channeltest.Fleet(3, 3, 3), ScaledObject: so, Answer: test.answer}, channeltest.Now)
			assert.True(t, ok)
			assert.Equal(t, test.want, got.Message)
		})
	}
}
