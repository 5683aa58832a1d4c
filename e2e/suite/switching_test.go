//go:build e2e

package suite

import (
	"context"
	"fmt"
	"testing"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/stretchr/testify/require"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/ptr"

	pubsubv1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// noMore is a condition that nothing but the replicas is waited for.
func noMore(context.Context) error { return nil }

// hpaIs is nil where the HPA is there, or is gone, as wanted.
func (s *space) hpaIs(there bool) func(context.Context) error {
	return func(ctx context.Context) error {
		err := env.client.Get(ctx, s.key("keda-hpa-orders"), &autoscalingv2.HorizontalPodAutoscaler{})
		if there {
			return err
		}
		return gone(err, "HPA")
	}
}

// autoscaling edits spec.autoScaling of the channel orders.
func (s *space) autoscaling(change func(*pubsubv1.AutoScalingSpec)) func() {
	return func() {
		s.edit("orders", func(channel *pubsubv1.PubSubChannel) { change(channel.Spec.AutoScaling) })
	}
}

// Autoscaling goes on and off, and limits and replicas are edited, without ever taking a
// worker that both sides of the switch want.
func TestSwitching(t *testing.T) {
	beside(t, early)
	s := newSpaceWithRedis(t, "switching")
	channel := newChannel("orders")
	channel.Spec.AutoScaling.Enabled = false
	setCooldown(channel, 1)
	park(channel)
	s.setDepth("orders", 300)
	s.create(channel)
	s.untilReady("orders")
	deployment := deploymentOf(channel)

	s.neverDips(deployment, "switching on", s.autoscaling(func(a *pubsubv1.AutoScalingSpec) { a.Enabled = true }), 3, s.hpaIs(true))
	s.untilFollowed("orders")
	s.neverDips(deployment, "growing with the queue", func() { s.setDepth("orders", 500) }, 4, noMore)
	s.neverDips(deployment, "raising minReplicas", s.autoscaling(func(a *pubsubv1.AutoScalingSpec) { a.MinReplicas = ptr.To[int32](6) }), 6, noMore)
	s.neverDips(deployment, "lowering maxReplicas", s.autoscaling(func(a *pubsubv1.AutoScalingSpec) { a.MinReplicas, a.MaxReplicas = ptr.To[int32](2), 5 }), 5, noMore)
	s.neverDips(deployment, "kubectl scale psc, which counts later", func() { s.kubectl("scale", "psc/orders", "--replicas=7") }, 5, noMore)
	s.neverDips(deployment, "switching off", s.autoscaling(func(a *pubsubv1.AutoScalingSpec) { a.Enabled = false }), 7, s.hpaIs(false))
	s.neverDips(deployment, "kubectl scale psc", func() { s.kubectl("scale", "psc/orders", "--replicas=4") }, 4, noMore)
	s.neverDips(deployment, "an edit of nothing", func() { s.edit("orders", func(*pubsubv1.PubSubChannel) {}) }, 4, noMore)
	s.neverDips(deployment, "switching on again", s.autoscaling(func(a *pubsubv1.AutoScalingSpec) { a.Enabled = true }), 4, s.hpaIs(true))
	s.untilReady("orders")

	live := &unstructured.Unstructured{}
	live.SetGroupVersionKind(pubsubv1.GroupVersion.WithKind("PubSubChannel"))
	require.NoError(t, env.client.Get(t.Context(), s.key("orders"), live))
	got, err := status.Compute(live)
	require.NoError(t, err)
	require.Equal(t, status.CurrentStatus, got.Status, got.Message)
}

// A pause holds the workers, by spec.paused and by KEDA's annotations on the channel.
func TestPausing(t *testing.T) {
	beside(t, early)
	s := newSpaceWithRedis(t, "pausing")
	channel := newChannel("orders")
	setCooldown(channel, 1)
	park(channel)
	s.setDepth("orders", 300)
	replicas := s.createAndSettle(channel)
	deployment := deploymentOf(channel)
	pause := func(paused bool) func() {
		return func() { s.edit("orders", func(c *pubsubv1.PubSubChannel) { c.Spec.Paused = paused }) }
	}
	pausedBy := func(reason string) func(context.Context) error {
		return func(ctx context.Context) error {
			return s.conditionIs(ctx, "orders", pubsubv1.ConditionPaused, metav1.ConditionTrue, reason)
		}
	}

	s.neverDips(deployment, "pausing", pause(true), 3, s.hpaIs(false))
	s.until(env.statusDelay(), "the pause shows", pausedBy(pubsubv1.ReasonPausedBySpec))
	s.setDepth("orders", 900)
	replicas.holds(3, 3, "paused, with 900 messages")
	s.neverDips(deployment, "going on: ceil(900 ÷ 150)", pause(false), 6, s.hpaIs(true))

	annotate := func(annotation string) func() {
		return func() { s.kubectl("annotate", "psc", "orders", "autoscaling.keda.sh/"+annotation) }
	}
	s.neverDips(deployment, "no scaling in", annotate("paused-scale-in=true"), 6, pausedBy(pubsubv1.ReasonPausedByAnnotation))
	s.setDepth("orders", 0)
	replicas.holds(6, 3, "with nothing to do, but no scaling in")
	s.neverDips(deployment, "held at 8", annotate("paused-replicas=8"), 8, s.hpaIs(false))
	require.Equal(t, []int32{3, 6, 8}, replicas.values())
	annotate("paused-replicas-")()
	annotate("paused-scale-in-")()
	s.until(2*env.settling(), "it shrinks", func(context.Context) error {
		if now := replicas.last().replicas; now >= 8 {
			return fmt.Errorf("spec.replicas is %d", now)
		}
		return nil
	})

	// Without autoscaling a pause keeps what somebody else sets.
	s.autoscaling(func(a *pubsubv1.AutoScalingSpec) { a.Enabled = false })()
	s.neverDips(deployment, "spec.replicas is back", func() {}, 3, s.hpaIs(false))
	pause(true)()
	s.until(env.statusDelay(), "the pause shows", pausedBy(pubsubv1.ReasonPausedBySpec))
	s.neverDips(deployment, "kubectl scale deployment", func() { s.kubectl("scale", "deployment/"+deployment, "--replicas=5") }, 5, noMore)
	s.neverDips(deployment, "spec.replicas holds again", pause(false), 3, noMore)
}
