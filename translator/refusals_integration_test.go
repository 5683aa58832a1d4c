//go:build integration

package translator

import (
	"context"
	"net/http"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/translator/build"
	"github.com/jawaracloud/pubsub-operator/translator/channeltest"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// What the API server refuses of one child is told in its words and warned of once, keeps no
// other child from being made, and is made up for as soon as it is not refused any more.
func TestRefusals(t *testing.T) {
	t.Parallel()
	p := startPlaneWithKEDA(t)
	runController(t, p.administrator(t, controllerUser), holding{})
	for name, test := range map[string]struct {
		refuse func(t *testing.T, namespace string) (lift func())
		words  string
		phase  v1.Phase
		all    bool // nothing at all is made
		wanted func(channel *v1.PubSubChannel) client.Object
	}{
		"quota-deployments": {p.quota("count/deployments.apps"), "exceeded quota", v1.PhaseFailed, false, deploymentChild},
		"quota-objects":     {p.quota("count/scaledobjects.keda.sh"), "exceeded quota", v1.PhaseFailed, false, scaledObjectChild},
		"quota-budgets":     {p.quota("count/poddisruptionbudgets.policy"), "exceeded quota", v1.PhaseFailed, false, budgetChild},
		"policy":            {p.policy("apps", "deployments"), "our policy says no", v1.PhaseFailed, false, deploymentChild},
		"policy-objects":    {p.policy("keda.sh", "scaledobjects"), "our policy says no", v1.PhaseFailed, false, scaledObjectChild},
		"webhook":           {p.webhook("apps", "deployments"), "failed calling webhook", v1.PhasePending, false, deploymentChild},
		"webhook-all":       {p.webhook("*", "*"), "failed calling webhook", v1.PhasePending, true, budgetChild},
	} {
		t.Run(name, func(t *testing.T) {
			p.namespace(t, name)
			lift := test.refuse(t, name)
			channel := p.fleet(t, name, "orders", 1)[0]
			p.until(t, channel, func() bool { return readyReason(v1.ReasonRefused)(channel) })
			ready := meta.FindStatusCondition(channel.Status.Conditions, v1.ConditionReady)
			assert.Contains(t, ready.Message, test.words)
			assert.Equal(t, test.phase, channel.Status.Phase)
			assert.Equal(t, channel.Generation, channel.Status.ObservedGeneration)
			if test.all {
				assert.Equal(t, 3, strings.Count(ready.Message, test.words), "each of the three: %s", ready.Message)
			}
			refused := test.wanted(channel)
			for _, child := range []client.Object{deploymentChild(channel), scaledObjectChild(channel), budgetChild(channel)} {
				if !test.all && !sameType(child, refused) {
					p.until(t, child, func() bool { return true })
				}
			}
			assert.True(t, apierrors.IsNotFound(p.Get(t.Context(), client.ObjectKeyFromObject(refused), refused)))
			p.refusedAgain(t, name, 3)
			if !test.all {
				warnings := p.warnings(t, channel)
				require.Len(t, warnings, 1, "warned of once")
				assert.Contains(t, warnings[0], test.words)
			}
			lift()
			p.until(t, refused, func() bool { return true })
			p.until(t, channel, func() bool { return !readyReason(v1.ReasonRefused)(channel) })
		})
	}
}

// What runs is told as it is, and its scalings too, while an edit is refused.
func TestStatusGoesOnWhileEditsAreRefused(t *testing.T) {
	t.Parallel()
	p := startPlaneWithKEDA(t)
	p.namespace(t, "running")
	depth := &deep{}
	depth.queue.Store(120)
	runController(t, p.administrator(t, controllerUser), depth)
	channel := p.fleet(t, "running", "orders", 1)[0]
	deployment := deploymentOf(channel)
	p.until(t, channel, func() bool { return ptr.Deref(channel.Status.QueueDepth, 0) == 120 && channel.Status.Selector != "" })

	lift := p.policy("apps", "deployments")(t, "running")
	require.NoError(t, p.patch(t.Context(), channel.DeepCopy(), `{"spec":{"messageTimeout":77}}`))
	p.until(t, channel, func() bool {
		return readyReason(v1.ReasonRefused)(channel) && channel.Status.ObservedGeneration == channel.Generation
	})
	depth.queue.Store(7)
	scale := &autoscalingv1.Scale{Spec: autoscalingv1.ScaleSpec{Replicas: 5}} // as the HPA does
	require.NoError(t, p.SubResource("scale").Update(t.Context(), deployment, client.WithSubResourceBody(scale)))
	p.until(t, channel, func() bool {
		return channel.Status.DesiredReplicas == 5 && ptr.Deref(channel.Status.QueueDepth, 0) == 7
	})
	require.Eventually(t, func() bool {
		for _, event := range p.eventsOf(t, channel) {
			if event.Reason == v1.EventScaled && strings.Contains(event.Note, "to 5 replicas") {
				return true
			}
		}
		return false
	}, soon, tick, "the scaling's event")
	lift()
	p.until(t, deployment, func() bool {
		return *deployment.Spec.Template.Spec.TerminationGracePeriodSeconds == 77+5
	})
}

// deep is a scaler that holds all fleets, with queues of this depth.
type deep struct{ queue atomic.Int64 }

func (d *deep) Explain(ctx context.Context, request *inspectv1.ExplainRequest) (*inspectv1.ExplainResponse, error) {
	response, err := holding{}.Explain(ctx, request)
	response.QueueDepth = d.queue.Load()
	return response, err
}

func deploymentChild(channel *v1.PubSubChannel) client.Object { return deploymentOf(channel) }

func scaledObjectChild(channel *v1.PubSubChannel) client.Object { return scaledObjectOf(channel) }

func budgetChild(channel *v1.PubSubChannel) client.Object { return budgetOf(channel) }

func sameType(a, b client.Object) bool { return reflect.TypeOf(a) == reflect.TypeOf(b) }

// quota lets a namespace have none of a resource. Its status is otherwise the quota
// controller's, which does not run here.
func (p *plane) quota(of corev1.ResourceName) func(*testing.T, string) func() {
	return func(t *testing.T, namespace string) func() {
		t.Helper()
		none := corev1.ResourceList{of: resource.MustParse("0")}
		quota := &corev1.ResourceQuota{ObjectMeta: metaNamed("none", namespace), Spec: corev1.ResourceQuotaSpec{Hard: none}}
		require.NoError(t, p.Create(t.Context(), quota))
		quota.Status = corev1.ResourceQuotaStatus{Hard: none, Used: none}
		require.NoError(t, p.Status().Update(t.Context(), quota))
		p.untilRefused(t, namespace, string(of))
		return func() { require.NoError(t, p.Delete(t.Context(), quota)) }
	}
}

// policy refuses to have a resource made or changed in a namespace, as Forbidden.
func (p *plane) policy(group, of string) func(*testing.T, string) func() {
	return func(t *testing.T, namespace string) func() {
		t.Helper()
		here := &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}}
		policy := &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: namespace}, Spec: admissionv1.ValidatingAdmissionPolicySpec{
			MatchConstraints: &admissionv1.MatchResources{NamespaceSelector: here, ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: ruleOn(group, of)}}},
			Validations:      []admissionv1.Validation{{Expression: "false", Message: "our policy says no", Reason: ptr.To(metav1.StatusReasonForbidden)}},
		}}
		binding := &admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: namespace}, Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: namespace, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
		}}
		require.NoError(t, p.Create(t.Context(), policy))
		require.NoError(t, p.Create(t.Context(), binding))
		p.untilRefused(t, namespace, of)
		return func() {
			require.NoError(t, p.Delete(t.Context(), binding))
			require.NoError(t, p.Delete(t.Context(), policy))
		}
	}
}

// webhook asks somebody who is not there about a resource in a namespace, and fails closed.
func (p *plane) webhook(group, of string) func(*testing.T, string) func() {
	return func(t *testing.T, namespace string) func() {
		t.Helper()
		here := &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: namespace}}
		ask := func(group, of string) admissionv1.RuleWithOperations { return ruleOn(group, of) }
		rules := []admissionv1.RuleWithOperations{ask(group, of)}
		if of == "*" {
			rules = []admissionv1.RuleWithOperations{ask("apps", "deployments"), ask("policy", "poddisruptionbudgets"), ask("keda.sh", "scaledobjects")}
		}
		hook := &admissionv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: namespace}, Webhooks: []admissionv1.ValidatingWebhook{{
			Name: "nobody.example.com", NamespaceSelector: here, Rules: rules,
			ClientConfig:  admissionv1.WebhookClientConfig{URL: ptr.To("https://127.0.0.1:1/")},
			FailurePolicy: ptr.To(admissionv1.Fail), SideEffects: ptr.To(admissionv1.SideEffectClassNone),
			TimeoutSeconds: ptr.To[int32](1), AdmissionReviewVersions: []string{"v1"},
		}}}
		require.NoError(t, p.Create(t.Context(), hook))
		p.untilRefused(t, namespace, of)
		return func() { require.NoError(t, p.Delete(t.Context(), hook)) }
	}
}

func ruleOn(group, of string) admissionv1.RuleWithOperations {
	return admissionv1.RuleWithOperations{
		Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update},
		Rule:       admissionv1.Rule{APIGroups: []string{group}, APIVersions: []string{"*"}, Resources: []string{of}},
	}
}

// untilRefused waits until the API server has taken in what it is to refuse.
func (p *plane) untilRefused(t *testing.T, namespace, of string) {
	t.Helper()
	channel := channeltest.Channel(func(c *v1.PubSubChannel) { c.Namespace, c.Name = namespace, "probe" }, channeltest.AutoScaled())
	probe := scaledObjectChild(channel)
	switch {
	case strings.Contains(of, "deployments"), of == "*":
		probe = workersOf(channel)
	case strings.Contains(of, "poddisruptionbudgets"):
		probe = budgetOf(channel)
	default:
		probe.(*kedav1alpha1.ScaledObject).Spec = build.ScaledObject(testWorkers.Plan(channel), testScaler).Spec
	}
	require.Eventually(t, func() bool {
		probe.SetResourceVersion("")
		return p.Create(t.Context(), probe, client.DryRunAll) != nil
	}, soon, tick, "%s is refused", of)
}

// workersOf is a Deployment that nothing is wrong with.
func workersOf(channel *v1.PubSubChannel) *appsv1.Deployment {
	deployment := deploymentOf(channel)
	deployment.Spec = appsv1.DeploymentSpec{Selector: selector(plan.SelectorLabels(channel)), Template: corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: plan.SelectorLabels(channel)},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: v1.SubscriberContainer, Image: "theirs"}}},
	}}
	return deployment
}

// refusedAgain waits until the controller has been refused some times more in a namespace.
func (p *plane) refusedAgain(t *testing.T, namespace string, times int) {
	t.Helper()
	from := p.audit(t)
	refused := 0
	require.Eventually(t, func() bool {
		requests, to := p.audited(t, from)
		from = to
		for _, r := range requests {
			if r.Object != nil && r.Object.Namespace == namespace && (r.Response.Code == http.StatusForbidden || r.Response.Code == http.StatusInternalServerError) {
				refused++
			}
		}
		return refused >= times
	}, soon, tick, "it is tried again")
}

func (p *plane) eventsOf(t *testing.T, channel *v1.PubSubChannel) (all []eventsv1.Event) {
	t.Helper()
	var list eventsv1.EventList
	require.NoError(t, p.List(t.Context(), &list, client.InNamespace(channel.Namespace)))
	for _, event := range list.Items {
		if event.Regarding.UID == channel.UID {
			all = append(all, event)
		}
	}
	return all
}

// warnings are the notes of a channel's events about refusals.
func (p *plane) warnings(t *testing.T, channel *v1.PubSubChannel) (notes []string) {
	t.Helper()
	for _, event := range p.eventsOf(t, channel) {
		if event.Type == corev1.EventTypeWarning && event.Reason == v1.ReasonRefused {
			notes = append(notes, event.Note)
		}
	}
	return notes
}
