//go:build integration

package translator

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// author is a client of somebody who may write channels in a namespace, and nothing else.
func (s *server) author(t *testing.T, namespace string) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{AddToScheme, rbacv1.AddToScheme} {
		require.NoError(t, add(scheme))
	}
	administrator, err := client.New(s.config, client.Options{Scheme: scheme})
	require.NoError(t, err)
	named := metav1.ObjectMeta{Namespace: namespace, Name: "author"}
	for _, object := range []client.Object{
		&rbacv1.Role{ObjectMeta: named, Rules: []rbacv1.PolicyRule{{APIGroups: []string{v1.GroupVersion.Group}, Resources: []string{"pubsubchannels"}, Verbs: []string{"*"}}}},
		&rbacv1.RoleBinding{ObjectMeta: named, Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: "author"}},
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "author"}},
	} {
		require.NoError(t, administrator.Create(t.Context(), object))
	}
	config := rest.CopyConfig(s.config)
	config.Impersonate = rest.ImpersonationConfig{UserName: "author"}
	c, err := client.New(config, client.Options{Scheme: scheme})
	require.NoError(t, err)
	require.Eventually(t, func() bool { // a new role takes a moment to count
		return c.List(t.Context(), &v1.PubSubChannelList{}, client.InNamespace(namespace)) == nil
	}, soon, tick)
	require.True(t, apierrors.IsForbidden(c.List(t.Context(), &appsv1.DeploymentList{}, client.InNamespace(namespace))), "the author may do nothing else")
	return c
}

// refusedSpecs are specs that would give their author what only others may have.
var refusedSpecs = map[string]string{
	"privileged":     `{template: {spec: {containers: [{name: subscriber, securityContext: {privileged: true, allowPrivilegeEscalation: true}}]}}}`,
	"sidecar":        `{template: {spec: {containers: [{name: helper, image: x, securityContext: {privileged: true}}]}}}`,
	"host-path":      `{template: {spec: {volumes: [{name: root, hostPath: {path: /}}]}}}`,
	"host-network":   `{template: {spec: {hostNetwork: true}}}`,
	"host-pid":       `{template: {spec: {hostPID: true}}}`,
	"host-ipc":       `{template: {spec: {hostIPC: true}}}`,
	"host-port":      `{template: {spec: {containers: [{name: subscriber, ports: [{containerPort: 80, hostPort: 80}]}]}}}`,
	"capability":     `{template: {spec: {containers: [{name: subscriber, securityContext: {capabilities: {add: [NET_ADMIN]}}}]}}}`,
	"account":        `{template: {spec: {serviceAccountName: admin}}}`,
	"account-by-old": `{template: {spec: {serviceAccount: admin}}}`,
	"token":          `{template: {spec: {automountServiceAccountToken: true}}}`,
	"token-by-null":  `{template: {spec: {automountServiceAccountToken: null}}}`,
	"node":           `{template: {spec: {nodeName: control-plane}}}`,
}

// Somebody who may write channels and nothing else gets no right by it that a pod must be
// trusted with, and no secret of another team's.
func TestAuthorsGetNoMoreRights(t *testing.T) {
	s := sharedServer(t)
	namespace := s.namespace(t)
	author := s.author(t, namespace)
	channel := func(name, spec string) *v1.PubSubChannel {
		c := &v1.PubSubChannel{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
		require.NoError(t, yaml.Unmarshal([]byte(spec), &c.Spec))
		c.Spec.ChannelName = "messages"
		return c
	}
	refused := func(c *v1.PubSubChannel, words string) {
		t.Helper()
		eventually(t, s, c, func(c *v1.PubSubChannel) bool { return readyReason(v1.ReasonNotPermitted)(c) }, "it is refused")
		assert.Equal(t, v1.PhaseFailed, c.Status.Phase)
		assert.Contains(t, meta.FindStatusCondition(c.Status.Conditions, v1.ConditionReady).Message, words)
	}
	for name, spec := range refusedSpecs {
		t.Run(name, func(t *testing.T) {
			c := channel(name, spec)
			require.NoError(t, author.Create(t.Context(), c))
			refused(c, "controller.limits.")
			assert.True(t, apierrors.IsNotFound(s.Get(t.Context(), client.ObjectKeyFromObject(deploymentOf(c)), deploymentOf(c))))
		})
	}
	t.Run("another team's secret", func(t *testing.T) {
		c := channel("cluster-auth", `{autoScaling: {enabled: true, triggers: [{type: prometheus, name: p, metadata: {serverAddress: "http://a", query: q, threshold: "1"}, authenticationRef: {kind: ClusterTriggerAuthentication, name: theirs}}]}}`)
		require.NoError(t, author.Create(t.Context(), c))
		refused(c, `ClusterTriggerAuthentication "theirs"`)
		assert.True(t, apierrors.IsNotFound(s.Get(t.Context(), client.ObjectKeyFromObject(c), scaledObjectOf(c))))
	})
	t.Run("a fleet that runs", func(t *testing.T) {
		c := channel("fleet", `{}`)
		require.NoError(t, author.Create(t.Context(), c))
		before := s.deploymentReady(t, c)
		s.edit(t, c, func(c *v1.PubSubChannel) {
			c.Spec.Image = "new"
			c.Spec.Template = channel("", refusedSpecs["host-network"]).Spec.Template
		})
		refused(c, "hostNetwork=true")
		after := deploymentOf(c)
		s.get(t, after)
		assert.Equal(t, before.Spec, after.Spec, "nothing of it changes")
		require.Eventually(t, func() bool { // it follows the status
			var events eventsv1.EventList
			require.NoError(t, s.List(t.Context(), &events, client.InNamespace(namespace)))
			return slices.ContainsFunc(events.Items, func(e eventsv1.Event) bool {
				return e.Regarding.Name == c.Name && e.Reason == v1.ReasonNotPermitted && e.Type == corev1.EventTypeWarning
			})
		}, soon, tick)
		s.edit(t, c, func(c *v1.PubSubChannel) { c.Spec.Template = nil })
		eventually(t, s, after, func(d *appsv1.Deployment) bool { return d.Spec.Template.Spec.Containers[0].Image == "new" }, "corrected, it goes on")
	})
}
