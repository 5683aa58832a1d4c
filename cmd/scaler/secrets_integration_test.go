//go:build integration

package main

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"github.com/jawaracloud/pubsub-operator/internal/certtest"
	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/scaler"
)

// installation is a real API server, and the scaler's program with the rights that the chart
// gives it.
type installation struct {
	client.Client
	t          *testing.T
	audit      string
	kubeconfig string
}

func install(t *testing.T) *installation {
	require.NotEmpty(t, os.Getenv("KUBEBUILDER_ASSETS"), "it must name the folder of etcd, kube-apiserver and kubectl; run `make test`, which sets it")
	keda, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/kedacore/keda/v2").Output()
	require.NoError(t, err)
	env := &envtest.Environment{
		CRDDirectoryPaths:     []string{filepath.Join(strings.TrimSpace(string(keda)), "config", "crd", "bases")},
		ErrorIfCRDPathMissing: true, ControlPlaneStartTimeout: 3 * time.Minute, ControlPlaneStopTimeout: time.Minute,
		CRDInstallOptions: envtest.CRDInstallOptions{MaxTime: 3 * time.Minute}, // a busy machine needs more than 10 s
	}
	i := &installation{t: t, audit: filepath.Join(t.TempDir(), "audit.log"), kubeconfig: filepath.Join(t.TempDir(), "kubeconfig")}
	policy := filepath.Join(t.TempDir(), "policy.yaml")
	require.NoError(t, os.WriteFile(policy, []byte("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- {level: Metadata, users: [\""+scalerUser+"\"], resources: [{group: \"\", resources: [secrets]}]}\n"), 0o600))
	env.ControlPlane.GetAPIServer().Configure().Set("audit-policy-file", policy).Set("audit-log-path", i.audit)
	t.Cleanup(func() { assert.NoError(t, env.Stop()) })
	config, err := env.Start()
	require.NoError(t, err)
	require.NoError(t, kedav1alpha1.AddToScheme(scheme.Scheme))
	i.Client, err = client.New(config, client.Options{Scheme: scheme.Scheme})
	require.NoError(t, err)
	bindRole(t, config)
	user, err := env.AddUser(envtest.User{Name: scalerUser}, &rest.Config{})
	require.NoError(t, err)
	data, err := user.KubeConfig()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(i.kubeconfig, data, 0o600))
	return i
}

// run runs the program until the test ends, and returns its address.
func (i *installation) run(certificates string) (address string) {
	o, err := parse([]string{
		"--grpc-bind-address", freeAddress(i.t), "--metrics-bind-address", "0", "--health-probe-bind-address", "0",
		"--kubeconfig", i.kubeconfig, "--tls-cert-dir", certificates,
	})
	require.NoError(i.t, err)
	ctx, stop := context.WithCancel(context.WithoutCancel(i.t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, o, slog.New(slog.DiscardHandler)) }()
	i.t.Cleanup(func() { stop(); assert.NoError(i.t, <-ended) })
	return o.grpcAddress
}

// team makes a namespace with a Secret, if it is named, and a Deployment, and a ScaledObject that reads the
// server with the Secret.
func (i *installation) team(namespace, name, server, secret string) {
	objects := []client.Object{&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}}
	if secret != "" {
		objects = append(objects, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: secret}, StringData: map[string]string{"password": "hunter2"}})
	}
	for _, object := range append(objects,
		&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"a": "b"}},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "worker", Image: "worker"}}},
			},
		}},
		&kedav1alpha1.ScaledObject{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: kedav1alpha1.ScaledObjectSpec{
			ScaleTargetRef: &kedav1alpha1.ScaleTarget{Name: name},
			Triggers:       []kedav1alpha1.ScaleTriggers{{Type: "external-push", Metadata: trigger(server, secret)}},
		}},
	) {
		require.NoError(i.t, i.Create(i.t.Context(), object))
	}
}

func trigger(server, secret string) map[string]string {
	return map[string]string{"channelName": "q", "redisAddress": server, "passwordFromSecret": secret}
}

// letGetSecrets is what the chart's scaler.secrets.namespaces does.
func (i *installation) letGetSecrets(namespace string) {
	data, err := os.ReadFile(filepath.Join("..", "..", "charts", "pubsub-operator", "files", "rbac", "scaler-secrets", "role.yaml"))
	require.NoError(i.t, err)
	role := &rbacv1.ClusterRole{}
	require.NoError(i.t, yaml.UnmarshalStrict(data, role))
	require.NoError(i.t, i.Create(i.t.Context(), role))
	require.NoError(i.t, i.Create(i.t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "scaler-secrets"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: scalerUser}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
	}))
}

// secretsAsked are the Secrets in the audit log, refused ones included.
func (i *installation) secretsAsked() string {
	data, err := os.ReadFile(i.audit)
	require.NoError(i.t, err)
	return string(data)
}

func dialScaler(t *testing.T, address string, transport credentials.TransportCredentials) *grpc.ClientConn {
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(transport))
	require.NoError(t, err)
	t.Cleanup(func() { _ = connection.Close() })
	return connection
}

// With the chart's roles: KEDA's calls use the Secrets of the namespaces that were opened to
// the scaler, and of those only what stands in ScaledObjects; no other caller makes it read
// any, and without TLS nobody does.
func TestSecretsAreUsedOnlyAsTheClusterSays(t *testing.T) {
	i := install(t)
	redis := redistest.Start(t, "--requirepass", "hunter2")
	i.team("shop", "orders", redis.Addr, "redis-auth")
	i.team("payments", "stripe", redis.Addr, "api-key")
	i.letGetSecrets("shop")
	ca := certtest.New(t)
	dir := t.TempDir()
	ca.Write(dir, ca.Server("127.0.0.1"))
	address := i.run(dir)
	names := scaler.DefaultCallers()
	client := func(name string) *grpc.ClientConn {
		return dialScaler(t, address, credentials.NewTLS(ca.ClientTLS("127.0.0.1", ca.Client(name))))
	}
	keda, people := externalscaler.NewExternalScalerClient(client(names.KEDA[0])), inspectv1.NewInspectorClient(client(names.People[0]))

	forged := &externalscaler.ScaledObjectRef{Namespace: "shop", Name: "orders", ScalerMetadata: trigger(redis.Addr, "other")}
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		_, err := keda.IsActive(t.Context(), forged)
		assert.Equal(c, codes.PermissionDenied, status.Code(err), "%v", err)
	}, 2*time.Minute, 50*time.Millisecond)
	_, err := people.Explain(t.Context(), &inspectv1.ExplainRequest{Namespace: "shop", Name: "orders", ScalerMetadata: trigger(redis.Addr, "redis-auth")})
	assert.Equal(t, codes.PermissionDenied, status.Code(err), "%v", err)
	_, err = people.Explain(t.Context(), &inspectv1.ExplainRequest{Namespace: "payments", Name: "anything", ScalerMetadata: trigger(redis.Addr, "api-key")})
	assert.Equal(t, codes.PermissionDenied, status.Code(err), "%v", err)
	plain := inspectv1.NewInspectorClient(dialScaler(t, i.run(""), insecure.NewCredentials()))
	assert.EventuallyWithT(t, func(c *assert.CollectT) {
		_, err := plain.Explain(t.Context(), &inspectv1.ExplainRequest{Namespace: "shop", Name: "orders"})
		assert.Equal(c, codes.PermissionDenied, status.Code(err), "%v", err)
		assert.ErrorContains(c, err, "names Secrets, which the scaler uses only for callers with a certificate")
	}, 2*time.Minute, 50*time.Millisecond)
	assert.Empty(t, i.secretsAsked(), "no refused call makes the scaler ask for a Secret")

	active, err := keda.IsActive(t.Context(), &externalscaler.ScaledObjectRef{Namespace: "shop", Name: "orders", ScalerMetadata: trigger(redis.Addr, "redis-auth")})
	require.NoError(t, err)
	assert.False(t, active.GetResult(), "1 replica, and nothing in the queue")
	explained, err := people.Explain(t.Context(), &inspectv1.ExplainRequest{Namespace: "shop", Name: "orders"})
	require.NoError(t, err)
	assert.Zero(t, explained.GetQueueDepth())
	_, err = keda.IsActive(t.Context(), &externalscaler.ScaledObjectRef{Namespace: "payments", Name: "stripe"})
	assert.Equal(t, codes.FailedPrecondition, status.Code(err), "%v", err)
	assert.ErrorContains(t, err, "forbidden", "nobody has opened payments to the scaler")
	require.EventuallyWithT(t, func(c *assert.CollectT) { assert.Contains(c, i.secretsAsked(), `"name":"api-key"`) }, time.Minute, 50*time.Millisecond)
	assert.Contains(t, i.secretsAsked(), `"name":"redis-auth"`)
	assert.NotContains(t, i.secretsAsked(), `"name":"other"`)
}

// One ScaledObject that KEDA's own types can't hold, and its CRD takes, keeps no other from
// being scaled.
func TestAScaledObjectThatCantBeReadStopsNoOther(t *testing.T) {
	i := install(t)
	redis := redistest.Start(t)
	i.team("shop", "orders", redis.Addr, "")
	for name, tolerance := range map[string]string{"no-number": "1e1.5", "costly": "1e99999999999"} {
		behavior := map[string]any{"scaleUp": map[string]any{"tolerance": tolerance}}
		object := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": map[string]any{"namespace": "shop", "name": name},
			"spec": map[string]any{
				"scaleTargetRef": map[string]any{"name": "other"},
				"triggers":       []any{map[string]any{"type": "cron", "metadata": map[string]any{"timezone": "UTC"}}},
				"advanced":       map[string]any{"horizontalPodAutoscalerConfig": map[string]any{"behavior": behavior}},
			},
		}}
		require.NoError(t, i.Create(t.Context(), object))
		if name == "no-number" {
			require.Error(t, i.Get(t.Context(), client.ObjectKeyFromObject(object), &kedav1alpha1.ScaledObject{}), "KEDA's type holds it")
		}
	}
	keda := externalscaler.NewExternalScalerClient(dialScaler(t, i.run(""), insecure.NewCredentials()))
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		_, err := keda.IsActive(t.Context(), &externalscaler.ScaledObjectRef{Namespace: "shop", Name: "orders"})
		assert.NoError(c, err)
	}, 2*time.Minute, 50*time.Millisecond)
}
