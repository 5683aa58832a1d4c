//go:build e2e

package suite

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// alone skips a measurement unless make e2e-measure runs it: beside other tests it would
// measure them.
func alone(t *testing.T) {
	if os.Getenv("E2E_MEASURE") == "" {
		t.Skip("a measurement, for which the cluster must be quiet: run make e2e-measure")
	}
}

// number reads a number from the environment.
func number(t *testing.T, variable string, otherwise int) int {
	value := os.Getenv(variable)
	if value == "" {
		return otherwise
	}
	n, err := strconv.Atoi(value)
	require.NoErrorf(t, err, "%s is %q", variable, value)
	return n
}

// redisClient is a client of the namespace's Redis, through a forwarded port.
func (s *space) redisClient() *redis.Client {
	s.t.Helper()
	f, err := startForward(s.t.Context(), s.name, "deployment/dragonfly", ":6379")
	require.NoError(s.t, err)
	client := redis.NewClient(&redis.Options{Addr: f.address, Protocol: 2, ContextTimeoutEnabled: true})
	s.t.Cleanup(func() { _ = client.Close(); f.stop() })
	return client
}

// refusePods lets no further pod start in the namespace, so that the pods of many fleets
// do not disturb what is measured: their Deployments' spec.replicas.
func (s *space) refusePods() {
	s.t.Helper()
	require.NoError(s.t, env.client.Create(s.t.Context(), &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "no-more-pods", Namespace: s.name},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("1")}},
	}))
}

// scaleTo sets a Deployment's replicas through its scale subresource, as kubectl scale does.
func (s *space) scaleTo(deployment string, replicas int32) error {
	object := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: deployment, Namespace: s.name}}
	patch := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas)
	return env.client.SubResource("scale").Patch(s.t.Context(), object, mergePatch(patch))
}

// idleDeployment is a target for KEDA's own scalers: it starts at 0 and has no pods.
func (s *space) idleDeployment(name string) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: s.name},
		Spec: appsv1.DeploymentSpec{
			Replicas: ptr.To[int32](0),
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "idle", Image: env.redisImage}}},
			},
		},
	}
}

// latencies are sorted durations, for percentiles by the nearest rank.
type latencies []time.Duration

func (l latencies) percentile(p int) time.Duration {
	return slices.Sorted(slices.Values(l))[(len(l)*p+99)/100-1]
}

func (l latencies) String() string {
	return fmt.Sprintf("n %d, p50 %.2f s, p99 %.2f s, max %.2f s", len(l), l.percentile(50).Seconds(), l.percentile(99).Seconds(), slices.Max(l).Seconds())
}
