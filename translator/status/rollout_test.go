package status

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
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
	"github.com/jawaracloud/pubsub-operator/translator/diagnosis"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

func pausedDeployment(deployment *appsv1.Deployment) *appsv1.Deployment {
	deployment.Spec.Paused = true
	return deployment
}

func quotaExceeded(pod, used string) *appsv1.Deployment {
	return channeltest.WithCondition(channeltest.Fleet(3, 0, 0), appsv1.DeploymentReplicaFailure, corev1.ConditionTrue, "FailedCreate",
		`pods "orders-subscriber-6b9869b8b-`+pod+`" is forbidden: exceeded quota: q, requested: pods=1, used: pods=`+used+`, limited: pods=0`)
}

func crashing(n int32, failed bool) diagnosis.Seen {
	return diagnosis.Seen{Trouble: &diagnosis.Trouble{Severity: diagnosis.CrashLoop, Cause: "container subscriber ends soon after each start (exit code 1)", Details: "see its log", Workers: n, Failed: failed}}
}

// Ready says what is missing, and the phase whether somebody must see to it.
func TestWhyNotReady(t *testing.T) {
	slow := diagnosis.Seen{Trouble: &diagnosis.Trouble{Severity: diagnosis.TakesItsTime, Cause: "the readiness probe of container subscriber does not succeed", Workers: 1}}
	late := func(d *appsv1.Deployment) *appsv1.Deployment {
		return channeltest.WithCondition(d, appsv1.DeploymentProgressing, corev1.ConditionFalse, "ProgressDeadlineExceeded", "timed out progressing.")
	}
	unseen := channeltest.Rolling(4, 4, 4, 4)
	unseen.Generation = 3
	image := diagnosis.Seen{Trouble: &diagnosis.Trouble{Severity: diagnosis.NotStarting, Cause: "container subscriber can't be started (ErrImagePull)", Details: "no such host", Workers: 1}}
	for name, test := range map[string]struct {
		deployment *appsv1.Deployment
		workers    diagnosis.Seen
		reason     string
		message    string
		phase      v1.Phase
	}{
		"half updated":              {channeltest.Rolling(4, 4, 2, 4), diagnosis.Seen{}, v1.ReasonProgressing, "4 of 4 workers are ready, 2 of them not updated yet", v1.PhaseRunning},
		"none updated, few ready":   {channeltest.Rolling(4, 4, 0, 1), diagnosis.Seen{}, v1.ReasonProgressing, "1 of 4 workers are ready, 4 not updated yet", v1.PhaseScaling},
		"one, and one before it":    {channeltest.Rolling(1, 2, 1, 1), diagnosis.Seen{}, v1.ReasonProgressing, "1 of 1 workers are ready, 1 of the previous template not replaced yet", v1.PhaseScaling},
		"fewer than there are":      {channeltest.Rolling(3, 4, 4, 4), diagnosis.Seen{}, v1.ReasonAvailable, "3 of 3 workers are ready", v1.PhaseScaling},
		"a rollout to an image":     {channeltest.Rolling(1, 2, 1, 1), image, v1.ReasonWorkersNotStarting, "1 of 1 workers: container subscriber can't be started (ErrImagePull): no such host", v1.PhaseScaling},
		"not made yet":              {channeltest.Rolling(4, 1, 1, 1), diagnosis.Seen{}, v1.ReasonProgressing, "1 of 4 workers are ready, 3 still to be created", v1.PhaseScaling},
		"not looked at":             {unseen, diagnosis.Seen{}, v1.ReasonProgressing, "4 of 4 workers are ready, and Kubernetes has not observed the Deployment's last change yet", v1.PhaseScaling},
		"a rollout that is paused":  {pausedDeployment(channeltest.Rolling(4, 4, 1, 4)), diagnosis.Seen{}, v1.ReasonRolloutPaused, "4 of 4 workers are ready, 3 of them not updated yet; the Deployment's rollout is paused (spec.paused of Deployment orders-subscriber, which is not this operator's doing): kubectl rollout resume deployment/orders-subscriber", v1.PhaseRunning},
		"paused, and all updated":   {pausedDeployment(channeltest.Fleet(4, 4, 4)), diagnosis.Seen{}, v1.ReasonAvailable, "4 of 4 workers are ready", v1.PhaseRunning},
		"a probe":                   {channeltest.Fleet(4, 4, 3), slow, v1.ReasonProgressing, "3 of 4 workers are ready; 1 of 4 workers: the readiness probe of container subscriber does not succeed", v1.PhaseScaling},
		"a probe, for too long":     {late(channeltest.Fleet(4, 4, 3)), slow, v1.ReasonDeploymentFailed, "Deployment orders-subscriber: ProgressDeadlineExceeded: timed out progressing.\n1 of 4 workers: the readiness probe of container subscriber does not succeed", v1.PhaseFailed},
		"an image":                  {channeltest.Fleet(4, 4, 3), image, v1.ReasonWorkersNotStarting, "1 of 4 workers: container subscriber can't be started (ErrImagePull): no such host", v1.PhaseScaling},
		"an image, for too long":    {late(channeltest.Fleet(4, 4, 3)), image, v1.ReasonWorkersNotStarting, "1 of 4 workers: container subscriber can't be started (ErrImagePull): no such host", v1.PhaseFailed},
		"a crash loop":              {channeltest.Fleet(4, 4, 0), crashing(4, true), v1.ReasonWorkersFailing, "4 of 4 workers: container subscriber ends soon after each start (exit code 1): see its log", v1.PhaseFailed},
		"a crash loop, as it runs":  {channeltest.Fleet(4, 4, 4), crashing(4, true), v1.ReasonWorkersFailing, "4 of 4 workers: container subscriber ends soon after each start (exit code 1): see its log", v1.PhaseFailed},
		"a crash loop of one":       {channeltest.Fleet(4, 4, 3), crashing(1, false), v1.ReasonWorkersFailing, "1 of 4 workers: container subscriber ends soon after each start (exit code 1): see its log", v1.PhaseScaling},
		"a quota":                   {quotaExceeded("4j5q4", "0"), diagnosis.Seen{}, v1.ReasonDeploymentFailed, `Deployment orders-subscriber: FailedCreate: pods "orders-subscriber-6b9869b8b-…" is forbidden: exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0`, v1.PhaseFailed},
		"pods that can't be looked": {channeltest.Fleet(4, 4, 3), diagnosis.Seen{Unread: errors.New("pods is forbidden")}, v1.ReasonProgressing, "3 of 4 workers are ready; why the others are not can't be told, because the pods can't be read: pods is forbidden", v1.PhaseScaling},
	} {
		t.Run(name, func(t *testing.T) {
			channel := channeltest.Channel()
			channel.Status.Phase, channel.Status.DesiredReplicas = v1.PhaseScaling, 4
			seen := Observed{Deployment: test.deployment, Workers: test.workers}
			next, _ := Next(plan.Of(channel), seen, channeltest.Now)
			ready := channeltest.ConditionOf(t, next, v1.ConditionReady)
			assert.Equal(t, test.reason, ready.Reason)
			assert.Equal(t, test.message, ready.Message)
			assert.Equal(t, test.reason == v1.ReasonAvailable, ready.Status == metav1.ConditionTrue)
			assert.Equal(t, test.phase, next.Phase)
			channel.Status = next
			again, _ := Next(plan.Of(channel), seen, channeltest.Now.Add(time.Minute))
			assert.Equal(t, next, again, "quiet")
		})
	}
}

// One cause is one event and, while only its words count on, one status.
func TestOneWarningForEachCause(t *testing.T) {
	channel := channeltest.Channel()
	words := func(cause, details string, n int32) diagnosis.Seen {
		return diagnosis.Seen{Trouble: &diagnosis.Trouble{Severity: diagnosis.NotStarting, Cause: cause, Details: details, Workers: n}}
	}
	vague := words("can't be started (ErrImagePull)", "Back-off pulling", 1)
	vague.Trouble.Vague = true
	for _, step := range []struct {
		name          string
		deployment    *appsv1.Deployment
		workers       diagnosis.Seen
		event, status bool
	}{
		{"starting", channeltest.Fleet(3, 3, 0), diagnosis.Seen{}, false, true},
		{"a cause", channeltest.Fleet(3, 3, 0), words("can't be started (ErrImagePull)", "udp :48211: i/o timeout", 1), true, true},
		{"other digits", channeltest.Fleet(3, 3, 0), words("can't be started (ErrImagePull)", "udp :51000: i/o timeout", 1), false, false},
		{"fewer words", channeltest.Fleet(3, 3, 0), vague, false, false},
		{"other words", channeltest.Fleet(3, 3, 0), words("can't be started (ErrImagePull)", "no such host", 1), false, true},
		{"another number", channeltest.Fleet(3, 3, 0), words("can't be started (ErrImagePull)", "no such host", 2), false, true},
		{"not looked yet", channeltest.Fleet(3, 3, 0), diagnosis.Seen{Kept: true}, false, false},
		{"another cause", channeltest.Fleet(3, 3, 0), words("can't be started (InvalidImageName)", "", 2), true, true},
		{"a crash loop", channeltest.Fleet(3, 3, 0), crashing(3, true), true, true},
		{"not looked at the loop", channeltest.Fleet(3, 3, 3), diagnosis.Seen{Kept: true}, false, true}, // the numbers
		{"one of them runs", channeltest.Fleet(3, 3, 0), crashing(2, true), false, true},
		{"all run", channeltest.Fleet(3, 3, 3), diagnosis.Seen{}, false, true},
		{"a quota", quotaExceeded("4j5q4", "0"), diagnosis.Seen{}, true, true},
		{"another pod", quotaExceeded("x7k2p", "2"), diagnosis.Seen{}, false, false},
		{"paused", pausedDeployment(channeltest.Rolling(3, 3, 1, 3)), diagnosis.Seen{}, true, true},
		{"paused and scaled", pausedDeployment(channeltest.Rolling(4, 4, 1, 4)), diagnosis.Seen{}, false, true},
	} {
		seen := Observed{Deployment: step.deployment, Workers: step.workers}
		next, _ := Next(plan.Of(channel), seen, channeltest.Now)
		assert.Equal(t, step.status, !assert.ObjectsAreEqual(channel.Status, next), "%s: a status is written", step.name)
		event := WorkersEvent(channel, next, seen, "pod-1", channeltest.Now)
		assert.Equal(t, step.event, event != nil, "%s: an event", step.name)
		if event != nil {
			ready := channeltest.ConditionOf(t, next, v1.ConditionReady)
			assert.Equal(t, []string{"Warning", ready.Reason, ready.Message}, []string{event.Type, event.Reason, event.Note})
		}
		channel.Status = next
	}
}

// While the pods have not been looked at, a failed channel stays one.
func TestKeptFailure(t *testing.T) {
	channel := channeltest.Channel()
	channel.Status, _ = Next(plan.Of(channel), Observed{Deployment: channeltest.Fleet(3, 3, 0), Workers: crashing(3, true)}, channeltest.Now)
	require.Equal(t, v1.PhaseFailed, channel.Status.Phase)
	next, _ := Next(plan.Of(channel), Observed{Deployment: channeltest.Fleet(3, 3, 0), Workers: diagnosis.Seen{Kept: true}}, channeltest.Now.Add(time.Hour))
	assert.Equal(t, channel.Status, next)
}
