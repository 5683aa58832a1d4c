//go:build e2e

package suite

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jawaracloud/pubsub-operator/e2e/sharing"
	"github.com/jawaracloud/pubsub-operator/scaler/policy"
)

// KEDA's operator and its metrics server are ended again and again while the queue moves up
// and down: no scaling comes within the cooldown, each is one that the policy decides, and
// a fleet that has become idle keeps its last replica for the whole cooldown.
func TestCooldownOverKEDARestarts(t *testing.T) {
	turn := beside(t, preparing)
	s := newSpaceWithRedis(t, "kedarestarts")
	channel := newChannel("orders")
	channel.Spec.Queue = nil
	cooldown := setCooldown(channel, 3)
	park(channel)
	movement := &load{}
	movement.note(0)
	replicas := s.createAndSettle(channel)
	spec := policy.DefaultSpec()
	spec.MinReplicas, spec.MaxReplicas, spec.Cooldown = 2, 10, cooldown

	idle := newChannel("idle")
	idle.Spec.Replicas, idle.Spec.AutoScaling.MinReplicas = ptr.To[int32](1), ptr.To[int32](0)
	idleCooldown := setCooldown(idle, 8)
	park(idle)
	s.setDepth("idle", 1)
	last := s.createAndSettle(idle)
	s.until(env.reaction(), "the idle fleet is awake", last.is(1))

	// Scalers may be killed meanwhile, too (TestScalersKilledInTurn): each scaling is still to be a decision of theirs.
	turn.take(sharing.Claim{Disturbs: []sharing.Part{keda}, Needs: []sharing.Part{node, operator}, Order: endsPods})
	s.untilFollowed("orders")
	ctx, stop := context.WithTimeout(t.Context(), time.Duration(number(t, "E2E_KEDA_SECONDS", 75))*time.Second)
	defer stop()
	moving, rest := context.WithCancel(t.Context())
	defer rest()
	var running sync.WaitGroup
	redisClient := s.redisClient()
	running.Go(func() { assert.NoError(t, movement.run(moving, redisClient, "orders")) })
	s.setDepth("idle", 0)
	emptied := time.Now()
	ended := 0
	for wait(ctx, env.syncs(2)) == nil { // the HPA has asked it by then
		_, err := run(t.Context(), "kubectl", "-n", env.kedaNamespace, "delete", "pod", "-l", "app in (keda-operator,keda-metrics-apiserver)", "--grace-period=1", "--wait=false")
		require.NoError(t, err)
		ended++
		s.until(env.settling(), "KEDA is back", kedaIsBack)
	}
	replicas.untilScaled()
	rest()
	running.Wait()
	s.until(idleCooldown+env.settling(), "the idle fleet sleeps", last.is(0))
	s.logf("KEDA was ended %d times; scalings: %v; the idle fleet fell asleep %.1f s after its last message, with a cooldown of %s",
		ended, replicas.values(), last.last().at.Sub(emptied).Seconds(), idleCooldown)
	assert.GreaterOrEqual(t, last.last().at.Sub(emptied), idleCooldown)
	replicas.requireCooldown(cooldown)
	s.requireDecided(replicas, movement, spec)
}

// kedaIsBack is nil where its pods are ready, and their Deployments have noticed it.
func kedaIsBack(ctx context.Context) error {
	var errs []error
	for _, name := range []string{"keda-operator", "keda-metrics-apiserver"} {
		// The Deployment's status may still be that of before the last end.
		errs = append(errs, onePodReady(ctx, env.kedaNamespace, name), available(ctx, env.kedaNamespace, name))
	}
	return errors.Join(errs...)
}

// onePodReady is nil where a pod of that app is ready and not about to end.
func onePodReady(ctx context.Context, namespace, app string) error {
	pods := &corev1.PodList{}
	if err := env.client.List(ctx, pods, client.InNamespace(namespace), client.MatchingLabels{"app": app}); err != nil {
		return err
	}
	for _, pod := range pods.Items {
		for _, condition := range pod.Status.Conditions {
			if pod.DeletionTimestamp == nil && condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue {
				return nil
			}
		}
	}
	return fmt.Errorf("none of %d pods of %s is ready", len(pods.Items), app)
}

// is is a condition: spec.replicas has this value.
func (r *recorder) is(wanted int32) func(context.Context) error {
	return func(context.Context) error {
		if got := r.latest().replicas; got != wanted {
			return fmt.Errorf("spec.replicas is %d", got)
		}
		return nil
	}
}
