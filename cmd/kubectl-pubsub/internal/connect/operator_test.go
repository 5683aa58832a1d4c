package connect

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// operatorPod is a pod as the chart makes it.
func operatorPod(namespace, name, component string, ready bool, args ...string) corev1.Pod {
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	return corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{
			"app": "pubsub-operator", "app.kubernetes.io/component": component,
		}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: component, Args: args, Ports: []corev1.ContainerPort{{Name: "metrics", ContainerPort: 8080}, {Name: "grpc", ContainerPort: 9191}},
		}}},
		Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: status}}},
	}
}

func withSecret(pod corev1.Pod, people string) corev1.Pod {
	pod.Annotations = map[string]string{"pubsub.jawaracloud.io/people-secret": people}
	return pod
}

func leaving(pod corev1.Pod) corev1.Pod {
	pod.DeletionTimestamp = &metav1.Time{}
	return pod
}

func TestChooseScaler(t *testing.T) {
	const tlsArgument = "--tls-cert-dir=/etc/pubsub-operator/tls"
	scaler := func(name string, ready bool) corev1.Pod {
		return withSecret(operatorPod("ops", name, "scaler", ready, "--log-level=info", tlsArgument), "op-people-tls")
	}
	controller := operatorPod("ops", "controller", "controller", true,
		"--leader-elect", "--scaler-address=op-scaler.ops.svc:9090", "--scaler-tls-cert-dir=/x")
	tests := map[string]struct {
		pods      []corev1.Pod
		namespace string
		want      endpoint
		wantErr   string
	}{
		"the chart's defaults": {
			pods: []corev1.Pod{scaler("b", true), scaler("c", false), scaler("a", true), controller},
			want: endpoint{namespace: "ops", pods: []string{"a", "b"}, port: 9191, tls: true, clientSecret: "op-people-tls", serverName: "op-scaler.ops.svc"},
		},
		"no controller": {
			pods: []corev1.Pod{scaler("a", true), leaving(controller)},
			want: endpoint{namespace: "ops", pods: []string{"a"}, port: 9191, tls: true, clientSecret: "op-people-tls", serverName: "localhost"},
		},
		"no certificate for people": {
			pods: []corev1.Pod{operatorPod("ops", "a", "scaler", true, tlsArgument)},
			want: endpoint{namespace: "ops", pods: []string{"a"}, port: 9191, tls: true, serverName: "localhost"},
		},
		"without TLS": {
			pods: []corev1.Pod{operatorPod("ops", "a", "scaler", true), operatorPod("ops", "controller", "controller", true, "--scaler-address", "op-scaler.ops.svc:9090")},
			want: endpoint{namespace: "ops", pods: []string{"a"}, port: 9191, serverName: "op-scaler.ops.svc"},
		},
		"another install's controller": {
			pods: []corev1.Pod{scaler("a", true), operatorPod("elsewhere", "controller", "controller", true, "--scaler-address=theirs:9090")},
			want: endpoint{namespace: "ops", pods: []string{"a"}, port: 9191, tls: true, clientSecret: "op-people-tls", serverName: "localhost"},
		},
		"none anywhere":          {pods: []corev1.Pod{controller}, wantErr: "no namespace has a pod of the scaler (labels app=pubsub-operator, app.kubernetes.io/component=scaler): install the operator"},
		"none in this namespace": {namespace: "nowhere", wantErr: `namespace "nowhere" has no pod of the scaler (labels app=pubsub-operator, app.kubernetes.io/component=scaler): correct --operator-namespace`},
		"two installs": {
			pods:    []corev1.Pod{scaler("a", true), operatorPod("more", "a", "scaler", true)},
			wantErr: "several namespaces have a scaler (more, ops): choose one with --operator-namespace",
		},
		"none ready": {
			pods:    []corev1.Pod{scaler("a", false), leaving(scaler("b", true))},
			wantErr: `no pod of the scaler in namespace "ops" is ready (pods that exist: 2): see kubectl get pods -n ops -l app=pubsub-operator,app.kubernetes.io/component=scaler`,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := chooseScaler(test.pods, test.namespace)
			if test.wantErr != "" {
				require.ErrorContains(t, err, test.wantErr)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, test.want, got)
		})
	}
}
