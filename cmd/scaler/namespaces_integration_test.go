//go:build integration

package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"github.com/jawaracloud/pubsub-operator/scaler/target"
)

// With the chart's Roles in two namespaces, and nothing in the cluster, the scaler becomes ready and
// reads the ScaledObjects of both. Of another namespace it says why it does not answer.
func TestWatchesSomeNamespaces(t *testing.T) {
	require.NotEmpty(t, os.Getenv("KUBEBUILDER_ASSETS"), "it must name the folder of etcd, kube-apiserver and kubectl; run `make test`, which sets it")
	keda, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/kedacore/keda/v2").Output()
	require.NoError(t, err)
	env := &envtest.Environment{
		CRDDirectoryPaths:     []string{filepath.Join(strings.TrimSpace(string(keda)), "config", "crd", "bases")},
		ErrorIfCRDPathMissing: true, ControlPlaneStartTimeout: 3 * time.Minute, ControlPlaneStopTimeout: time.Minute,
		CRDInstallOptions: envtest.CRDInstallOptions{MaxTime: 3 * time.Minute}, // a busy machine needs more than 10 s
	}
	t.Cleanup(func() { assert.NoError(t, env.Stop()) })
	config, err := env.Start()
	require.NoError(t, err)
	scheme := runtime.NewScheme()
	require.NoError(t, corev1.AddToScheme(scheme))
	require.NoError(t, kedav1alpha1.AddToScheme(scheme))
	admin, err := client.New(config, client.Options{Scheme: scheme})
	require.NoError(t, err)
	for _, namespace := range []string{"pubsub-system", "shop", "stock", "elsewhere"} {
		require.NoError(t, admin.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}))
		require.NoError(t, admin.Create(t.Context(), &kedav1alpha1.ScaledObject{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "orders"},
			Spec: kedav1alpha1.ScaledObjectSpec{
				ScaleTargetRef: &kedav1alpha1.ScaleTarget{Name: "workers"},
				Triggers:       []kedav1alpha1.ScaleTriggers{{Type: "external-push", Metadata: map[string]string{"channelName": "orders"}}},
			},
		}))
	}
	bindWatchedRoles(t, admin)
	user, err := env.AddUser(envtest.User{Name: scalerUser}, &rest.Config{})
	require.NoError(t, err)
	kubeconfig, err := user.KubeConfig()
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, os.WriteFile(file, kubeconfig, 0o600))
	o, err := parse([]string{"--kubeconfig", file, "--watch-namespaces", "stock,shop"})
	require.NoError(t, err)

	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	view, err := startCluster(ctx, o, cancel)
	require.NoError(t, err)
	waiting, stop := context.WithTimeout(ctx, 2*time.Minute)
	defer stop()
	view.wait(waiting)
	require.NoError(t, view.ready())
	for _, namespace := range []string{"shop", "stock"} {
		object, err := view.targets.Find(ctx, namespace, "orders")
		require.NoError(t, err)
		assert.Len(t, object.Triggers(), 1)
	}
	_, err = view.targets.Find(ctx, "elsewhere", "orders")
	require.ErrorIs(t, err, target.ErrNotFound)
	require.ErrorContains(t, err, "ScaledObject elsewhere/orders is in a namespace that this installation does not watch: add elsewhere to --watch-namespaces")
}

// bindWatchedRoles makes the roles that the chart has with watchNamespaces (make generate).
func bindWatchedRoles(t *testing.T, admin client.Client) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "translator", "testdata", "watched-roles.yaml"))
	require.NoError(t, err)
	for document := range strings.SplitSeq(string(data), "\n---\n") {
		object := &unstructured.Unstructured{}
		require.NoError(t, yaml.Unmarshal([]byte(document), &object.Object))
		require.NoError(t, admin.Create(t.Context(), object))
	}
}
