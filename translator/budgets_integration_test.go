//go:build integration

package translator

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// foreignBudgetNamed creates somebody else's budget.
func foreignBudgetNamed(t *testing.T, s *server, namespace, name string, selector *metav1.LabelSelector) *policyv1.PodDisruptionBudget {
	t.Helper()
	budget := &policyv1.PodDisruptionBudget{
		ObjectMeta: metaNamed(name, namespace),
		Spec:       policyv1.PodDisruptionBudgetSpec{MinAvailable: ptr.To(intstr.FromInt32(1)), Selector: selector},
	}
	require.NoError(t, s.Create(t.Context(), budget))
	return budget
}

// gone waits until there is no such object.
func (s *server) gone(t *testing.T, object client.Object) {
	t.Helper()
	require.Eventually(t, func() bool {
		return apierrors.IsNotFound(s.Get(t.Context(), client.ObjectKeyFromObject(object), object))
	}, soon, tick, "%s goes", object.GetName())
}

// madeReady plays the Deployment controller: the workers that are wanted are ready.
func (s *server) madeReady(t *testing.T, deployment *appsv1.Deployment) {
	t.Helper()
	s.get(t, deployment)
	n := *deployment.Spec.Replicas
	deployment.Status = appsv1.DeploymentStatus{ObservedGeneration: deployment.Generation, Replicas: n, UpdatedReplicas: n, ReadyReplicas: n, AvailableReplicas: n}
	require.NoError(t, s.Status().Update(t.Context(), deployment))
}

// readySays wants the channel to be ready, with these words beside the numbers.
func readySays(words string) func(*v1.PubSubChannel) bool {
	return func(c *v1.PubSubChannel) bool {
		ready := meta.FindStatusCondition(c.Status.Conditions, v1.ConditionReady)
		return ready != nil && ready.Status == metav1.ConditionTrue && ready.Message == "3 of 3 workers are ready"+words
	}
}

// Two budgets on one pod would make every eviction fail, so where another selects the
// workers the channel's goes, and comes back with it gone; without a restart, and as soon as
// it comes or goes.
func TestBudgetGivesWayToAnother(t *testing.T) {
	s := sharedServer(t)
	workers := map[string]string{v1.LabelChannel: "orders"}
	for name, test := range map[string]struct {
		selector *metav1.LabelSelector
		yields   bool
	}{
		"by a label of ours":         {selector(workers), true},
		"by a label of the template": {selector(map[string]string{"team": "shop"}), true},
		"by a recommended label":     {selector(map[string]string{plan.LabelManagedBy: v1.OperatorApp}), true},
		"all pods":                   {&metav1.LabelSelector{}, true},
		"by an expression": {&metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
			{Key: "team", Operator: metav1.LabelSelectorOpIn, Values: []string{"shop", "else"}}, {Key: "canary", Operator: metav1.LabelSelectorOpDoesNotExist},
		}}, true},
		"no pods":       {nil, false},
		"others":        {selector(map[string]string{v1.LabelChannel: "payments"}), false},
		"ours and more": {selector(map[string]string{v1.LabelChannel: "orders", "canary": "1"}), false},
	} {
		for _, order := range []string{"before", "after"} {
			t.Run(name+", "+order, func(t *testing.T) {
				namespace := s.namespace(t)
				wanted := func(c *v1.PubSubChannel) {
					c.Namespace, c.Spec.Replicas = namespace, ptr.To[int32](3)
					c.Spec.Template = &v1.PodTemplate{Metadata: &v1.PodMetadata{Labels: map[string]string{"team": "shop"}}}
				}
				var theirs *policyv1.PodDisruptionBudget
				if order == "before" {
					theirs = foreignBudgetNamed(t, s, namespace, "theirs", test.selector)
				}
				channel := s.channel(t, wanted)
				s.madeReady(t, s.deploymentReady(t, channel))
				ours := budgetOf(channel)
				if order == "after" {
					eventually(t, s, ours, func(*policyv1.PodDisruptionBudget) bool { return true }, "there is a budget")
					eventually(t, s, channel, readySays(""), "nothing is told")
					theirs = foreignBudgetNamed(t, s, namespace, "theirs", test.selector)
				}
				if !test.yields {
					eventually(t, s, ours, func(*policyv1.PodDisruptionBudget) bool { return true }, "there is a budget")
					s.edit(t, channel, func(c *v1.PubSubChannel) { c.Spec.Image = "mine:2" })
					eventually(t, s, deploymentOf(channel), func(d *appsv1.Deployment) bool { return container(d).Image == "mine:2" }, "an edit is followed")
					s.get(t, ours)
					return
				}
				s.gone(t, ours)
				eventually(t, s, channel, readySays("; PodDisruptionBudget theirs selects them, so the channel makes none"), "it is told")
				require.NoError(t, s.Delete(t.Context(), theirs))
				eventually(t, s, ours, func(*policyv1.PodDisruptionBudget) bool { return true }, "the channel's comes back")
				eventually(t, s, channel, readySays(""), "nothing is told any more")
			})
		}
	}
}

// What a budget selects may change, and there may be two.
func TestBudgetsThatChange(t *testing.T) {
	s := sharedServer(t)
	channel := s.channel(t, func(c *v1.PubSubChannel) { c.Spec.Replicas = ptr.To[int32](3) })
	s.madeReady(t, s.deploymentReady(t, channel))
	ours := budgetOf(channel)
	eventually(t, s, ours, func(*policyv1.PodDisruptionBudget) bool { return true }, "there is a budget")
	theirs := foreignBudgetNamed(t, s, channel.Namespace, "theirs", selector(map[string]string{"app": "theirs"}))
	before := theirs.DeepCopy()
	theirs.Spec.Selector = &metav1.LabelSelector{}
	require.NoError(t, s.Patch(t.Context(), theirs, client.MergeFrom(before)))
	s.gone(t, ours)

	more := foreignBudgetNamed(t, s, channel.Namespace, "more", &metav1.LabelSelector{})
	eventually(t, s, channel, readySays("; PodDisruptionBudgets more, theirs all select them, so that none can be evicted, and no drain ends: leave one"), "it is told")
	require.NoError(t, s.Delete(t.Context(), more))
	eventually(t, s, channel, readySays("; PodDisruptionBudget theirs selects them, so the channel makes none"), "it is told")

	s.edit(t, channel, func(c *v1.PubSubChannel) {
		c.Spec.PodDisruptionBudget = &v1.PodDisruptionBudget{Enabled: ptr.To(false)}
	})
	eventually(t, s, channel, readySays(""), "without a wish for one there is nothing to tell")
	require.NoError(t, s.Delete(t.Context(), theirs))
	s.edit(t, channel, func(c *v1.PubSubChannel) { c.Spec.PodDisruptionBudget = &v1.PodDisruptionBudget{} })
	eventually(t, s, ours, func(*policyv1.PodDisruptionBudget) bool { return true }, "by default there is one")
	s.edit(t, channel, func(c *v1.PubSubChannel) { c.Spec.PodDisruptionBudget.Enabled = ptr.To(false) })
	s.gone(t, ours)
}

// A budget under the channel's name that is somebody else's stays, and counts where it
// selects the workers.
func TestBudgetOfTheSameName(t *testing.T) {
	s := sharedServer(t)
	for name, test := range map[string]struct {
		selector *metav1.LabelSelector
		words    string
	}{
		"selects them":      {selector(map[string]string{v1.LabelChannel: "orders"}), "; PodDisruptionBudget orders-subscriber selects them, so the channel makes none"},
		"selects something": {selector(map[string]string{"app": "theirs"}), "; no PodDisruptionBudget selects them, because PodDisruptionBudget orders-subscriber exists"},
	} {
		t.Run(name, func(t *testing.T) {
			namespace := s.namespace(t)
			theirs := foreignBudgetNamed(t, s, namespace, "orders-subscriber", test.selector)
			version := theirs.ResourceVersion
			channel := s.channel(t, func(c *v1.PubSubChannel) { c.Namespace, c.Spec.Replicas = namespace, ptr.To[int32](3) })
			s.madeReady(t, s.deploymentReady(t, channel))
			eventually(t, s, channel, func(c *v1.PubSubChannel) bool {
				ready := meta.FindStatusCondition(c.Status.Conditions, v1.ConditionReady)
				return ready != nil && ready.Status == metav1.ConditionTrue && strings.HasPrefix(ready.Message, "3 of 3 workers are ready"+test.words)
			}, "it is told")
			s.get(t, theirs)
			assert.Equal(t, version, theirs.ResourceVersion)
		})
	}
}
