//go:build integration

package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"github.com/jawaracloud/pubsub-operator/proto/inspect"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/scaler"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
	"github.com/jawaracloud/pubsub-operator/scaler/target"
	"github.com/jawaracloud/pubsub-operator/translator/watched"
)

// cluster is an API server with KEDA's CRDs, the roles that the chart has with watchNamespaces in shop and stock, and a
// ScaledObject in each of the namespaces.
type cluster struct {
	client.Client
	kubeconfig string        // the scaler's
	scaler     client.Client // with the scaler's rights
}

func startWatched(t *testing.T) *cluster {
	t.Helper()
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
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, rbacv1.AddToScheme, appsv1.AddToScheme, kedav1alpha1.AddToScheme} {
		require.NoError(t, add(scheme))
	}
	c := &cluster{kubeconfig: filepath.Join(t.TempDir(), "kubeconfig")}
	c.Client, err = client.New(config, client.Options{Scheme: scheme})
	require.NoError(t, err)
	for _, namespace := range []string{"pubsub-system", "shop", "stock", "elsewhere"} {
		c.populate(t, namespace)
	}
	bindWatchedRoles(t, c)
	user, err := env.AddUser(envtest.User{Name: scalerUser}, &rest.Config{})
	require.NoError(t, err)
	c.scaler, err = client.New(user.Config(), client.Options{Scheme: scheme})
	require.NoError(t, err)
	kubeconfig, err := user.KubeConfig()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(c.kubeconfig, kubeconfig, 0o600))
	return c
}

// ofOrders is the metadata of the ScaledObjects' trigger.
var ofOrders = map[string]string{"channelName": "orders"}

// populate makes a namespace with a ScaledObject.
func (c *cluster) populate(t *testing.T, namespace string) {
	t.Helper()
	require.NoError(t, c.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}))
	require.NoError(t, c.Create(t.Context(), &kedav1alpha1.ScaledObject{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "orders"},
		Spec: kedav1alpha1.ScaledObjectSpec{
			ScaleTargetRef: &kedav1alpha1.ScaleTarget{Name: "workers"},
			Triggers:       []kedav1alpha1.ScaleTriggers{{Type: "external-push", Metadata: ofOrders}},
		},
	}))
}

// start starts a scaler's view of these namespaces, which ends with the test, or before.
func (c *cluster) start(t *testing.T, log io.Writer, namespaces string) (view *clusterView, end func()) {
	t.Helper()
	o, err := parse([]string{"--kubeconfig", c.kubeconfig, "--watch-namespaces", namespaces})
	require.NoError(t, err)
	ctx, cancel := context.WithCancelCause(t.Context())
	end = func() {
		assert.NoError(t, context.Cause(ctx), "it has not ended by itself")
		cancel(nil)
	}
	t.Cleanup(func() { cancel(nil) })
	view, err = startCluster(ctx, o, slog.New(slog.NewTextHandler(log, nil)), cancel)
	require.NoError(t, err)
	return view, end
}

// untilReady waits until a view is ready.
func untilReady(t *testing.T, view *clusterView) {
	t.Helper()
	waiting, stop := context.WithTimeout(t.Context(), 2*time.Minute)
	defer stop()
	view.wait(waiting)
	require.NoError(t, view.ready())
}

// finds waits until a view has the ScaledObject of a namespace.
func finds(t *testing.T, view *clusterView, namespace string) {
	t.Helper()
	require.Eventually(t, func() bool {
		object, err := view.targets.Find(t.Context(), namespace, "orders")
		return err == nil && len(object.Triggers()) == 1
	}, 3*time.Minute, 50*time.Millisecond, "%s", namespace)
}

// With the chart's Roles in two namespaces, and nothing in the cluster, the scaler becomes ready and
// reads the ScaledObjects of both. Of another namespace it says why it does not answer.
func TestWatchesSomeNamespaces(t *testing.T) {
	view, _ := startWatched(t).start(t, io.Discard, "stock,shop")
	untilReady(t, view)
	for _, namespace := range []string{"shop", "stock"} {
		object, err := view.targets.Find(t.Context(), namespace, "orders")
		require.NoError(t, err)
		assert.Len(t, object.Triggers(), 1)
	}
	_, err := view.targets.Find(t.Context(), "elsewhere", "orders")
	require.ErrorIs(t, err, target.ErrNotFound)
	require.ErrorContains(t, err, "ScaledObject elsewhere/orders is in a namespace that this installation does not watch: add elsewhere to --watch-namespaces")
}

// A namespace without its Role, because somebody removed it or the namespace with it, holds up no other when a scaler starts. KEDA
// gets an error that says so, and answers once there is the Role again.
func TestANamespaceWithoutItsRoleHoldsUpNoOther(t *testing.T) {
	c, log := startWatched(t), &lines{}
	c.takeRole(t, "stock")
	view, end := c.start(t, log, "away,shop,stock")
	untilReady(t, view)
	finds(t, view, "shop")
	pool := sampling.NewPool(sampling.Options{Metrics: sampling.NewMetrics(prometheus.NewRegistry())})
	t.Cleanup(pool.Close)
	service := scaler.New(scaler.Options{Pool: pool, Targets: view.targets})
	t.Cleanup(service.Stop)
	for _, namespace := range []string{"away", "stock"} {
		ref := &externalscaler.ScaledObjectRef{Namespace: namespace, Name: "orders", ScalerMetadata: ofOrders}
		_, isActive := service.IsActive(t.Context(), ref)
		_, spec := service.GetMetricSpec(t.Context(), ref)
		_, metrics := service.GetMetrics(t.Context(), &externalscaler.GetMetricsRequest{ScaledObjectRef: ref})
		_, explain := service.Explain(t.Context(), &inspectv1.ExplainRequest{Namespace: namespace, Name: "orders"})
		for method, err := range map[string]error{"IsActive": isActive, "GetMetricSpec": spec, "GetMetrics": metrics, "Explain": explain} {
			assert.Equal(t, codes.Unavailable, status.Code(err), "%s: %v", method, err)
			reason, _ := inspect.ReasonOf(status.Convert(err))
			assert.Equal(t, inspect.ClusterUnreachable, reason, method)
			assert.ErrorContains(t, err, "namespace "+namespace+" can't be read: ", method)
			assert.ErrorContains(t, err, "or take "+namespace+" out of --watch-namespaces", method)
		}
		assert.Equal(t, 1, log.count("level=ERROR", "namespace="+namespace), "it is told once")
	}
	assert.Equal(t, 0, log.count("namespace=shop"))
	assert.Equal(t, 2, view.namespaces.Unreadable())

	c.giveRole(t, "stock")
	finds(t, view, "stock")
	c.populate(t, "away")
	c.giveRole(t, "away")
	finds(t, view, "away")
	assert.Equal(t, 0, view.namespaces.Unreadable())

	c.takeRole(t, "stock")
	finds(t, view, "shop")
	end()
	view, _ = c.start(t, log, "away,shop,stock")
	untilReady(t, view)
	finds(t, view, "shop")
	finds(t, view, "away")
	_, err := view.targets.Find(t.Context(), "stock", "orders")
	require.ErrorIs(t, err, watched.ErrUnreadable)
}

// A scaler that can read none of its namespaces is not ready, and says why. It becomes ready once it can.
func TestWaitsForANamespaceThatCanBeRead(t *testing.T) {
	c := startWatched(t)
	view, _ := c.start(t, io.Discard, "away")
	require.Eventually(t, func() bool {
		err := view.ready()
		return err != nil && strings.Contains(err.Error(), "none of the watched namespaces can be read: namespace away can't be read: ")
	}, 2*time.Minute, 50*time.Millisecond)
	c.populate(t, "away")
	c.giveRole(t, "away")
	finds(t, view, "away")
	untilReady(t, view)
}

// watchedRoleName is the name of the scaler's Role in each watched namespace.
const watchedRoleName = "pubsub-operator-scaler-watched"

// takeRole takes the scaler's rights in a namespace away.
func (c *cluster) takeRole(t *testing.T, namespace string) {
	t.Helper()
	require.NoError(t, c.Delete(t.Context(), &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: watchedRoleName}}))
	require.Eventually(t, func() bool {
		return apierrors.IsForbidden(c.scaler.List(t.Context(), &appsv1.DeploymentList{}, client.InNamespace(namespace)))
	}, 2*time.Minute, 50*time.Millisecond)
}

// giveRole gives the scaler the rights in a namespace that it has in shop.
func (c *cluster) giveRole(t *testing.T, namespace string) {
	t.Helper()
	shop, role, binding := client.ObjectKey{Namespace: "shop", Name: watchedRoleName}, &rbacv1.Role{}, &rbacv1.RoleBinding{}
	require.NoError(t, c.Get(t.Context(), shop, role))
	require.NoError(t, c.Get(t.Context(), shop, binding))
	meta := metav1.ObjectMeta{Namespace: namespace, Name: watchedRoleName}
	require.NoError(t, c.Create(t.Context(), &rbacv1.Role{ObjectMeta: meta, Rules: role.Rules}))
	require.NoError(t, client.IgnoreAlreadyExists(c.Create(t.Context(), &rbacv1.RoleBinding{ObjectMeta: meta, Subjects: binding.Subjects, RoleRef: binding.RoleRef})))
}

// lines keeps a log.
type lines struct {
	mu   sync.Mutex
	text []string
}

func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, string(line))
	return len(line), nil
}

// count is how many lines hold all of these texts.
func (l *lines) count(texts ...string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.text {
		if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) }) {
			n++
		}
	}
	return n
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
