package translator

import (
	"errors"
	"fmt"
	"testing"
	"time"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
)

var now = time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)

// workers is a Deployment in the state that the Deployment controller tells.
func workers(wanted, total, ready int32) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "orders-subscriber", Generation: 2},
		Spec:       appsv1.DeploymentSpec{Replicas: &wanted},
		Status:     appsv1.DeploymentStatus{ObservedGeneration: 2, Replicas: total, UpdatedReplicas: total, ReadyReplicas: ready},
	}
}

func answered(replicas int32, depth int64, reason inspectv1.Reason, words string) *answer {
	return &answer{
		since:    now,
		question: question{replicas: replicas},
		response: &inspectv1.ExplainResponse{QueueDepth: depth, Reason: reason, Action: inspectv1.Action_ACTION_HOLD, LastingExplanation: words},
	}
}

func kedaReady(status metav1.ConditionStatus) *kedav1alpha1.ScaledObject {
	so := &kedav1alpha1.ScaledObject{}
	so.Status.Conditions.SetReadyCondition(status, "Test", "words of KEDA's")
	return so
}

func conditionOf(t *testing.T, status v1.PubSubChannelStatus, kind string) metav1.Condition {
	t.Helper()
	c := meta.FindStatusCondition(status.Conditions, kind)
	require.NotNil(t, c, kind)
	return *c
}

func TestReady(t *testing.T) {
	stuck := workers(3, 3, 0)
	stuck.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse, Reason: "ProgressDeadlineExceeded", Message: "m"}}
	refused := workers(3, 0, 0)
	refused.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Reason: "FailedCreate", Message: "quota"}}
	old := workers(3, 3, 3)
	old.Generation = 3
	for name, test := range map[string]struct {
		scaled bool
		seen   observed
		reason string
		phase  v1.Phase
		words  string
	}{
		"all ready":               {false, observed{deployment: workers(3, 3, 3)}, v1.ReasonAvailable, v1.PhaseRunning, "3 of 3"},
		"none wanted":             {false, observed{deployment: workers(0, 0, 0)}, v1.ReasonAvailable, v1.PhaseRunning, "0 of 0"},
		"none yet":                {false, observed{deployment: workers(3, 3, 0)}, v1.ReasonProgressing, v1.PhasePending, "0 of 3"},
		"some":                    {false, observed{deployment: workers(3, 3, 2)}, v1.ReasonProgressing, v1.PhaseScaling, "2 of 3"},
		"counts of before":        {false, observed{deployment: old}, v1.ReasonProgressing, v1.PhaseScaling, "3 of 3"},
		"no Deployment":           {false, observed{}, v1.ReasonProgressing, v1.PhasePending, "being created"},
		"stuck":                   {false, observed{deployment: stuck}, v1.ReasonDeploymentFailed, v1.PhaseFailed, "ProgressDeadlineExceeded"},
		"refused":                 {false, observed{deployment: refused}, v1.ReasonDeploymentFailed, v1.PhaseFailed, "quota"},
		"no KEDA":                 {true, observed{deployment: workers(1, 1, 1), problem: errKEDANotInstalled}, v1.ReasonKEDANotInstalled, v1.PhasePending, "install KEDA"},
		"no ScaledObject":         {true, observed{deployment: workers(1, 1, 1)}, v1.ReasonProgressing, v1.PhaseRunning, "being created"},
		"KEDA not ready":          {true, observed{deployment: workers(1, 1, 1), scaledObject: kedaReady("False")}, v1.ReasonKEDANotReady, v1.PhaseRunning, "words of KEDA's"},
		"KEDA has not looked yet": {true, observed{deployment: workers(1, 1, 1), scaledObject: kedaReady("Unknown")}, v1.ReasonProgressing, v1.PhaseRunning, "not taken up"},
		"KEDA ready":              {true, observed{deployment: workers(1, 1, 1), scaledObject: kedaReady("True")}, v1.ReasonAvailable, v1.PhaseRunning, "1 of 1"},
		"KEDA not gone":           {false, observed{deployment: workers(1, 1, 1), scaledObject: kedaReady("True")}, v1.ReasonProgressing, v1.PhaseRunning, "let the ScaledObject go"},
	} {
		t.Run(name, func(t *testing.T) {
			channel := testChannel()
			if test.scaled {
				scaled()(channel)
			}
			next, _ := nextStatus(planOf(channel), test.seen, now)
			ready := conditionOf(t, next, v1.ConditionReady)
			assert.Equal(t, test.reason, ready.Reason)
			assert.Equal(t, test.reason == v1.ReasonAvailable, ready.Status == metav1.ConditionTrue)
			assert.Contains(t, ready.Message, test.words)
			assert.Equal(t, test.phase, next.Phase)
			assert.EqualValues(t, 1, next.ObservedGeneration)
		})
	}
}

func TestScaledCondition(t *testing.T) {
	up := answered(1, 500, inspectv1.Reason_REASON_ABOVE_UPPER_BOUND, "1 → 4")
	up.response.Action = inspectv1.Action_ACTION_SCALE_UP
	for name, test := range map[string]struct {
		scaled bool
		answer *answer
		state  metav1.ConditionStatus
		reason string
	}{
		"off":          {false, up, metav1.ConditionTrue, v1.ReasonAutoScalingDisabled},
		"holding":      {true, answered(1, 5, inspectv1.Reason_REASON_WITHIN_BAND, ""), metav1.ConditionTrue, "WithinBand"},
		"on its way":   {true, up, metav1.ConditionFalse, "AboveUpperBound"},
		"can't decide": {true, &answer{err: scalerError(codes.NotFound, "no key")}, metav1.ConditionFalse, v1.ReasonDecisionUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			channel := testChannel()
			if test.scaled {
				scaled()(channel)
			}
			next, _ := nextStatus(planOf(channel), observed{deployment: workers(1, 1, 1), scaledObject: kedaReady("True"), answer: test.answer}, now)
			got := conditionOf(t, next, v1.ConditionScaled)
			assert.Equal(t, test.state, got.Status)
			assert.Equal(t, test.reason, got.Reason)
		})
	}
}

// Time that passes makes no new status, though the scaler's Explanation counts down; a new
// depth does.
func TestStatusIsQuiet(t *testing.T) {
	channel := testChannel(scaled())
	seen := observed{deployment: workers(3, 3, 3), scaledObject: kedaReady("True"), answer: answered(3, 500, inspectv1.Reason_REASON_COOLDOWN, "until 15:05:05 UTC")}
	channel.Status, _ = nextStatus(planOf(channel), seen, now)
	settled, _ := nextStatus(planOf(channel), seen, now.Add(time.Second))
	require.Equal(t, channel.Status, settled)

	seen.answer = answered(3, 500, inspectv1.Reason_REASON_COOLDOWN, "until 15:05:05 UTC")
	seen.answer.response.Explanation = "8 s left"
	next, _ := nextStatus(planOf(channel), seen, now.Add(15*time.Second))
	assert.Equal(t, channel.Status, next)

	seen.answer = answered(3, 501, inspectv1.Reason_REASON_COOLDOWN, "501; until 15:05:05 UTC")
	next, _ = nextStatus(planOf(channel), seen, now.Add(15*time.Second))
	assert.EqualValues(t, 501, *next.QueueDepth)
	assert.Equal(t, "501; until 15:05:05 UTC", conditionOf(t, next, v1.ConditionScaled).Message)

	seen.answer = &answer{err: scalerError(codes.Unavailable, "refused 1 time")}
	channel.Status, _ = nextStatus(planOf(channel), seen, now)
	assert.Nil(t, channel.Status.QueueDepth, "missing is never 0")
	seen.answer = &answer{err: scalerError(codes.Unavailable, "refused 2 times")}
	next, _ = nextStatus(planOf(channel), seen, now)
	assert.NotEqual(t, channel.Status, next, "other words")
	seen.answer = &answer{err: scalerError(codes.Unavailable, "refused 9 time")}
	next, _ = nextStatus(planOf(channel), seen, now)
	assert.Equal(t, conditionOf(t, channel.Status, v1.ConditionConnected), conditionOf(t, next, v1.ConditionConnected), "the same words, counted on")
}

// While no answer is there, what was known stays.
func TestStatusKeepsWhatItKnows(t *testing.T) {
	channel := testChannel()
	channel.Status, _ = nextStatus(planOf(channel), observed{deployment: workers(1, 1, 1), answer: answered(1, 7, inspectv1.Reason_REASON_IDLE, "")}, now)
	next, _ := nextStatus(planOf(channel), observed{deployment: workers(1, 1, 1)}, now)
	assert.Equal(t, channel.Status, next)
}

func TestScalings(t *testing.T) {
	known := answered(4, 500, inspectv1.Reason_REASON_WITHIN_BAND, "")
	unknown := &answer{question: question{replicas: 4}, err: status.Error(codes.Unavailable, "x")}
	for name, test := range map[string]struct {
		before v1.PubSubChannelStatus
		answer *answer
		want   string // empty: none
		told   int32  // desiredReplicas afterwards
	}{
		"the first look":           {v1.PubSubChannelStatus{}, known, "", 4},
		"a scaling":                {v1.PubSubChannelStatus{Selector: "s", DesiredReplicas: 3}, known, "Scaled from 3 to 4 replicas (queue depth: 500)", 4},
		"a depth that is unknown":  {v1.PubSubChannelStatus{Selector: "s", DesiredReplicas: 3}, unknown, "Scaled from 3 to 4 replicas", 4},
		"no change":                {v1.PubSubChannelStatus{Selector: "s", DesiredReplicas: 4}, known, "", 4},
		"an answer of before":      {v1.PubSubChannelStatus{Selector: "s", DesiredReplicas: 3}, answered(3, 1, 0, ""), "", 3},
		"no answer yet":            {v1.PubSubChannelStatus{Selector: "s", DesiredReplicas: 3}, nil, "", 3},
		"from zero, which was one": {v1.PubSubChannelStatus{Selector: "s"}, known, "Scaled from 0 to 4 replicas (queue depth: 500)", 4},
	} {
		t.Run(name, func(t *testing.T) {
			channel := testChannel()
			channel.Status = test.before
			next, change := nextStatus(planOf(channel), observed{deployment: workers(4, 4, 4), answer: test.answer}, now)
			assert.Equal(t, test.told, next.DesiredReplicas)
			if test.want == "" {
				assert.Nil(t, change)
				assert.Nil(t, next.LastScaleTime)
				return
			}
			require.NotNil(t, change)
			assert.Equal(t, test.want, change.message())
			assert.True(t, next.LastScaleTime.Time.Equal(now))
		})
	}
}

func TestEvent(t *testing.T) {
	channel := testChannel()
	event := buildEvent(channel, scaling{from: 3, to: 4, depth: ptr.To[int64](500)}, "pod-1", now)
	assert.Equal(t, "Scaled from 3 to 4 replicas (queue depth: 500)", event.Note)
	assert.Equal(t, channel.UID, event.Regarding.UID)
	assert.NotEqual(t, event.Name, buildEvent(channel, scaling{}, "pod-1", now.Add(time.Nanosecond)).Name)
}

func TestDeletingIsAllThatIsSaid(t *testing.T) {
	channel := testChannel()
	channel.DeletionTimestamp = ptr.To(metav1.NewTime(now))
	channel.Status.Replicas = 3
	next, change := nextStatus(planOf(channel), observed{}, now)
	assert.Nil(t, change)
	assert.Equal(t, v1.PhaseDeleting, next.Phase)
	assert.EqualValues(t, 3, next.Replicas)
}

func TestProblemOf(t *testing.T) {
	kind, resource := schema.GroupKind{Group: "apps", Kind: "Deployment"}, schema.GroupResource{Group: "apps", Resource: "deployments"}
	for name, test := range map[string]struct {
		err    error
		reason string // empty: retry
	}{
		"none":               {nil, ""},
		"a known one":        {fmt.Errorf("wrapped: %w", errKEDANotInstalled), v1.ReasonKEDANotInstalled},
		"invalid":            {apierrors.NewInvalid(kind, "d", nil), v1.ReasonInvalidSpec},
		"bad request":        {apierrors.NewBadRequest("x"), v1.ReasonInvalidSpec},
		"denied":             {apierrors.NewForbidden(resource, "d", errors.New(`admission webhook "w" denied the request: no`)), v1.ReasonInvalidSpec},
		"a list's key twice": {fmt.Errorf("applying: %w", errors.New("failed to create typed patch object (shop/d; apps/v1, Kind=Deployment): .spec: duplicate entries for key [name=\"a\"]")), v1.ReasonInvalidSpec},
		"lacking permission": {apierrors.NewForbidden(resource, "d", errors.New("no RBAC")), v1.ReasonRefused},
		"a quota":            {fmt.Errorf("creating: %w", apierrors.NewForbidden(resource, "d", errors.New("exceeded quota: q"))), v1.ReasonRefused},
		"a webhook is down":  {apierrors.NewInternalError(errors.New(`failed calling webhook "w"`)), v1.ReasonRefused},
		"too slow":           {apierrors.NewTimeoutError("failed waiting for Informer to sync", 0), v1.ReasonRefused},
		"overloaded":         {apierrors.NewTooManyRequestsError("x"), ""},
		"starting":           {apierrors.NewForbidden(resource, "d", errors.New("not yet ready to handle request")), ""},
		"exists":             {apierrors.NewAlreadyExists(resource, "d"), ""},
		"conflict":           {apierrors.NewConflict(resource, "d", errors.New("x")), ""},
		"unreachable":        {errors.New("connection refused"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := problemOf(test.err)
			if test.reason == "" {
				assert.Nil(t, got)
				return
			}
			require.NotNil(t, got)
			assert.Equal(t, test.reason, got.reason)
		})
	}
}

// All refusals are told, under the first one's name, and what may pass is kept apart.
func TestAssess(t *testing.T) {
	resource := schema.GroupResource{Group: "apps", Resource: "deployments"}
	refused := apierrors.NewForbidden(resource, "d", errors.New("exceeded quota: q"))
	conflict := apierrors.NewConflict(resource, "d", errors.New("x"))
	told, passing := assess([]error{conflict, refused, errKEDANotInstalled})
	require.NotNil(t, told)
	assert.Equal(t, v1.ReasonRefused, told.reason)
	assert.Equal(t, v1.PhaseFailed, told.phase)
	assert.Contains(t, told.message, "exceeded quota: q")
	assert.Contains(t, told.message, errKEDANotInstalled.message)
	assert.NotContains(t, errKEDANotInstalled.message, "quota", "which all channels share")
	assert.True(t, raced(passing))
	told, passing = assess(nil)
	assert.Nil(t, told)
	assert.NoError(t, passing)
}

// While something is tried again at once, the numbers go on, and no word is said of what the
// channel's new generation came to.
func TestUnsettledStatus(t *testing.T) {
	channel := testChannel(scaled(), func(c *v1.PubSubChannel) { c.Generation = 2 })
	channel.Status, _ = nextStatus(planOf(testChannel(scaled())), observed{deployment: workers(3, 3, 3), scaledObject: kedaReady("True"), answer: answered(3, 7, 0, "")}, now)
	next, change := nextStatus(planOf(channel), observed{deployment: workers(5, 4, 4), answer: answered(5, 9, 0, ""), unsettled: true}, now)
	assert.EqualValues(t, 1, next.ObservedGeneration)
	assert.EqualValues(t, 1, conditionOf(t, next, v1.ConditionReady).ObservedGeneration)
	assert.EqualValues(t, 4, next.Replicas)
	assert.EqualValues(t, 9, *next.QueueDepth)
	require.NotNil(t, change)
	assert.EqualValues(t, 5, change.to)
}

// A budget that is refused is told, and says nothing against the workers' number.
func TestRefusedBudgetAside(t *testing.T) {
	channel := testChannel(scaled())
	seen := observed{
		deployment: workers(3, 3, 3), scaledObject: kedaReady("True"), answer: answered(3, 7, inspectv1.Reason_REASON_WITHIN_BAND, "holding"),
		problem: &problem{phase: v1.PhaseFailed, reason: v1.ReasonRefused, message: "quota: used 5"}, aside: true,
	}
	next, _ := nextStatus(planOf(channel), seen, now)
	assert.Equal(t, "WithinBand", conditionOf(t, next, v1.ConditionScaled).Reason)
	assert.Equal(t, v1.ReasonRefused, conditionOf(t, next, v1.ConditionReady).Reason)
	channel.Status = next
	seen.problem = &problem{phase: v1.PhaseFailed, reason: v1.ReasonRefused, message: "quota: used 6"}
	again, _ := nextStatus(planOf(channel), seen, now)
	assert.Equal(t, next, again, "the same refusal, only counted on")
	seen.aside = false
	next, _ = nextStatus(planOf(channel), seen, now)
	assert.Equal(t, v1.ReasonRefused, conditionOf(t, next, v1.ConditionScaled).Reason)
}

func TestConflictNamesOwnerAndRemedy(t *testing.T) {
	channel := testChannel()
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "orders-subscriber"}}
	assert.Contains(t, conflictWith("Deployment", deployment, channel).message, "controlled by nobody")
	deployment.OwnerReferences = []metav1.OwnerReference{{Kind: "Website", Name: "w", Controller: ptr.To(true)}}
	assert.Contains(t, conflictWith("Deployment", deployment, channel).message, "Website w")
	deployment.OwnerReferences = []metav1.OwnerReference{{Kind: "PubSubChannel", Name: "orders", UID: "old", Controller: ptr.To(true)}}
	assert.Equal(t, v1.PhasePending, conflictWith("Deployment", deployment, channel).phase, "it goes by itself")
}
