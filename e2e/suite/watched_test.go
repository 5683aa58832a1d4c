//go:build e2e

package suite

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// The chart with watchNamespaces: a channel there is scaled with the rights of the Roles alone, and one elsewhere is not
// touched.
func TestWatchedNamespacesOnly(t *testing.T) {
	turn := beside(t, preparing)
	s := newSpaceWithRedis(t, "watched")
	elsewhere := newSpace(t, "elsewhere")
	turn.disturb(exchangesForGood, operator, scalers)
	t.Cleanup(env.installation.leave) // the others need an operator for all namespaces
	require.NoError(t, install(t.Context(), "watchNamespaces={"+s.name+"}"))
	for _, kind := range []string{"clusterrole", "clusterrolebinding"} {
		for _, program := range []string{"controller", "scaler"} {
			_, err := run(t.Context(), "kubectl", "get", kind, release+"-"+program)
			require.ErrorContains(t, err, "NotFound", "no right holds in the cluster")
		}
	}
	elsewhere.create(newChannel("orders"))
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
}
