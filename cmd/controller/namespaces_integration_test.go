//go:build integration

package main

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator"
	"github.com/jawaracloud/pubsub-operator/translator/watched"
)

// Ready is a controller that can read at least one of its namespaces. Of the others it reads nothing, not even that something is
// not there.
func TestIsReadyWithANamespaceThatCanBeRead(t *testing.T) {
	env, config := startAPIServer(t)
	scheme := runtime.NewScheme()
	require.NoError(t, translator.AddToScheme(scheme))
	admin, err := client.New(config, client.Options{Scheme: scheme})
	require.NoError(t, err)
	for _, name := range []string{"pubsub-system", "shop", "stock"} {
		require.NoError(t, admin.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}))
	}
	user, err := env.AddUser(envtest.User{Name: "system:serviceaccount:pubsub-system:controller"}, &rest.Config{})
	require.NoError(t, err)

	o, err := parse([]string{"--scaler-address", "127.0.0.1:1", "--health-probe-bind-address", freeAddress(t), "--metrics-bind-address", "0", "--watch-namespaces", "shop,stock"}, io.Discard)
	require.NoError(t, err)
	namespaces := watched.New(o.watchNamespaces, clock.RealClock{}, slog.New(slog.DiscardHandler))
	mgr, err := newManager(user.Config(), translator.NewCaches(user.Config(), namespaces), namespaces, o)
	require.NoError(t, err)
	_, err = mgr.GetCache().GetInformer(t.Context(), &v1.PubSubChannel{}, cache.BlockUntilSynced(false))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	t.Cleanup(func() { cancel(); assert.NoError(t, <-ended) })
	says := func(path string, code int) {
		t.Helper()
		require.Eventually(t, func() bool {
			response, err := http.Get("http://" + o.probeAddress + path)
			return err == nil && response.Body.Close() == nil && response.StatusCode == code
		}, 2*time.Minute, 50*time.Millisecond, "%s: %d", path, code)
	}
	require.Eventually(t, func() bool { return namespaces.Ready() != nil }, 2*time.Minute, 50*time.Millisecond)
	says("/readyz", http.StatusInternalServerError)
	says("/healthz", http.StatusOK)
	bind(t, admin, "shop")
	says("/readyz", http.StatusOK)
	read := func(namespace string) error {
		return mgr.GetClient().Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "orders"}, &v1.PubSubChannel{})
	}
	require.True(t, apierrors.IsNotFound(read("shop")))
	require.ErrorIs(t, read("stock"), watched.ErrUnreadable)
	bind(t, admin, "stock")
	require.Eventually(t, func() bool { return apierrors.IsNotFound(read("stock")) }, 3*time.Minute, 50*time.Millisecond)
}

// bind makes the roles that the chart has in a namespace with watchNamespaces (make generate).
func bind(t *testing.T, admin client.Client, namespace string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "translator", "testdata", "watched-roles.yaml"))
	require.NoError(t, err)
	made := 0
	for document := range strings.SplitSeq(string(data), "\n---\n") {
		object := &unstructured.Unstructured{}
		require.NoError(t, yaml.Unmarshal([]byte(document), &object.Object))
		if object.GetNamespace() == namespace {
			require.NoError(t, admin.Create(t.Context(), object))
			made++
		}
	}
	require.Positive(t, made, "no roles are for %s", namespace)
}
