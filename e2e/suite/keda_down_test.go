//go:build e2e

package suite

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	pubsubv1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// undoneGrace is how long beyond the cooldown a decision may take before the channel tells
// that nobody carries it out, and how long a deleted channel's ScaledObject may stay.
const undoneGrace = 30 * time.Second

// kedaFinalizer is KEDA's, on every ScaledObject.
const kedaFinalizer = "finalizer.keda.sh"

// While KEDA's operator is down the channels say what nobody does, where to look, and what
// keeps a deletion; and when it is back everything goes on.
func TestKEDAIsDown(t *testing.T) {
	turn := beside(t, preparing)
	s := newSpaceWithRedis(t, "keda-down")
	channel := newChannel("orders")
	cooldown := setCooldown(channel, 1)
	park(channel)
	s.setDepth("orders", 300)
	replicas := s.createAndSettle(channel)
	sleeper := newChannel("reports")
	sleeper.Spec.Replicas, sleeper.Spec.AutoScaling.MinReplicas = ptr.To[int32](0), ptr.To[int32](0)
	setCooldown(sleeper, 1)
	park(sleeper)
	asleep := s.createAndSettle(sleeper)
	asleep.holds(0, 1, "with nothing to do")
	for _, name := range []string{"watched", "forgotten"} {
		goes := newChannel(name)
		goes.Spec.AutoScaling.MinReplicas = ptr.To[int32](1)
		goes.Spec.Replicas = ptr.To[int32](1)
		s.create(goes)
		s.untilReady(name)
	}

	turn.disturb(stopsKEDA, keda)
	s.stopKEDA()
	// All of it at once: each takes half a minute and more to be told.
	s.setDepth("orders", 500)
	s.setDepth("reports", 5)
	s.kubectl("delete", "psc/watched", "--cascade=foreground", "--wait=false")
	s.kubectl("delete", "psc/forgotten", "--cascade=background")
	s.until(undoneGrace+env.statusDelay(), "nobody wakes the sleeper, and it says so", func(ctx context.Context) error {
		return s.saysOf(ctx, "reports", pubsubv1.ConditionScaled, pubsubv1.ReasonNotCarriedOut, "0 → 1", "keda-operator")
	})
	s.until(cooldown+undoneGrace+env.statusDelay(), "nobody carries 3 → 4 out, and the channel says so", func(ctx context.Context) error {
		return s.saysOf(ctx, "orders", pubsubv1.ConditionScaled, pubsubv1.ReasonNotCarriedOut, "3 → 4", "more workers are asked for since", "keda-operator", "keda-hpa-orders")
	})
	require.NoError(t, s.conditionIs(t.Context(), "orders", pubsubv1.ConditionReady, metav1.ConditionTrue, pubsubv1.ReasonAvailable), "the workers work")
	s.until(env.statusDelay(), "an event warns of it, once", func(context.Context) error {
		return s.warnedOf("orders", pubsubv1.ReasonNotCarriedOut)
	})

	s.until(env.statusDelay(), "the deletion names the finalizer that it waits for", func(ctx context.Context) error {
		return s.saysOf(ctx, "watched", pubsubv1.ConditionReady, pubsubv1.ReasonDeleting, kedaFinalizer, "keda-operator", "its HPA")
	})
	s.until(undoneGrace+env.statusDelay(), "an event on the ScaledObject that is left names it, too", func(context.Context) error {
		return s.warnedOf("forgotten", pubsubv1.EventFinalizerLeft)
	})
	require.Equal(t, []int32{3}, replicas.values(), "while KEDA is down")
	require.Equal(t, []int32{0}, asleep.values(), "while KEDA is down")

	s.startKEDA()
	s.until(2*env.settling(), "scaling goes on: 4 replicas, and 1", func(context.Context) error {
		if orders, reports := replicas.last().replicas, asleep.last().replicas; orders != 4 || reports != 1 {
			return fmt.Errorf("spec.replicas is %d and %d", orders, reports)
		}
		return nil
	})
	for _, name := range []string{"watched", "forgotten"} {
		s.until(env.settling(), name+" is gone", func(ctx context.Context) error {
			if _, err := s.channel(ctx, name); gone(err, "channel") != nil {
				return gone(err, "channel")
			}
			_, err := s.scaledObject(ctx, name)
			return gone(err, "ScaledObject")
		})
	}
	s.untilReady("orders")
}

// stopKEDA scales KEDA's operator to 0, until startKEDA or the test's end.
func (s *space) stopKEDA() {
	s.t.Helper()
	s.t.Cleanup(func() {
		if err := scaleKEDA(context.Background(), 1); err != nil {
			s.t.Errorf("KEDA is left without its operator: %v", err)
		}
	})
	require.NoError(s.t, scaleKEDA(s.t.Context(), 0))
	s.until(env.settling(), "KEDA's operator is down", func(ctx context.Context) error {
		pods, err := run(ctx, "kubectl", "-n", env.kedaNamespace, "get", "pods", "-l", "app=keda-operator", "--no-headers")
		if err == nil && strings.TrimSpace(pods) != "" {
			return fmt.Errorf("still there: %s", pods)
		}
		return err
	})
}

func (s *space) startKEDA() {
	s.t.Helper()
	require.NoError(s.t, scaleKEDA(s.t.Context(), 1))
	s.logf("KEDA's operator is up again")
}

// scaleKEDA gives KEDA's operator that many pods, and waits for them to be available.
func scaleKEDA(ctx context.Context, replicas int) error {
	ctx, cancel := context.WithTimeout(ctx, env.settling()+commandTimeout)
	defer cancel()
	if _, err := run(ctx, "kubectl", "-n", env.kedaNamespace, "scale", "deployment/keda-operator", fmt.Sprintf("--replicas=%d", replicas)); err != nil {
		return err
	}
	_, err := run(ctx, "kubectl", "-n", env.kedaNamespace, "rollout", "status", "deployment/keda-operator", "--timeout="+env.settling().String())
	return err
}

// saysOf is nil where a condition has this reason and all of these words.
func (s *space) saysOf(ctx context.Context, name, kind, reason string, words ...string) error {
	channel, err := s.channel(ctx, name)
	if err != nil {
		return err
	}
	condition := meta.FindStatusCondition(channel.Status.Conditions, kind)
	if condition == nil || condition.Reason != reason {
		return fmt.Errorf("condition %s is %+v, not for the reason %s", kind, condition, reason)
	}
	for _, word := range words {
		if !strings.Contains(condition.Message, word) {
			return fmt.Errorf("condition %s does not tell %q: %s", kind, word, condition.Message)
		}
	}
	return nil
}

// warnedOf is nil where exactly one Warning with this reason is about an object of the name.
func (s *space) warnedOf(name, reason string) error {
	out := s.kubectl("get", "events", "--field-selector", "type=Warning,reason="+reason+",involvedObject.name="+name, "-o", `jsonpath={range .items[*]}{.message}{"\n"}{end}`)
	if notes := strings.TrimSpace(out); notes == "" || strings.Contains(notes, "\n") {
		return fmt.Errorf("events with the reason %s about %s: %q", reason, name, notes)
	}
	return nil
}
