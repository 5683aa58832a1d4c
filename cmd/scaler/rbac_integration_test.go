//go:build integration

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"
)

// scalerUser is who the scaler is to the API server.
const scalerUser = "system:serviceaccount:pubsub-system:scaler"

// The generated role holds exactly what the scaler asks an API server for, by the audit
// log; a server without streamed lists, as before 1.34, so that it lists before it watches.
func TestPermissionsAreExactlyThoseNeeded(t *testing.T) {
	require.NotEmpty(t, os.Getenv("KUBEBUILDER_ASSETS"), "it must name the folder of etcd, kube-apiserver and kubectl; run `make test`, which sets it")
	keda, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/kedacore/keda/v2").Output()
	require.NoError(t, err)
	env := &envtest.Environment{
		CRDDirectoryPaths:     []string{filepath.Join(strings.TrimSpace(string(keda)), "config", "crd", "bases")},
		ErrorIfCRDPathMissing: true, ControlPlaneStartTimeout: 3 * time.Minute, ControlPlaneStopTimeout: time.Minute,
		CRDInstallOptions: envtest.CRDInstallOptions{MaxTime: 3 * time.Minute}, // a busy machine needs more than 10 s
	}
	policy, audit := filepath.Join(t.TempDir(), "policy.yaml"), filepath.Join(t.TempDir(), "audit.log")
	require.NoError(t, os.WriteFile(policy, []byte("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- {level: Metadata, users: [\""+scalerUser+"\"]}\n"), 0o600))
	env.ControlPlane.GetAPIServer().Configure().Set("feature-gates", "WatchList=false").Set("audit-policy-file", policy).Set("audit-log-path", audit)
	t.Cleanup(func() { assert.NoError(t, env.Stop()) })
	config, err := env.Start()
	require.NoError(t, err)
	role := bindRole(t, config)
	user, err := env.AddUser(envtest.User{Name: scalerUser}, &rest.Config{})
	require.NoError(t, err)
	kubeconfig, err := user.KubeConfig()
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, os.WriteFile(file, kubeconfig, 0o600))

	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	view, err := startCluster(ctx, options{kubeconfig: file}, slog.New(slog.DiscardHandler), cancel)
	require.NoError(t, err)
	waiting, stop := context.WithTimeout(ctx, 2*time.Minute)
	defer stop()
	view.wait(waiting)
	require.NoError(t, view.ready())
	_, err = view.targets.Find(ctx, "shop", "orders")
	require.Error(t, err, "there is none")

	granted := map[string]bool{}
	for _, rule := range role.Rules {
		for _, verb := range rule.Verbs {
			for _, resource := range rule.Resources {
				granted[verb+" "+rule.APIGroups[0]+"/"+resource] = true
			}
		}
	}
	assert.Eventually(t, func() bool { return maps.Equal(granted, asked(t, audit)) }, time.Minute, 50*time.Millisecond)
	assert.Equal(t, slices.Sorted(maps.Keys(granted)), slices.Sorted(maps.Keys(asked(t, audit))), "the role, and what was asked for")
}

// bindRole gives the scaler's user the generated role.
func bindRole(t *testing.T, config *rest.Config) *rbacv1.ClusterRole {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "charts", "pubsub-operator", "files", "rbac", "scaler", "role.yaml"))
	require.NoError(t, err)
	role := &rbacv1.ClusterRole{}
	require.NoError(t, yaml.UnmarshalStrict(data, role))
	scheme := runtime.NewScheme()
	require.NoError(t, rbacv1.AddToScheme(scheme))
	admin, err := client.New(config, client.Options{Scheme: scheme})
	require.NoError(t, err)
	require.NoError(t, admin.Create(t.Context(), role))
	require.NoError(t, admin.Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "scaler"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: scalerUser}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
	}))
	return role
}

// asked are the verbs and resources of the audit log.
func asked(t *testing.T, audit string) map[string]bool {
	t.Helper()
	data, err := os.ReadFile(audit)
	require.NoError(t, err)
	all := map[string]bool{}
	for line := range bytes.Lines(data) {
		var request struct {
			Verb      string
			ObjectRef *struct{ APIGroup, Resource string }
		}
		if json.Unmarshal(line, &request) == nil && request.ObjectRef != nil { // the last line may be half written
			all[request.Verb+" "+request.ObjectRef.APIGroup+"/"+request.ObjectRef.Resource] = true
		}
	}
	return all
}
