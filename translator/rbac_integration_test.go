//go:build integration

package translator

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/yaml"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/ownership"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// operatorNamespace is where the operator runs; the generated Role calls it system.
const operatorNamespace = "pubsub-system"

// permission is one verb on one resource, as in "create apps/deployments".
type permission string

func permissionOf(verb, group, resource string) permission {
	return permission(fmt.Sprintf("%s %s/%s", verb, group, resource))
}

type permissions map[permission]bool

func (p permissions) sorted() []permission { return slices.Sorted(maps.Keys(p)) }

func permissionsOf(rules []rbacv1.PolicyRule) permissions {
	all := permissions{}
	for _, rule := range rules {
		for _, verb := range rule.Verbs {
			for _, group := range rule.APIGroups {
				for _, resource := range rule.Resources {
					all[permissionOf(verb, group, resource)] = true
				}
			}
		}
	}
	return all
}

// The generated roles hold exactly what the controller asks for in a life in which
// everything happens. The audit log tells what it asked for; a permission that is asked for
// is needed, because without it the answer is 403, as the last part shows for those that
// the API server looks for beside a request's own.
func TestPermissionsAreExactlyThoseNeeded(t *testing.T) {
	t.Parallel()
	// Without streamed lists, as API servers before 1.34 are: elsewhere the controller
	// watches without listing first.
	p := startPlane(t, map[string]string{
		"feature-gates":            "WatchList=false",
		"enable-admission-plugins": "OwnerReferencesPermissionEnforcement",
	}, channelCRDs)
	p.namespace(t, operatorNamespace)
	p.namespace(t, "shop")
	clusterRole, role := p.bindRoles(t)
	stop := runController(t, p.userIn(t, controllerUser), holding{}, func(m *manager.Options, _ *Options) {
		m.LeaderElection, m.LeaderElectionID, m.LeaderElectionNamespace = true, "controller", operatorNamespace
	})
	p.live(t)
	requests, _ := p.audited(t, 0)
	assert.Empty(t, forbidden(requests))
	inCluster, inNamespace := usedPermissions(requests)
	p.hidden(t, clusterRole, inCluster)
	from := p.audit(t)
	stop()
	requests, _ = p.audited(t, from) // giving the leadership up
	_, more := usedPermissions(requests)
	maps.Copy(inNamespace, more)
	assert.Equal(t, permissionsOf(clusterRole.Rules).sorted(), inCluster.sorted(), "the ClusterRole, and what was asked for")
	assert.Equal(t, permissionsOf(role.Rules).sorted(), inNamespace.sorted(), "the Role, and what was asked for")
}

// bindRoles gives the controller's user the generated roles.
func (p *plane) bindRoles(t *testing.T) (*rbacv1.ClusterRole, *rbacv1.Role) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "charts", "pubsub-operator", "files", "rbac", "controller", "role.yaml"))
	require.NoError(t, err)
	clusterRole, role := &rbacv1.ClusterRole{}, &rbacv1.Role{}
	documents := bytes.Split(data, []byte("\n---\n"))
	require.Len(t, documents, 2)
	require.NoError(t, yaml.UnmarshalStrict(documents[0], clusterRole))
	require.NoError(t, yaml.UnmarshalStrict(documents[1], role))
	role.Namespace = operatorNamespace
	subjects := []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: controllerUser}}
	meta := metav1.ObjectMeta{Name: "controller", Namespace: operatorNamespace}
	for _, object := range []client.Object{
		clusterRole, role,
		&rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "controller"}, Subjects: subjects,
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "controller"}},
		&rbacv1.RoleBinding{ObjectMeta: meta, Subjects: subjects,
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "controller"}},
	} {
		require.NoError(t, p.Create(t.Context(), object))
	}
	return clusterRole, role
}

// usedPermissions are those that requests needed, in the operator's namespace and elsewhere.
func usedPermissions(requests []request) (inCluster, inNamespace permissions) {
	inCluster, inNamespace = permissions{}, permissions{}
	for _, r := range requests {
		if r.Object == nil {
			continue // discovery, which everybody may
		}
		used := inCluster
		if r.Object.Namespace == operatorNamespace {
			used = inNamespace
		}
		used[permissionOf(r.Verb, r.Object.APIGroup, r.resource())] = true
		if r.Verb == "patch" && r.Response.Code == http.StatusCreated {
			used[permissionOf("create", r.Object.APIGroup, r.resource())] = true
		}
	}
	return inCluster, inNamespace
}

// live is a life in which everything happens that the controller has to do with.
func (p *plane) live(t *testing.T) {
	t.Helper()
	plain := &v1.PubSubChannel{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "plain"}, Spec: v1.PubSubChannelSpec{ChannelName: "m", Replicas: ptr.To[int32](2)}}
	require.NoError(t, p.Create(t.Context(), plain))
	deployment, budget := deploymentOf(plain), &policyv1.PodDisruptionBudget{ObjectMeta: deploymentOf(plain).ObjectMeta}
	p.until(t, deployment, func() bool { return !ownerHas(deployment, ownership.Main) && ownerHas(deployment, ownership.Replicas) })
	p.until(t, budget, func() bool { return true })

	// Autoscaling without KEDA, and KEDA.
	wanted := p.fleet(t, "shop", "wanted", 1)[0]
	p.until(t, wanted, func() bool { return readyReason(v1.ReasonKEDANotInstalled)(wanted) })
	keda, err := kedaCRDs()
	require.NoError(t, err)
	_, err = envtest.InstallCRDs(p.config, envtest.CRDInstallOptions{Paths: []string{keda}, ErrorIfPathMissing: true, MaxTime: soon})
	require.NoError(t, err)
	scaledObject := scaledObjectOf(wanted)
	p.until(t, scaledObject, func() bool { return true })

	// A scaling, and its event.
	deployment = deploymentOf(wanted)
	p.until(t, wanted, func() bool { return wanted.Status.Selector != "" && wanted.Status.QueueDepth != nil })
	require.NoError(t, p.patch(t.Context(), deployment, `{"spec":{"replicas":3}}`))
	require.Eventually(t, func() bool {
		var events eventsv1.EventList
		return p.List(t.Context(), &events, client.InNamespace("shop")) == nil && len(events.Items) > 0
	}, soon, tick)

	// Edits of the channel and of its objects, and one that goes.
	require.NoError(t, p.patch(t.Context(), wanted.DeepCopy(), `{"spec":{"messageTimeout":77,"autoScaling":{"maxReplicas":20}}}`))
	p.until(t, deployment, func() bool {
		return *deployment.Spec.Template.Spec.TerminationGracePeriodSeconds == 77+5
	})
	p.until(t, scaledObject, func() bool { return *scaledObject.Spec.MaxReplicaCount == 20 })
	require.NoError(t, p.patch(t.Context(), deployment, `{"metadata":{"labels":{"app.kubernetes.io/name":"theirs"}}}`))
	p.until(t, deployment, func() bool { return deployment.Labels["app.kubernetes.io/name"] == v1.SubscriberApp })
	require.NoError(t, p.patch(t.Context(), budget, `{"spec":{"maxUnavailable":7}}`))
	p.until(t, budget, func() bool { return budget.Spec.MaxUnavailable.String() == "25%" })

	// Autoscaling off, one worker, on again.
	require.NoError(t, p.patch(t.Context(), wanted.DeepCopy(), `{"spec":{"replicas":1,"autoScaling":{"enabled":false}}}`))
	p.untilGone(t, scaledObject)
	p.untilGone(t, &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: deployment.Name}})
	p.until(t, deployment, func() bool { return *deployment.Spec.Replicas == 1 })
	require.NoError(t, p.patch(t.Context(), wanted.DeepCopy(), `{"spec":{"autoScaling":{"enabled":true}}}`))
	p.until(t, scaledObject, func() bool { return true })

	// A worker that is not up.
	p.rolledOut(t, deploymentOf(plain), 2, 1)
	p.pod(t, "image-back-off", deploymentOf(plain))
	p.until(t, plain, func() bool { return readyReason(v1.ReasonWorkersNotStarting)(plain) })

	// An HPA's name, which is looked at before KEDA is told.
	require.NoError(t, p.patch(t.Context(), wanted.DeepCopy(), `{"spec":{"autoScaling":{"hpaName":"mine"}}}`))
	p.until(t, scaledObject, func() bool { return scaledObject.Spec.Advanced.HorizontalPodAutoscalerConfig.Name == "mine" })

	adopted, done := p.adopt(t, "adopter")
	p.until(t, adopted, done)
	require.NoError(t, p.Delete(t.Context(), wanted))
	p.untilGone(t, wanted)
}

// adopt has a channel take a Deployment over.
func (p *plane) adopt(t *testing.T, name string) (*appsv1.Deployment, func() bool) {
	t.Helper()
	channel := &v1.PubSubChannel{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, Spec: v1.PubSubChannelSpec{ChannelName: "m"}}
	deployment := deploymentOf(channel)
	deployment.Annotations = map[string]string{v1.AnnotationAdoptedBy: channel.Name}
	deployment.Spec = appsv1.DeploymentSpec{Replicas: ptr.To[int32](1), Selector: selector(plan.SelectorLabels(channel)), Template: corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: plan.SelectorLabels(channel)},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: v1.SubscriberContainer, Image: "theirs"}}},
	}}
	require.NoError(t, p.Create(t.Context(), deployment))
	require.NoError(t, p.Create(t.Context(), channel))
	return deployment, func() bool { return metav1.IsControlledBy(deployment, channel) }
}

// hidden takes away, one at a time, the permissions for which the API server looks beside a
// request's own, so that no audit log tells of them, and adds those that prove needed.
func (p *plane) hidden(t *testing.T, clusterRole *rbacv1.ClusterRole, needed permissions) {
	t.Helper()
	makeAll := func(name string) (client.Object, func() bool) {
		return scaledObjectOf(p.fleet(t, "shop", name, 1)[0]), func() bool { return true }
	}
	takeOver := func(name string) (client.Object, func() bool) { return p.adopt(t, name) }
	for i, hidden := range []struct {
		attributes authorizationv1.ResourceAttributes
		attempt    func(name string) (client.Object, func() bool)
	}{
		// Server-side apply of what is not there.
		{authorizationv1.ResourceAttributes{Verb: "create", Group: "apps", Resource: "deployments"}, makeAll},
		{authorizationv1.ResourceAttributes{Verb: "create", Group: "policy", Resource: "poddisruptionbudgets"}, makeAll},
		{authorizationv1.ResourceAttributes{Verb: "create", Group: "keda.sh", Resource: "scaledobjects"}, makeAll},
		// blockOwnerDeletion, and another owner for what is there.
		{authorizationv1.ResourceAttributes{Verb: "update", Group: v1.GroupVersion.Group, Resource: "pubsubchannels", Subresource: "finalizers"}, makeAll},
		{authorizationv1.ResourceAttributes{Verb: "delete", Group: "apps", Resource: "deployments"}, takeOver},
	} {
		resource := hidden.attributes.Resource
		if hidden.attributes.Subresource != "" {
			resource += "/" + hidden.attributes.Subresource
		}
		permission := permissionOf(hidden.attributes.Verb, hidden.attributes.Group, resource)
		if p.failsWithout(t, clusterRole, hidden.attributes, permission, fmt.Sprintf("without-%d", i), hidden.attempt) {
			needed[permission] = true
		}
	}
}

// failsWithout reports whether an attempt is refused without a permission, and makes sure
// that it succeeds by itself once it is given back.
func (p *plane) failsWithout(t *testing.T, clusterRole *rbacv1.ClusterRole, attributes authorizationv1.ResourceAttributes, missing permission,
	name string, attempt func(name string) (client.Object, func() bool),
) bool {
	t.Helper()
	full := clusterRole.DeepCopy().Rules
	for i, rule := range clusterRole.Rules {
		clusterRole.Rules[i].Verbs = slices.DeleteFunc(slices.Clone(rule.Verbs), func(verb string) bool {
			return permissionOf(verb, rule.APIGroups[0], rule.Resources[0]) == missing
		})
	}
	clusterRole.Rules = slices.DeleteFunc(clusterRole.Rules, func(rule rbacv1.PolicyRule) bool { return len(rule.Verbs) == 0 })
	require.NotEqual(t, full, clusterRole.Rules, "the role has no %s", missing)
	require.NoError(t, p.Update(t.Context(), clusterRole))
	p.untilAllowed(t, attributes, false)
	from := p.audit(t)
	object, done := attempt(name)
	refused := false
	require.Eventually(t, func() bool {
		requests, _ := p.audited(t, from)
		refused = len(forbidden(requests)) > 0
		return refused || p.Get(t.Context(), client.ObjectKeyFromObject(object), object) == nil && done()
	}, soon, tick, "without %s", missing)
	clusterRole.Rules = full
	require.NoError(t, p.Update(t.Context(), clusterRole))
	p.until(t, object, done)
	return refused
}

// untilAllowed waits until the API server has taken a change of the roles in.
func (p *plane) untilAllowed(t *testing.T, attributes authorizationv1.ResourceAttributes, allowed bool) {
	t.Helper()
	attributes.Namespace = cmp.Or(attributes.Namespace, "shop")
	require.Eventually(t, func() bool {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: controllerUser, ResourceAttributes: &attributes}}
		return p.Create(t.Context(), review) == nil && review.Status.Allowed == allowed
	}, soon, tick)
}

// until waits for an object to be as wanted.
func (p *plane) until(t *testing.T, object client.Object, want func() bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		return p.Get(t.Context(), client.ObjectKeyFromObject(object), object) == nil && want()
	}, soon, tick, "%T %s: %s", object, object.GetName(), lazily(func() string { return fmt.Sprintf("%+v", object) }))
}

func (p *plane) untilGone(t *testing.T, object client.Object) {
	t.Helper()
	require.Eventually(t, func() bool {
		return apierrors.IsNotFound(p.Get(t.Context(), client.ObjectKeyFromObject(object), object))
	}, soon, tick)
}
