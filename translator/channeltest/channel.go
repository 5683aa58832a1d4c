// Package channeltest is for tests: channels, and what the cluster, KEDA and the scaler may say
// of one.
package channeltest

import (
	"testing"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"github.com/stretchr/testify/require"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// Channel is a channel without the API server's defaults.
func Channel(change ...func(*v1.PubSubChannel)) *v1.PubSubChannel {
	channel := &v1.PubSubChannel{
		ObjectMeta: metav1.ObjectMeta{Name: "orders", Namespace: "shop", UID: "u-1", Generation: 1},
		Spec:       v1.PubSubChannelSpec{ChannelName: "messages"},
	}
	for _, c := range change {
		c(channel)
	}
	return channel
}

// AutoScaled switches autoscaling on.
func AutoScaled(change ...func(*v1.AutoScalingSpec)) func(*v1.PubSubChannel) {
	return func(channel *v1.PubSubChannel) {
		channel.Spec.AutoScaling = &v1.AutoScalingSpec{Enabled: true}
		for _, c := range change {
			c(channel.Spec.AutoScaling)
		}
	}
}

// Annotations by which KEDA is paused.
const (
	PausedReplicas = "autoscaling.keda.sh/paused-replicas"
	PausedAll      = "autoscaling.keda.sh/paused"
	PausedIn       = "autoscaling.keda.sh/paused-scale-in"
	PausedOut      = "autoscaling.keda.sh/paused-scale-out"
)

// Annotated is a change of a channel's annotations.
func Annotated(annotations map[string]string) func(*v1.PubSubChannel) {
	return func(c *v1.PubSubChannel) { c.Annotations = annotations }
}

// Paused sets spec.paused.
func Paused(c *v1.PubSubChannel) { c.Spec.Paused = true }

// Office keeps five workers from 8 to 18 on working days.
func Office(change ...func(*v1.Schedule)) v1.Schedule {
	schedule := v1.Schedule{Name: "office", Timezone: "Europe/Berlin", Start: "0 8 * * 1-5", End: "0 18 * * 1-5", MinReplicas: 5}
	for _, c := range change {
		c(&schedule)
	}
	return schedule
}

// CPU is a trigger that has nothing to do with the queue.
func CPU(name string) kedav1alpha1.ScaleTriggers {
	return kedav1alpha1.ScaleTriggers{Type: "cpu", Name: name, MetricType: autoscalingv2.UtilizationMetricType, Metadata: map[string]string{"value": "60"}}
}

// Templated sets spec.template to a manifest.
func Templated(t testing.TB, manifest string) func(*v1.PubSubChannel) {
	t.Helper()
	template := &v1.PodTemplate{}
	require.NoError(t, yaml.UnmarshalStrict([]byte(manifest), template))
	return func(c *v1.PubSubChannel) { c.Spec.Template = template }
}

// RichTemplate has something of everything that teams ask for.
const RichTemplate = `
metadata:
  labels: {team: shop, app: pubsub-subscriber}
  annotations: {prometheus.io/scrape: "true"}
spec:
  serviceAccountName: worker
  automountServiceAccountToken: true
  priorityClassName: batch
  nodeSelector: {disk: ssd}
  imagePullSecrets: [{name: registry}]
  tolerations: [{key: spot, operator: Exists, effect: NoSchedule}]
  hostAliases: [{ip: 10.0.0.1, hostnames: [legacy]}]
  affinity:
    nodeAffinity:
      requiredDuringSchedulingIgnoredDuringExecution:
        nodeSelectorTerms: [{matchExpressions: [{key: arch, operator: In, values: [amd64]}]}]
  securityContext: {runAsUser: 1000, fsGroup: 2000}
  volumes:
    - {name: scratch, emptyDir: {sizeLimit: 0.5Gi}}
    - {name: settings, configMap: {name: settings}}
  initContainers:
    - {name: proxy, image: "proxy:1", restartPolicy: Always, ports: [{containerPort: 53, protocol: UDP}, {containerPort: 53}]}
  containers:
    - name: subscriber
      resources: {limits: {memory: 1Gi, cpu: 0.5}}
      env: [{name: EXTRA, value: "1"}, {name: REDIS_ADDR, valueFrom: {secretKeyRef: {name: redis, key: address}}}]
      envFrom: [{configMapRef: {name: settings}}]
      ports: [{name: metrics, containerPort: 8080}]
      volumeMounts: [{name: scratch, mountPath: /tmp}, {name: settings, mountPath: /etc/worker, readOnly: true}]
      livenessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 5}
      lifecycle: {preStop: {exec: {command: [sh, -c, "echo bye"]}}}
      securityContext: {readOnlyRootFilesystem: true}
    - {name: sidecar, image: "sidecar:1", env: [{name: A, value: "1"}]}
`
