//go:build e2e

package suite

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// handWritten is a ScaledObject over a Deployment that is none of the operator's, with the
// trigger's metadata still without channelName. %[1]s is the image of an idle program.
const handWritten = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: worker}
spec:
  replicas: 2
  selector: {matchLabels: {app: worker}}
  template:
    metadata: {labels: {app: worker}}
    spec:
      terminationGracePeriodSeconds: 1
      securityContext: {runAsNonRoot: true, runAsUser: 65532, seccompProfile: {type: RuntimeDefault}}
      containers:
      - name: worker
        image: %[1]s
        command: [redis-server, --save, "", --dir, /]
        resources: {requests: {cpu: 1m, memory: 8Mi}}
        securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: worker}
spec:
  scaleTargetRef: {name: worker}
  minReplicaCount: 1
  maxReplicaCount: 10
  triggers:
  - type: external-push
    metadata: {scalerAddress: "%[2]s", enableTLS: "true", redisAddress: "dragonfly:6379", cooldownPeriod: "5"}
    authenticationRef: {kind: ClusterTriggerAuthentication, name: %[3]s}
`

// missingMetadata: a hand-written ScaledObject without channelName scales nothing, and the
// scaler says which key is missing; with it, the target scales without any PubSubChannel.
func missingMetadata(t *testing.T) {
	beside(t, usual)
	s := newSpaceWithRedis(t, "missing-metadata")
	s.setDepth("orders", 350)
	require.NoError(t, s.apply(fmt.Sprintf(handWritten, env.redisImage, scalerAddress, release)))
	replicas := s.record("worker")
	s.until(env.settling(), "KEDA does not call the ScaledObject ready", func(ctx context.Context) error {
		return s.scaledObjectReadyIs(ctx, "worker", "False")
	})
	scaler := s.connectScaler("service/" + release + "-scaler")
	reference := map[string]any{
		"name": "worker", "namespace": s.name,
		"scalerMetadata": map[string]string{"redisAddress": "dragonfly:6379", "cooldownPeriod": "5", "enableTLS": "true"},
	}
	requests := map[string]any{
		isActive: reference, getMetricSpec: reference,
		getMetrics: map[string]any{"scaledObjectRef": reference},
	}
	for method, request := range requests {
		code, message := scaler.fails(method, request)
		require.Equal(t, "InvalidArgument", code, "%s: %s", method, message)
		require.Contains(t, message, `channelName is ""`, method)
		require.Contains(t, message, "it must be the key of the list, stream or sorted set", method)
	}
	code, message := scaler.fails(explain, s.byName(explain, "worker"))
	require.Equal(t, "NotFound", code, message)
	require.Contains(t, message, "has no trigger of type external-push or external with a channelName")
	replicas.holds(2, 3, "while the trigger lacks channelName")

	s.kubectl("patch", "scaledobject", "worker", "--type=json", "-p",
		`[{"op": "add", "path": "/spec/triggers/0/metadata/channelName", "value": "orders"}]`)
	s.until(env.settling(), "KEDA calls the ScaledObject ready", func(ctx context.Context) error {
		return s.scaledObjectReadyIs(ctx, "worker", "True")
	})
	// 350 > 100 × 2 × 150 % = 300, and ceil(350 ÷ 150) = 3.
	replicas.untilValues(env.settling(), 2, 3)
}

// scaledObjectReadyIs is nil where KEDA's Ready condition has this status.
func (s *space) scaledObjectReadyIs(ctx context.Context, name, status string) error {
	scaledObject, err := s.scaledObject(ctx, name)
	if err != nil {
		return err
	}
	conditions, _, err := unstructured.NestedSlice(scaledObject.Object, "status", "conditions")
	if err != nil {
		return err
	}
	for _, c := range conditions {
		if condition, ok := c.(map[string]any); ok && condition["type"] == "Ready" && condition["status"] == status {
			return nil
		}
	}
	return fmt.Errorf("ScaledObject conditions: %v", conditions)
}
