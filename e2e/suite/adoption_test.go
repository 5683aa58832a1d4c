//go:build e2e

package suite

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	pubsubv1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// theirs is a fleet that somebody runs already.
const theirs = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: orders-subscriber}
spec:
  replicas: 5
  strategy: {rollingUpdate: {maxUnavailable: 0}}  # its template changes, and it rolls by its own strategy
  selector: {matchLabels: {app: pubsub-subscriber, pubsubchannel: orders}}
  template:
    metadata: {labels: {app: pubsub-subscriber, pubsubchannel: orders}}
    spec:
      automountServiceAccountToken: false
      securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
      containers:
      - name: subscriber
        image: jawaracloud/subscriber:%s
        env: [{name: REDIS_ADDR, value: "dragonfly:6379"}, {name: CHANNEL, value: parked}, {name: QUEUE_TYPE, value: List}]
        resources: {requests: {cpu: 1m, memory: 8Mi}}
        securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
`

// A fleet that runs already is left alone until its owner consents; then it is adopted as
// it runs, and scales from where it is.
func TestAdoption(t *testing.T) {
	beside(t, early)
	s := newSpaceWithRedis(t, "adoption")
	require.NoError(t, s.apply(fmt.Sprintf(theirs, env.imageTag)))
	s.until(env.settling(), "five workers run", func(ctx context.Context) error {
		return s.podsAre(ctx, "orders", 5, func(corev1.Container) error { return nil })
	})
	channel := newChannel("orders")
	setCooldown(channel, 1)
	park(channel)
	s.setDepth("orders", 500) // in the band of five, 250 to 750
	s.create(channel)
	s.until(env.statusDelay(), "it is refused", func(ctx context.Context) error {
		return s.conditionIs(ctx, "orders", pubsubv1.ConditionReady, metav1.ConditionFalse, pubsubv1.ReasonDeploymentConflict)
	})

	deployment := deploymentOf(channel)
	s.neverDips(deployment, "adoption", func() {
		s.kubectl("annotate", "deployment", deployment, pubsubv1.AnnotationAdoptedBy+"=orders")
	}, 5, func(ctx context.Context) error {
		return s.conditionIs(ctx, "orders", pubsubv1.ConditionReady, metav1.ConditionTrue, pubsubv1.ReasonAvailable)
	})
	s.untilFollowed("orders")
	s.neverDips(deployment, "it grows from five: ceil(1000 ÷ 150)", func() { s.setDepth("orders", 1000) }, 7, noMore)
}
