//go:build integration

package main

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"github.com/jawaracloud/pubsub-operator/internal/certtest"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/scaler"
)

// startAPIServer starts one with our CRD, until the test ends.
func startAPIServer(t *testing.T) (*envtest.Environment, *rest.Config) {
	t.Helper()
	require.NotEmpty(t, os.Getenv("KUBEBUILDER_ASSETS"), "it must name the folder of etcd, kube-apiserver and kubectl; run `make test`, which sets it")
	env := &envtest.Environment{
		CRDDirectoryPaths:     []string{filepath.Join("..", "..", "charts", "pubsub-operator", "files", "crds")},
		ErrorIfCRDPathMissing: true, ControlPlaneStartTimeout: 3 * time.Minute, ControlPlaneStopTimeout: time.Minute,
		CRDInstallOptions: envtest.CRDInstallOptions{MaxTime: 3 * time.Minute}, // a busy machine needs more than 10 s
	}
	t.Cleanup(func() { assert.NoError(t, env.Stop()) })
	config, err := env.Start()
	require.NoError(t, err)
	return env, config
}

// The controller fills Secrets that the chart made empty, with the roles that the chart gives
// it, and asks the scaler with the certificate in its own. A Secret that is emptied is filled
// again. The roles let it read no other Secret, and create none.
func TestTheControllerMakesTheCertificates(t *testing.T) {
	env, admin := startAPIServer(t)
	scheme := runtime.NewScheme()
	require.NoError(t, clientgoscheme.AddToScheme(scheme))
	api, err := client.New(admin, client.Options{Scheme: scheme})
	require.NoError(t, err)
	for _, namespace := range []string{"system", "keda"} {
		require.NoError(t, api.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}))
	}
	get := func(namespace, name string) *corev1.Secret {
		secret := &corev1.Secret{}
		require.NoError(t, api.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, secret))
		return secret
	}
	filled := func(namespace, name string) bool { return len(get(namespace, name).Data["tls.crt"]) > 0 }
	names := map[string][]string{"system": {"op-authority", "op-server-cert", "op-controller-cert", "op-people-cert"}, "keda": {"op-keda-cert"}}
	for namespace, secrets := range names {
		for _, name := range append(secrets, "of-others") {
			require.NoError(t, api.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}))
		}
	}
	bindController(t, api, map[string][]string{ // those of an older chart, too, which are not there
		"system": append(names["system"], "op-server-tls", "op-controller-tls", "op-people-tls"), "keda": append(names["keda"], "op-keda-tls"),
	})
	user, err := env.AddUser(envtest.User{Name: "controller"}, admin)
	require.NoError(t, err)
	kubeconfig, err := user.KubeConfig()
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, os.WriteFile(file, kubeconfig, 0o600))
	t.Setenv("KUBECONFIG", file)

	// In a process of its own, because controller-runtime's registries of metrics and of
	// controllers are the process's.
	var out logBuffer
	controller := exec.Command(os.Args[0])
	controller.Env = append(os.Environ(), asController+"=--leader-elect --leader-election-namespace=system --log-format=json"+
		" --scaler-authentication-ref=op --keda-tls-secret=keda/op-keda-cert --issue-certificates=system/op --scaler-hosts=op-scaler.system.svc,localhost,127.0.0.1"+
		" --keda-names=op-keda --controller-names=op-controller --people-names=op-people")
	controller.Stdout, controller.Stderr = &out, &out
	require.NoError(t, controller.Start())
	ended := make(chan error, 1)
	go func() { ended <- controller.Wait() }()
	t.Cleanup(func() { _ = controller.Process.Kill() }) // it may have ended
	for namespace, secrets := range names {
		for _, name := range secrets {
			require.Eventually(t, func() bool { return filled(namespace, name) }, time.Minute, 100*time.Millisecond, "%s\n%s", name, out.String())
		}
	}
	var told eventsv1.EventList
	require.Eventually(t, func() bool {
		return api.List(t.Context(), &told, client.InNamespace("keda")) == nil && len(told.Items) > 0
	}, time.Minute, 100*time.Millisecond, "an event of KEDA's certificate")
	assert.Equal(t, "CertificateIssued", told.Items[0].Reason)
	assert.Equal(t, "op-keda-cert", told.Items[0].Regarding.Name)

	// The scaler loads its files, and the controller asks it with what is in its own Secret.
	dir := t.TempDir()
	for name, content := range get("system", "op-server-cert").Data {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	config, err := scaler.TLSFromDir(dir, slog.New(slog.NewTextHandler(t.Output(), nil)), nil)
	require.NoError(t, err)
	_, address := serveInspector(t, "127.0.0.1:0", grpc.Creds(credentials.NewTLS(config)))
	e, err := newExplainer(address, options{issue: issuing{prefix: "system/op"}}.source(api))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, e.close()) })
	response, err := e.Explain(t.Context(), &inspectv1.ExplainRequest{})
	require.NoError(t, err)
	assert.Equal(t, "op-controller", response.GetExplanation())
	stranger := certtest.New(t)
	_, err = tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", address, stranger.ClientTLS("localhost"))
	require.Error(t, err)

	secret := get("keda", "op-keda-cert")
	secret.Data = nil
	require.NoError(t, api.Update(t.Context(), secret))
	require.Eventually(t, func() bool { return filled("keda", "op-keda-cert") }, time.Minute, 100*time.Millisecond)
	assert.NotContains(t, out.String(), `"level":"ERROR"`)

	theirs, err := client.New(user.Config(), client.Options{Scheme: scheme})
	require.NoError(t, err)
	for namespace := range names {
		err := theirs.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "of-others"}, &corev1.Secret{})
		assert.True(t, apierrors.IsForbidden(err), err)
		err = theirs.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "more"}})
		assert.True(t, apierrors.IsForbidden(err), err)
	}
	require.NoError(t, controller.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-ended:
		assert.NoError(t, err)
	case <-time.After(2 * time.Minute):
		assert.Fail(t, "the controller did not end")
	}
	lease := &coordinationv1.Lease{}
	require.NoError(t, api.Get(t.Context(), client.ObjectKey{Namespace: "system", Name: leaderElectionID}, lease))
	assert.Empty(t, ptr.Deref(lease.Spec.HolderIdentity, ""), "who ends lets the next one lead at once")
}

// bindController gives the user controller what the chart gives to the controller.
func bindController(t *testing.T, api client.Client, secrets map[string][]string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "charts", "pubsub-operator", "files", "rbac", "controller", "role.yaml"))
	require.NoError(t, err)
	subject := []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: "controller"}}
	bind := func(role *rbacv1.Role) {
		require.NoError(t, api.Create(t.Context(), role))
		require.NoError(t, api.Create(t.Context(), &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: role.Namespace, Name: role.Name}, Subjects: subject,
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name}}))
	}
	for _, document := range bytes.Split(bytes.TrimPrefix(text, []byte("---\n")), []byte("\n---\n")) {
		var kind metav1.TypeMeta
		require.NoError(t, yaml.Unmarshal(document, &kind))
		if kind.Kind == "ClusterRole" {
			role := &rbacv1.ClusterRole{}
			require.NoError(t, yaml.Unmarshal(document, role))
			require.NoError(t, api.Create(t.Context(), role))
			require.NoError(t, api.Create(t.Context(), &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: role.Name}, Subjects: subject,
				RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name}}))
			continue
		}
		role := &rbacv1.Role{}
		require.NoError(t, yaml.Unmarshal(document, role))
		role.Namespace = "system"
		bind(role)
	}
	for namespace, names := range secrets {
		bind(&rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "certificates"}, Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: names, Verbs: []string{"get", "update"}},
			{APIGroups: []string{"events.k8s.io"}, Resources: []string{"events"}, Verbs: []string{"create", "patch"}},
		}})
	}
}
