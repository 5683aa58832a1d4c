package translator

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// rolling is a Deployment on its way from one template to another.
func rolling(wanted, total, updated, ready int32) *appsv1.Deployment {
	deployment := workers(wanted, total, ready)
	deployment.Status.UpdatedReplicas = updated
	return deployment
}

func pausedDeployment(deployment *appsv1.Deployment) *appsv1.Deployment {
	deployment.Spec.Paused = true
	return deployment
}

// withCondition is a Deployment that gets no further.
func withCondition(deployment *appsv1.Deployment, kind appsv1.DeploymentConditionType, status corev1.ConditionStatus, reason, message string) *appsv1.Deployment {
	deployment.Status.Conditions = []appsv1.DeploymentCondition{{Type: kind, Status: status, Reason: reason, Message: message}}
	return deployment
}

func quotaExceeded(pod, used string) *appsv1.Deployment {
	return withCondition(workers(3, 0, 0), appsv1.DeploymentReplicaFailure, corev1.ConditionTrue, "FailedCreate",
		`pods "orders-subscriber-6b9869b8b-`+pod+`" is forbidden: exceeded quota: q, requested: pods=1, used: pods=`+used+`, limited: pods=0`)
}

func crashing(n int32, failed bool) workersSeen {
	return workersSeen{trouble: &trouble{severity: crashLoop, cause: "container subscriber ends soon after each start (exit code 1)", details: "see its log", workers: n, failed: failed}}
}

// Ready says what is missing, and the phase whether somebody must see to it.
func TestWhyNotReady(t *testing.T) {
	slow := workersSeen{trouble: &trouble{severity: takesItsTime, cause: "the readiness probe of container subscriber does not succeed", workers: 1}}
	late := func(d *appsv1.Deployment) *appsv1.Deployment {
		return withCondition(d, appsv1.DeploymentProgressing, corev1.ConditionFalse, "ProgressDeadlineExceeded", "timed out progressing.")
	}
	unseen := rolling(4, 4, 4, 4)
	unseen.Generation = 3
	image := workersSeen{trouble: &trouble{severity: notStarting, cause: "container subscriber can't be started (ErrImagePull)", details: "no such host", workers: 1}}
	for name, test := range map[string]struct {
		deployment *appsv1.Deployment
		workers    workersSeen
		reason     string
		message    string
		phase      v1.Phase
	}{
		"half updated":              {rolling(4, 4, 2, 4), workersSeen{}, v1.ReasonProgressing, "4 of 4 workers are ready, 2 of them not updated yet", v1.PhaseRunning},
		"none updated, few ready":   {rolling(4, 4, 0, 1), workersSeen{}, v1.ReasonProgressing, "1 of 4 workers are ready, 4 not updated yet", v1.PhaseScaling},
		"one, and one before it":    {rolling(1, 2, 1, 1), workersSeen{}, v1.ReasonProgressing, "1 of 1 workers are ready, 1 of the template before not replaced yet", v1.PhaseScaling},
		"fewer than there are":      {rolling(3, 4, 4, 4), workersSeen{}, v1.ReasonAvailable, "3 of 3 workers are ready", v1.PhaseScaling},
		"a rollout to an image":     {rolling(1, 2, 1, 1), image, v1.ReasonWorkersNotStarting, "1 of 1 workers: container subscriber can't be started (ErrImagePull): no such host", v1.PhaseScaling},
		"not made yet":              {rolling(4, 1, 1, 1), workersSeen{}, v1.ReasonProgressing, "1 of 4 workers are ready, 3 still to be made", v1.PhaseScaling},
		"not looked at":             {unseen, workersSeen{}, v1.ReasonProgressing, "4 of 4 workers are ready, and Kubernetes has still to look at the Deployment's last change", v1.PhaseScaling},
		"a rollout that is paused":  {pausedDeployment(rolling(4, 4, 1, 4)), workersSeen{}, v1.ReasonRolloutPaused, "4 of 4 workers are ready, 3 of them not updated yet; the Deployment's rollout is paused (spec.paused of Deployment orders-subscriber, which is not this operator's doing): kubectl rollout resume deployment/orders-subscriber", v1.PhaseRunning},
		"paused, and all updated":   {pausedDeployment(workers(4, 4, 4)), workersSeen{}, v1.ReasonAvailable, "4 of 4 workers are ready", v1.PhaseRunning},
		"a probe":                   {workers(4, 4, 3), slow, v1.ReasonProgressing, "3 of 4 workers are ready; 1 of 4 workers: the readiness probe of container subscriber does not succeed", v1.PhaseScaling},
		"a probe, for too long":     {late(workers(4, 4, 3)), slow, v1.ReasonDeploymentFailed, "Deployment orders-subscriber: ProgressDeadlineExceeded: timed out progressing.\n1 of 4 workers: the readiness probe of container subscriber does not succeed", v1.PhaseFailed},
		"an image":                  {workers(4, 4, 3), image, v1.ReasonWorkersNotStarting, "1 of 4 workers: container subscriber can't be started (ErrImagePull): no such host", v1.PhaseScaling},
		"an image, for too long":    {late(workers(4, 4, 3)), image, v1.ReasonWorkersNotStarting, "1 of 4 workers: container subscriber can't be started (ErrImagePull): no such host", v1.PhaseFailed},
		"a crash loop":              {workers(4, 4, 0), crashing(4, true), v1.ReasonWorkersFailing, "4 of 4 workers: container subscriber ends soon after each start (exit code 1): see its log", v1.PhaseFailed},
		"a crash loop, as it runs":  {workers(4, 4, 4), crashing(4, true), v1.ReasonWorkersFailing, "4 of 4 workers: container subscriber ends soon after each start (exit code 1): see its log", v1.PhaseFailed},
		"a crash loop of one":       {workers(4, 4, 3), crashing(1, false), v1.ReasonWorkersFailing, "1 of 4 workers: container subscriber ends soon after each start (exit code 1): see its log", v1.PhaseScaling},
		"a quota":                   {quotaExceeded("4j5q4", "0"), workersSeen{}, v1.ReasonDeploymentFailed, `Deployment orders-subscriber: FailedCreate: pods "orders-subscriber-6b9869b8b-…" is forbidden: exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0`, v1.PhaseFailed},
		"pods that can't be looked": {workers(4, 4, 3), workersSeen{unread: errors.New("pods is forbidden")}, v1.ReasonProgressing, "3 of 4 workers are ready; why the others are not can't be told, because the pods can't be read: pods is forbidden", v1.PhaseScaling},
	} {
		t.Run(name, func(t *testing.T) {
			channel := testChannel()
			channel.Status.Phase, channel.Status.DesiredReplicas = v1.PhaseScaling, 4
			seen := observed{deployment: test.deployment, workers: test.workers}
			next, _ := nextStatus(planOf(channel), seen, now)
			ready := conditionOf(t, next, v1.ConditionReady)
			assert.Equal(t, test.reason, ready.Reason)
			assert.Equal(t, test.message, ready.Message)
			assert.Equal(t, test.reason == v1.ReasonAvailable, ready.Status == metav1.ConditionTrue)
			assert.Equal(t, test.phase, next.Phase)
			channel.Status = next
			again, _ := nextStatus(planOf(channel), seen, now.Add(time.Minute))
			assert.Equal(t, next, again, "quiet")
		})
	}
}

// One cause is one event and, while only its words count on, one status.
func TestOneWarningForEachCause(t *testing.T) {
	channel := testChannel()
	words := func(cause, details string, n int32) workersSeen {
		return workersSeen{trouble: &trouble{severity: notStarting, cause: cause, details: details, workers: n}}
	}
	vague := words("can't be started (ErrImagePull)", "Back-off pulling", 1)
	vague.trouble.vague = true
	for _, step := range []struct {
		name          string
		deployment    *appsv1.Deployment
		workers       workersSeen
		event, status bool
	}{
		{"starting", workers(3, 3, 0), workersSeen{}, false, true},
		{"a cause", workers(3, 3, 0), words("can't be started (ErrImagePull)", "udp :48211: i/o timeout", 1), true, true},
		{"other digits", workers(3, 3, 0), words("can't be started (ErrImagePull)", "udp :51000: i/o timeout", 1), false, false},
		{"fewer words", workers(3, 3, 0), vague, false, false},
		{"other words", workers(3, 3, 0), words("can't be started (ErrImagePull)", "no such host", 1), false, true},
		{"another number", workers(3, 3, 0), words("can't be started (ErrImagePull)", "no such host", 2), false, true},
		{"not looked yet", workers(3, 3, 0), workersSeen{kept: true}, false, false},
		{"another cause", workers(3, 3, 0), words("can't be started (InvalidImageName)", "", 2), true, true},
		{"a crash loop", workers(3, 3, 0), crashing(3, true), true, true},
		{"not looked at the loop", workers(3, 3, 3), workersSeen{kept: true}, false, true}, // the numbers
		{"one of them runs", workers(3, 3, 0), crashing(2, true), false, true},
		{"all run", workers(3, 3, 3), workersSeen{}, false, true},
		{"a quota", quotaExceeded("4j5q4", "0"), workersSeen{}, true, true},
		{"another pod", quotaExceeded("x7k2p", "2"), workersSeen{}, false, false},
		{"paused", pausedDeployment(rolling(3, 3, 1, 3)), workersSeen{}, true, true},
		{"paused and scaled", pausedDeployment(rolling(4, 4, 1, 4)), workersSeen{}, false, true},
	} {
		seen := observed{deployment: step.deployment, workers: step.workers}
		next, _ := nextStatus(planOf(channel), seen, now)
		assert.Equal(t, step.status, !assert.ObjectsAreEqual(channel.Status, next), "%s: a status is written", step.name)
		event := workersEvent(channel, next, seen, "pod-1", now)
		assert.Equal(t, step.event, event != nil, "%s: an event", step.name)
		if event != nil {
			ready := conditionOf(t, next, v1.ConditionReady)
			assert.Equal(t, []string{"Warning", ready.Reason, ready.Message}, []string{event.Type, event.Reason, event.Note})
		}
		channel.Status = next
	}
}

// While the pods have not been looked at, a failed channel stays one.
func TestKeptFailure(t *testing.T) {
	channel := testChannel()
	channel.Status, _ = nextStatus(planOf(channel), observed{deployment: workers(3, 3, 0), workers: crashing(3, true)}, now)
	require.Equal(t, v1.PhaseFailed, channel.Status.Phase)
	next, _ := nextStatus(planOf(channel), observed{deployment: workers(3, 3, 0), workers: workersSeen{kept: true}}, now.Add(time.Hour))
	assert.Equal(t, channel.Status, next)
}
