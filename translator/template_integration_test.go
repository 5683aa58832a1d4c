//go:build integration

package translator

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// The API server has the template's pods as they are meant, and once it has, nothing more
// is written; what is taken out of the template goes.
func TestTemplateReachesTheDeployment(t *testing.T) {
	s := sharedServer(t)
	channel := s.channel(t, channeltest.Templated(t, channeltest.RichTemplate))
	deployment := s.deploymentReady(t, channel)
	pod := deployment.Spec.Template.Spec
	assert.Equal(t, "worker", pod.ServiceAccountName)
	assert.Equal(t, "shop", deployment.Spec.Template.Labels["team"])
	require.Len(t, pod.Containers, 2)
	assert.Equal(t, "500m", pod.Containers[0].Resources.Limits.Cpu().String())
	assert.Equal(t, "/healthz", pod.Containers[0].LivenessProbe.HTTPGet.Path)
	assert.Len(t, pod.InitContainers[0].Ports, 2)
	assert.True(t, deploymentApplied(t, channel, deployment), "nothing more to write")

	generation := deployment.Generation
	s.edit(t, channel, func(c *v1.PubSubChannel) { c.Spec.ChannelName = "other" })
	eventually(t, s, deployment, hasEnv("CHANNEL", "other"), "edits are followed")
	assert.Equal(t, generation+1, deployment.Generation, "by one write")
	assert.True(t, deploymentApplied(t, channel, deployment))

	s.edit(t, channel, func(c *v1.PubSubChannel) { c.Spec.Template = nil })
	eventually(t, s, deployment, func(d *appsv1.Deployment) bool {
		p := d.Spec.Template.Spec
		return len(p.Containers) == 1 && len(p.InitContainers) == 0 && len(p.Volumes) == 0 && p.NodeSelector == nil && p.ServiceAccountName == "" &&
			container(d).LivenessProbe.HTTPGet.Port.IntVal == 9091 && d.Spec.Template.Labels["team"] == "" && envMap(d)["REDIS_ADDR"] == "dragonfly:6379"
	}, "the template's part goes with it; the operator's probe is back")
}

// Mistakes become a condition that names them; the workers of before go on, and so does
// every other channel.
func TestTemplateMistakesShow(t *testing.T) {
	s := sharedServer(t)
	for name, test := range map[string]struct{ template, words string }{
		"found by us":             {`{spec: {nodeSelectr: {a: b}}}`, `unknown field "nodeSelectr"`},
		"found by the API server": {`{spec: {containers: [{name: subscriber, volumeMounts: [{name: gone, mountPath: /x}]}]}}`, "gone"},
		"found by the merge":      {`{spec: {resourceClaims: [{name: twin}, {name: twin}]}}`, `duplicate entries for key [name="twin"]`},
		"two sources of a volume": {`{spec: {volumes: [{name: a, emptyDir: {}, configMap: {name: c}}]}}`, "may not specify more than 1 volume type"},
	} {
		t.Run(name, func(t *testing.T) {
			channel := s.channel(t)
			deployment := s.deploymentReady(t, channel)
			version := deployment.Generation
			s.edit(t, channel, channeltest.Templated(t, test.template))
			eventually(t, s, channel, readyReason(v1.ReasonInvalidSpec), "the mistake shows")
			assert.Contains(t, meta.FindStatusCondition(channel.Status.Conditions, v1.ConditionReady).Message, test.words)
			assert.NotNil(t, meta.FindStatusCondition(channel.Status.Conditions, v1.ConditionStalled))
			s.get(t, deployment)
			assert.Equal(t, version, deployment.Generation)
			s.deploymentReady(t, s.channel(t)) // others go on
			s.edit(t, channel, func(c *v1.PubSubChannel) { c.Spec.Template = nil })
			eventually(t, s, channel, readyReason(v1.ReasonProgressing), "the remedy helps")
		})
	}
}

func budgetOf(channel *v1.PubSubChannel) *policyv1.PodDisruptionBudget {
	return &policyv1.PodDisruptionBudget{ObjectMeta: metaNamed(channel.Name+"-subscriber", channel.Namespace)}
}

// A budget is there as long as there can be more than one worker.
func TestDisruptionBudget(t *testing.T) {
	s := sharedServer(t)
	channel := s.channel(t)
	deployment := s.deploymentReady(t, channel)
	budget := budgetOf(channel)
	for _, step := range []struct {
		name string
		edit func(*v1.PubSubChannel)
		want bool
	}{
		{"three workers", func(c *v1.PubSubChannel) { c.Spec.Replicas = ptr.To[int32](3) }, true},
		{"one worker", func(c *v1.PubSubChannel) { c.Spec.Replicas = ptr.To[int32](1) }, false},
		{"one of up to ten", channeltest.AutoScaled(), true},
		{"one of at most one", auto(func(a *v1.AutoScalingSpec) { a.MaxReplicas = 1 }), false},
		{"switched off, three workers", func(c *v1.PubSubChannel) { c.Spec.AutoScaling, c.Spec.Replicas = nil, ptr.To[int32](3) }, true},
	} {
		t.Run(step.name, func(t *testing.T) {
			s.edit(t, channel, step.edit)
			require.Eventually(t, func() bool {
				err := s.Get(t.Context(), client.ObjectKeyFromObject(budget), budget)
				return step.want && err == nil || !step.want && apierrors.IsNotFound(err)
			}, soon, tick)
		})
	}
	eventually(t, s, deployment, replicasAre(3), "spec.replicas holds")
	assert.Equal(t, intstr.FromString("25%"), *budget.Spec.MaxUnavailable)
	assert.Equal(t, plan.SelectorLabels(channel), budget.Spec.Selector.MatchLabels)
	assert.Equal(t, policyv1.AlwaysAllow, *budget.Spec.UnhealthyPodEvictionPolicy)
	assert.True(t, metav1.IsControlledBy(budget, channel))

	// A paused fleet counts as it is.
	s.edit(t, channel, func(c *v1.PubSubChannel) { c.Spec.Paused, c.Spec.Replicas = true, ptr.To[int32](1) })
	eventually(t, s, channel, func(c *v1.PubSubChannel) bool { return c.Status.ObservedGeneration == c.Generation }, "the pause is seen")
	s.get(t, budget)
	s.edit(t, channel, func(c *v1.PubSubChannel) { c.Spec.Paused, c.Spec.Replicas = false, ptr.To[int32](3) })

	// Drift is put right, and what is deleted comes back.
	before := budget.DeepCopy()
	budget.Spec.MaxUnavailable = ptr.To(intstr.FromInt32(0))
	require.NoError(t, s.Patch(t.Context(), budget, client.MergeFrom(before)))
	eventually(t, s, budget, func(b *policyv1.PodDisruptionBudget) bool { return b.Spec.MaxUnavailable.StrVal == "25%" }, "drift is put right")
	require.NoError(t, s.Delete(t.Context(), budget))
	eventually(t, s, budget, func(b *policyv1.PodDisruptionBudget) bool { return b.UID != before.UID }, "it is made anew")
}

// Somebody else's budget of that name counts instead, and stays when ours would go.
func TestForeignDisruptionBudget(t *testing.T) {
	s := sharedServer(t)
	namespace := s.namespace(t)
	theirs := budgetOf(&v1.PubSubChannel{ObjectMeta: metaNamed("orders", namespace)})
	theirs.Labels = map[string]string{v1.LabelApp: v1.SubscriberApp} // in our cache, even
	theirs.Spec.MinAvailable = ptr.To(intstr.FromInt32(2))
	require.NoError(t, s.Create(t.Context(), theirs))
	channel := s.channel(t, func(c *v1.PubSubChannel) { c.Namespace, c.Spec.Replicas = namespace, ptr.To[int32](3) })
	s.deploymentReady(t, channel)
	eventually(t, s, channel, readyReason(v1.ReasonProgressing), "nothing is in the way")
	s.edit(t, channel, func(c *v1.PubSubChannel) { c.Spec.Replicas = ptr.To[int32](1) })
	eventually(t, s, deploymentOf(channel), replicasAre(1), "the edit is followed")
	version := theirs.ResourceVersion
	s.get(t, theirs)
	assert.Equal(t, version, theirs.ResourceVersion)
}

// Every quantity and source that a manifest may give reaches the pods.
func TestResourcesAndEnvOfEveryForm(t *testing.T) {
	s := sharedServer(t)
	namespace := s.namespace(t)
	claimed := `{resourceClaims: [{name: gpu, resourceClaimName: one}], containers: [{name: subscriber, resources: {claims: [{name: gpu}]}}]}`
	claims := []corev1.ResourceClaim{{Name: "gpu"}}
	if parts, err := notKept(t, s, namespace, claimed); len(parts) > 0 || err != nil {
		lacks(t, s.config, claimed)
		claims = nil
	}
	u := object(namespace, func(_ *string, spec, _ map[string]any) {
		spec["resources"] = map[string]any{
			"limits":   map[string]any{"cpu": int64(2), "memory": "0.5Gi", "nvidia.com/gpu": "1"},
			"requests": map[string]any{"cpu": "250m", "memory": int64(134217728)},
		}
		spec["env"] = []any{
			map[string]any{"name": "A", "value": "1"},
			map[string]any{"name": "B", "valueFrom": map[string]any{"fieldRef": map[string]any{"fieldPath": "spec.nodeName"}}},
			map[string]any{"name": "C", "valueFrom": map[string]any{"resourceFieldRef": map[string]any{"resource": "limits.cpu", "divisor": "1m"}}},
			map[string]any{"name": "D", "valueFrom": map[string]any{"configMapKeyRef": map[string]any{"name": "c", "key": "k", "optional": true}}},
			map[string]any{"name": "E", "valueFrom": map[string]any{"secretKeyRef": map[string]any{"name": "s", "key": "k"}}},
		}
		if len(claims) > 0 {
			spec["resources"].(map[string]any)["claims"] = []any{map[string]any{"name": "gpu"}}
			spec["template"] = map[string]any{"spec": map[string]any{"resourceClaims": []any{map[string]any{"name": "gpu", "resourceClaimName": "one"}}}}
		}
	})
	require.NoError(t, s.Create(t.Context(), u))
	channel := &v1.PubSubChannel{}
	require.NoError(t, runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, channel))
	deployment := s.deploymentReady(t, channel)
	own := container(deployment)
	assert.Equal(t, []string{"2", "512Mi"}, []string{own.Resources.Limits.Cpu().String(), own.Resources.Limits.Memory().String()})
	assert.Equal(t, []string{"250m", "134217728"}, []string{own.Resources.Requests.Cpu().String(), own.Resources.Requests.Memory().String()})
	assert.Equal(t, claims, own.Resources.Claims)
	sources := map[string]*corev1.EnvVarSource{}
	for _, e := range own.Env {
		sources[e.Name] = e.ValueFrom
	}
	assert.Equal(t, "spec.nodeName", sources["B"].FieldRef.FieldPath)
	assert.Equal(t, "1m", sources["C"].ResourceFieldRef.Divisor.String())
	assert.True(t, *sources["D"].ConfigMapKeyRef.Optional)
	assert.Equal(t, "k", sources["E"].SecretKeyRef.Key)
	assert.True(t, deploymentApplied(t, channel, deployment))
}
