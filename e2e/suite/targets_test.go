//go:build e2e

package suite

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// anyTarget is a target of some kind with three idle pods, and a ScaledObject over it as
// docs/scaledobject.md shows it. %[1]s is the kind, %[2]s what the kind needs besides, %[3]s
// an image, %[4]s the scaler's address, %[5]s the ClusterTriggerAuthentication and %[6]d the
// cooldown.
const anyTarget = `
apiVersion: apps/v1
kind: %[1]s
metadata: {name: mailer}
spec:
  replicas: 3
  %[2]s
  selector: {matchLabels: {app: mailer}}
  template:
    metadata: {labels: {app: mailer}}
    spec:
      terminationGracePeriodSeconds: 1
      securityContext: {runAsNonRoot: true, runAsUser: 65532, seccompProfile: {type: RuntimeDefault}}
      containers:
      - name: worker
        image: %[3]s
        command: [redis-server, --save, "", --dir, /]
        resources: {requests: {cpu: 1m, memory: 8Mi}}
        securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: mailer}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: %[1]s, name: mailer}
  minReplicaCount: 1
  maxReplicaCount: 20
  advanced:
    horizontalPodAutoscalerConfig:
      behavior:
        scaleUp:
          stabilizationWindowSeconds: 0
          tolerance: "0"
          policies: [{type: Pods, value: 20, periodSeconds: 15}]
        scaleDown:
          stabilizationWindowSeconds: 0
          tolerance: "0"
          policies: [{type: Percent, value: 20, periodSeconds: 5}, {type: Pods, value: 1, periodSeconds: 5}]
          selectPolicy: Max
  triggers:
  - type: external-push
    metricType: AverageValue
    metadata:
      scalerAddress: "%[4]s"
      enableTLS: "true"
      channelName: mail
      redisAddress: dragonfly:6379
      maxReplicas: "20"
      cooldownPeriod: "%[6]d"
    authenticationRef: {kind: ClusterTriggerAuthentication, name: %[5]s}
`

// The trigger's metadata alone scales a StatefulSet, whose replicas the scaler reads, and a
// kind that it has no right to read, whose replicas it takes from the HPA's status. Both
// go the policy's way: nothing is overshot, and nothing taken back.
func TestAnyScaleTarget(t *testing.T) {
	t.Parallel()
	for kind, besides := range map[string]string{
		"StatefulSet": "podManagementPolicy: Parallel\n  serviceName: mailer",
		"ReplicaSet":  "minReadySeconds: 0",
	} {
		t.Run(kind, func(t *testing.T) {
			beside(t, usual)
			s := newSpaceWithRedis(t, strings.ToLower(kind))
			cooldown := env.syncs(2)
			s.setDepth("mail", 500)
			require.NoError(t, s.apply(fmt.Sprintf(anyTarget, kind, besides, env.redisImage, scalerAddress, release, int(cooldown/time.Second))))
			s.untilTargetWent(kind, env.settling(), 3, 4) // ceil(500 ÷ 150)
			s.assertStable(cooldown+env.syncs(3), "it holds at 4", s.targetIs(kind, 4))
			s.setDepth("mail", 160) // below 200 = 100 × 4 × 50 %
			s.untilTargetWent(kind, env.reaction(), 4, 3)
			s.assertStable(cooldown+env.syncs(3), "it holds at 3: 160 is between 150 and 450", s.targetIs(kind, 3))
		})
	}
}

// targetReplicas reads spec.replicas of the target.
func (s *space) targetReplicas(ctx context.Context, kind string) (int64, error) {
	target := &unstructured.Unstructured{}
	target.SetGroupVersionKind(schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: kind})
	if err := env.client.Get(ctx, s.key("mailer"), target); err != nil {
		return 0, err
	}
	replicas, _, err := unstructured.NestedInt64(target.Object, "spec", "replicas")
	return replicas, err
}

func (s *space) targetIs(kind string, wanted int64) func(context.Context) error {
	return func(ctx context.Context) error {
		got, err := s.targetReplicas(ctx, kind)
		if err == nil && got != wanted {
			err = fmt.Errorf("spec.replicas is %d", got)
		}
		return err
	}
}

// untilTargetWent waits until spec.replicas has gone from one value to the other, and fails
// where it takes a third.
func (s *space) untilTargetWent(kind string, within time.Duration, from, to int64) {
	s.t.Helper()
	s.until(within, fmt.Sprintf("spec.replicas of the %s went from %d to %d", kind, from, to), func(ctx context.Context) error {
		got, err := s.targetReplicas(ctx, kind)
		if err != nil {
			return err
		}
		require.True(s.t, slices.Contains([]int64{from, to}, got), "spec.replicas is %d", got)
		if got != to {
			return fmt.Errorf("spec.replicas is %d", got)
		}
		return nil
	})
}
