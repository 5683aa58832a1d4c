//go:build integration

package translator

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/yaml"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/watched"
)

// watchedRoles are the roles that the chart has with watchNamespaces (make generate).
var watchedRoles = filepath.Join("testdata", "watched-roles.yaml")

// With the chart's Roles in two namespaces, and nothing in the cluster, the controller works on the
// channels of both. It asks for nothing elsewhere, so that nothing is refused to it, and a channel
// elsewhere stays as it was written.
func TestWatchesSomeNamespaces(t *testing.T) {
	t.Parallel()
	p := startPlaneWithKEDA(t)
	for _, name := range []string{operatorNamespace, "shop", "stock", "elsewhere"} {
		p.namespace(t, name)
	}
	p.applyRoles(t, watchedRoles)
	elsewhere := p.fleet(t, "elsewhere", "orders", 1)[0]
	first := p.fleet(t, "shop", "orders", 1)[0]
	user := p.userIn(t, controllerUser)
	runController(t, user, holding{}, watching(t, user, io.Discard, "shop", "stock"))
	second := p.fleet(t, "stock", "orders", 1)[0]
	for _, channel := range []*v1.PubSubChannel{first, second} {
		deployment, scaledObject := deploymentOf(channel), scaledObjectOf(channel)
		p.until(t, deployment, func() bool { return deployment.Spec.Template.Spec.Containers[0].Image == testWorkers.Image })
		p.until(t, scaledObject, func() bool { return true })
		p.until(t, channel, func() bool { return channel.Status.WorkerImage == testWorkers.Image })
		// An edit arrives by the watch of the channel's own namespace.
		require.NoError(t, p.patch(t.Context(), channel.DeepCopy(), `{"spec":{"messageTimeout":77}}`))
		p.until(t, deployment, func() bool { return *deployment.Spec.Template.Spec.TerminationGracePeriodSeconds == 77+5 })
		// And so does a change of what is made of it.
		require.NoError(t, p.patch(t.Context(), scaledObject, `{"spec":{"maxReplicaCount":99}}`))
		p.until(t, scaledObject, func() bool { return *scaledObject.Spec.MaxReplicaCount != 99 })
	}

	requests, _ := p.audited(t, 0)
	assert.Empty(t, forbidden(requests))
	asked := map[string]bool{}
	for _, r := range requests {
		if r.Object != nil {
			asked[r.Object.Namespace] = true
		}
	}
	assert.Equal(t, map[string]bool{operatorNamespace: true, "shop": true, "stock": true}, asked, "the namespaces that the controller asked about")
	require.NoError(t, p.Get(t.Context(), client.ObjectKeyFromObject(elsewhere), elsewhere))
	assert.EqualValues(t, -1, elsewhere.Status.ObservedGeneration, "nobody has looked at it")
	var deployments appsv1.DeploymentList
	require.NoError(t, p.List(t.Context(), &deployments, client.InNamespace("elsewhere")))
	assert.Empty(t, deployments.Items)
}

// watching has a controller work on these namespaces alone, as the chart does.
func watching(t *testing.T, user *rest.Config, log io.Writer, names ...string) func(*manager.Options, *Options) {
	t.Helper()
	return func(m *manager.Options, o *Options) {
		m.LeaderElection, m.LeaderElectionID, m.LeaderElectionNamespace = true, "controller", operatorNamespace
		o.Caches = NewCaches(user, watched.New(names, clock.RealClock{}, slog.New(slog.NewTextHandler(log, nil))))
		var err error
		m.Cache, err = o.Caches.Options()
		require.NoError(t, err)
	}
}

// A namespace without its Role, because somebody removed it or the namespace with it, holds up no other when a controller
// starts. The same controller serves it once it has the Role, and goes on when one is removed later.
func TestANamespaceWithoutItsRoleHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	p := startPlaneWithKEDA(t)
	for _, name := range []string{operatorNamespace, "shop", "stock"} {
		p.namespace(t, name)
	}
	p.applyRoles(t, watchedRoles)
	user, log := p.userIn(t, controllerUser), &lines{}
	start := func() (stop func()) {
		return runController(t, user, holding{}, watching(t, user, log, "away", "shop", "stock"))
	}
	p.takeRole(t, "stock")
	stop := start()
	stock := p.fleet(t, "stock", "orders", 1)
	p.allRight(t, p.fleet(t, "shop", "orders", 2))
	for _, name := range []string{"away", "stock"} {
		require.Eventually(t, func() bool { return log.count("level=ERROR", "namespace="+name, "can't be read") == 1 }, soon, tick, "it is told once")
	}
	p.untouched(t, stock[0])

	p.giveRole(t, "stock")
	p.allRight(t, stock)
	p.namespace(t, "away")
	p.giveRole(t, "away")
	p.allRight(t, p.fleet(t, "away", "orders", 1))
	for _, name := range []string{"away", "stock"} {
		require.Eventually(t, func() bool { return log.count("a watched namespace can be read now", "namespace="+name) == 1 }, soon, tick)
	}
	assert.Equal(t, 0, log.count("namespace=shop"))

	p.takeRole(t, "away")
	p.allRight(t, p.fleet(t, "shop", "while-it-runs", 1))
	stop() // it has not ended by itself
	start()
	late := p.fleet(t, "away", "late", 1)
	p.allRight(t, p.fleet(t, "shop", "after-a-restart", 1))
	p.allRight(t, p.fleet(t, "stock", "after-a-restart", 1))
	p.untouched(t, late[0])
}

// A namespace of which one kind can't be read is left alone: that there is no Deployment can't be told from that nobody may look.
func TestANamespaceIsReadAsAWhole(t *testing.T) {
	t.Parallel()
	p := startPlaneWithKEDA(t)
	for _, name := range []string{operatorNamespace, "shop", "stock"} {
		p.namespace(t, name)
	}
	p.applyRoles(t, watchedRoles)
	for _, group := range []string{"apps", "policy", "keda.sh"} {
		role := p.watchedRole(t, "stock")
		whole := role.DeepCopy().Rules
		for i, rule := range role.Rules {
			if rule.APIGroups[0] == group {
				role.Rules[i].Verbs = []string{"create", "get", "patch"}
			}
		}
		require.NoError(t, p.Update(t.Context(), role))
		user := p.userIn(t, controllerUser)
		p.untilAllowed(t, authorizationv1.ResourceAttributes{Namespace: "stock", Verb: "list", Group: group, Resource: map[string]string{
			"apps": "deployments", "policy": "poddisruptionbudgets", "keda.sh": "scaledobjects"}[group]}, false)
		log, prefix := &lines{}, strings.ReplaceAll(group, ".", "-")
		stop := runController(t, user, holding{}, watching(t, user, log, "shop", "stock"))
		require.Eventually(t, func() bool { return log.count("level=ERROR", "namespace=stock", group) == 1 }, soon, tick)
		stock := p.fleet(t, "stock", prefix, 1)
		p.allRight(t, p.fleet(t, "shop", prefix, 1))
		p.untouched(t, stock[0])
		role.Rules = whole
		require.NoError(t, p.Update(t.Context(), role))
		p.allRight(t, stock)
		stop()
	}
}

// takeRole takes the controller's rights in a namespace away.
func (p *plane) takeRole(t *testing.T, namespace string) {
	t.Helper()
	require.NoError(t, p.Delete(t.Context(), &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: watchedRoleName}}))
	p.untilAllowed(t, authorizationv1.ResourceAttributes{Namespace: namespace, Verb: "list", Group: v1.GroupVersion.Group, Resource: "pubsubchannels"}, false)
}

// giveRole gives the controller the rights in a namespace that it has in shop.
func (p *plane) giveRole(t *testing.T, namespace string) {
	t.Helper()
	meta := metav1.ObjectMeta{Namespace: namespace, Name: watchedRoleName}
	require.NoError(t, p.Create(t.Context(), &rbacv1.Role{ObjectMeta: meta, Rules: p.watchedRole(t, "shop").Rules}))
	binding := &rbacv1.RoleBinding{}
	require.NoError(t, p.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: watchedRoleName}, binding))
	require.NoError(t, client.IgnoreAlreadyExists(p.Create(t.Context(), &rbacv1.RoleBinding{ObjectMeta: meta, Subjects: binding.Subjects, RoleRef: binding.RoleRef})))
}

// watchedRoleName is the name of the controller's Role in each watched namespace.
const watchedRoleName = "pubsub-operator-controller-watched"

func (p *plane) watchedRole(t *testing.T, namespace string) *rbacv1.Role {
	t.Helper()
	role := &rbacv1.Role{}
	require.NoError(t, p.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: watchedRoleName}, role))
	return role
}

// untouched looks at a channel that nobody may have looked at.
func (p *plane) untouched(t *testing.T, channel *v1.PubSubChannel) {
	t.Helper()
	require.NoError(t, p.Get(t.Context(), client.ObjectKeyFromObject(channel), channel))
	assert.EqualValues(t, -1, channel.Status.ObservedGeneration, "nobody has looked at it")
	require.True(t, apierrors.IsNotFound(p.Get(t.Context(), client.ObjectKeyFromObject(deploymentOf(channel)), deploymentOf(channel))))
}

// applyRoles makes the objects of a file.
func (p *plane) applyRoles(t *testing.T, file string) {
	t.Helper()
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	for document := range strings.SplitSeq(string(data), "\n---\n") {
		object := &unstructured.Unstructured{}
		require.NoError(t, yaml.Unmarshal([]byte(document), &object.Object))
		require.Contains(t, []string{"Role", "RoleBinding"}, object.GetKind(), "no right is to hold in the cluster")
		require.NoError(t, p.Create(t.Context(), object))
	}
}
