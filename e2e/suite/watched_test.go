//go:build e2e

package suite

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// The chart with watchNamespaces: a channel there is scaled with the rights of the Roles alone, and one elsewhere is not
// touched. A namespace that loses its Roles holds up no other when both programs start anew, and is served once it has them again.
func TestWatchedNamespacesOnly(t *testing.T) {
	turn := beside(t, preparing)
	s := newSpaceWithRedis(t, "watched")
	elsewhere, without := newSpace(t, "elsewhere"), newSpace(t, "without")
	turn.disturb(exchangesForGood, operator, scalers)
	t.Cleanup(env.installation.leave) // the others need an operator for all namespaces
	watching := "watchNamespaces={" + s.name + "," + without.name + "}"
	require.NoError(t, install(t.Context(), watching))
	for _, kind := range []string{"clusterrole", "clusterrolebinding"} {
		for _, program := range []string{"controller", "scaler"} {
			_, err := run(t.Context(), "kubectl", "get", kind, release+"-"+program)
			require.ErrorContains(t, err, "NotFound", "no right holds in the cluster")
		}
	}
	without.loseRoles()
	elsewhere.create(newChannel("orders"))
	without.create(newChannel("orders"))
	channel := newChannel("orders")
	setCooldown(channel, 1)
	park(channel)
	s.createAndSettle(channel)
	s.setDepth("orders", 700)
	s.until(env.reaction(), "more workers for 700 messages", func(ctx context.Context) error {
		deployment := &appsv1.Deployment{}
		if err := env.client.Get(ctx, s.key(deploymentOf(channel)), deployment); err != nil {
			return err
		}
		if got := *deployment.Spec.Replicas; got <= 3 {
			return fmt.Errorf("%d replicas", got)
		}
		return nil
	})
	untouched, err := elsewhere.channel(t.Context(), "orders")
	require.NoError(t, err)
	require.EqualValues(t, -1, untouched.Status.ObservedGeneration)
	deployments := &appsv1.DeploymentList{}
	require.NoError(t, env.client.List(t.Context(), deployments, client.InNamespace(elsewhere.name)))
	require.Empty(t, deployments.Items)
	events := &corev1.EventList{}
	require.NoError(t, env.client.List(t.Context(), events, client.InNamespace(elsewhere.name)))
	require.Empty(t, events.Items)

	untouched, err = without.channel(t.Context(), "orders")
	require.NoError(t, err)
	require.EqualValues(t, -1, untouched.Status.ObservedGeneration, "a namespace without its Roles")
	require.NoError(t, install(t.Context(), watching), "it gives the Roles back")
	without.until(2*time.Minute, "the channel is taken up without a restart", func(ctx context.Context) error {
		channel, err := without.channel(ctx, "orders")
		if err == nil && channel.Status.ObservedGeneration < 1 {
			err = fmt.Errorf("observedGeneration is %d", channel.Status.ObservedGeneration)
		}
		return err
	})
}

// loseRoles takes the operator's rights in the namespace away and starts both programs anew, which must become ready without them.
func (s *space) loseRoles() {
	s.t.Helper()
	s.kubectl("delete", "rolebindings,roles", "-l", "app=pubsub-operator")
	for _, program := range []string{"controller", "scaler"} {
		s.kubectlIn(systemNamespace, "rollout", "restart", "deployment/"+release+"-"+program)
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), env.settling())
	defer cancel()
	for _, program := range []string{"controller", "scaler"} {
		_, err := run(ctx, "kubectl", "-n", systemNamespace, "rollout", "status", "deployment/"+release+"-"+program)
		require.NoError(s.t, err)
	}
}
