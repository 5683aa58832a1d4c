//go:build integration

package translator

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/yaml"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
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
	runController(t, user, holding{}, func(m *manager.Options, o *Options) {
		m.LeaderElection, m.LeaderElectionID, m.LeaderElectionNamespace = true, "controller", operatorNamespace
		o.Caches = NewCaches(user, "shop", "stock")
		var err error
		m.Cache, err = o.Caches.Options()
		require.NoError(t, err)
	})
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
