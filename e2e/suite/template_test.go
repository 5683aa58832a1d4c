//go:build e2e

package suite

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	pubsubv1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// sidecar is a part of a pod template that satisfies the restricted Pod Security Standard.
const sidecar = `{
	"nodeSelector": {"kubernetes.io/os": "linux"},
	"terminationGracePeriodSeconds": 11,
	"volumes": [{"name": "scratch", "emptyDir": {}}],
	"containers": [
		{"name": "subscriber", "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}], "resources": {"limits": {"memory": "96Mi"}}},
		{"name": "sidecar", "image": %q, "env": [{"name": "REDIS_ADDR", "value": "dragonfly:6379"}, {"name": "CHANNEL", "value": "parked"}, {"name": "QUEUE_TYPE", "value": "List"}],
			"resources": {"requests": {"cpu": "1m", "memory": "8Mi"}},
			"securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}
	]}`

// A template reaches running pods, and takes no replica on its way; a drain is held up by
// a budget.
func TestTemplate(t *testing.T) {
	beside(t, usual)
	s := newSpaceWithRedis(t, "template")
	channel := newChannel("orders")
	setCooldown(channel, 1)
	park(channel)
	s.setDepth("orders", 300)
	s.createAndSettle(channel)
	s.neverDips(deploymentOf(channel), "a template", func() {
		s.edit("orders", func(channel *pubsubv1.PubSubChannel) {
			channel.Spec.Template = &pubsubv1.PodTemplate{
				Metadata: &pubsubv1.PodMetadata{Labels: map[string]string{"team": "shop"}},
				Spec:     &runtime.RawExtension{Raw: fmt.Appendf(nil, sidecar, channel.Spec.Image)},
			}
		})
	}, 3, s.templateIs)
	s.untilReady("orders")

	budget := &policyv1.PodDisruptionBudget{}
	require.NoError(t, env.client.Get(t.Context(), s.key(deploymentOf(channel)), budget))
	s.until(env.settling(), "the budget lets one worker of three go", func(ctx context.Context) error {
		if err := env.client.Get(ctx, s.key(deploymentOf(channel)), budget); err != nil {
			return err
		}
		if allowed := budget.Status.DisruptionsAllowed; allowed != 1 {
			return fmt.Errorf("%d may go", allowed)
		}
		return nil
	})

	s.edit("orders", func(channel *pubsubv1.PubSubChannel) {
		channel.Spec.Template.Spec = &runtime.RawExtension{Raw: []byte(`{"nodeSelectr": {}}`)}
	})
	s.until(env.statusDelay(), "a mistake is named", func(ctx context.Context) error {
		return s.conditionIs(ctx, "orders", pubsubv1.ConditionReady, metav1.ConditionFalse, pubsubv1.ReasonInvalidSpec)
	})
	require.NoError(t, s.templateIs(t.Context()), "the workers go on as they are")
}

// templateIs is nil where three pods run as the template wants them.
func (s *space) templateIs(ctx context.Context) error {
	pods := &corev1.PodList{}
	if err := env.client.List(ctx, pods, client.InNamespace(s.name), client.MatchingLabels{pubsubv1.LabelChannel: "orders", "team": "shop"}); err != nil {
		return err
	}
	if len(pods.Items) != 3 {
		return fmt.Errorf("%d pods have the label, not 3", len(pods.Items))
	}
	for _, pod := range pods.Items {
		spec := pod.Spec
		if len(spec.Containers) != 2 || spec.Containers[0].Name != "subscriber" || *spec.TerminationGracePeriodSeconds != 11 ||
			spec.Containers[0].Resources.Limits.Memory().String() != "96Mi" || len(spec.TopologySpreadConstraints) != 2 {
			return fmt.Errorf("pod %s: %+v", pod.Name, spec)
		}
		// A new pod has no statuses of containers yet, so those can't tell.
		ready := slices.ContainsFunc(pod.Status.Conditions, func(condition corev1.PodCondition) bool {
			return condition.Type == corev1.PodReady && condition.Status == corev1.ConditionTrue
		})
		if !ready {
			return fmt.Errorf("pod %s is not ready: %+v", pod.Name, pod.Status.Conditions)
		}
	}
	return nil
}
