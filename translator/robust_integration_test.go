//go:build integration

package translator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/translator/build"
	"github.com/jawaracloud/pubsub-operator/translator/inquiry"
	"github.com/jawaracloud/pubsub-operator/translator/ownership"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
	"github.com/jawaracloud/pubsub-operator/translator/status"
)

// Whatever goes wrong on the way, everything becomes what the builders say. One after the
// other on one API server, because some of them kill it.
func TestRobustness(t *testing.T) {
	t.Parallel()
	p := startPlaneWithKEDA(t)
	t.Run("others come up beside faulty channels", p.testFaultyChannels)
	t.Run("a conflict storm", p.testConflictStorm)
	t.Run("connections that are cut", p.testConnectionsCut)
	t.Run("the API server and etcd are killed", p.testRestarts)
}

// holding is a scaler that holds all fleets.
type holding struct{}

func (holding) Explain(context.Context, *inspectv1.ExplainRequest) (*inspectv1.ExplainResponse, error) {
	return &inspectv1.ExplainResponse{
		QueueDepth: 7, QueueType: "list", Action: inspectv1.Action_ACTION_HOLD,
		Reason: inspectv1.Reason_REASON_WITHIN_BAND, LastingExplanation: "holding",
	}, nil
}

// patient asks the scaler, and looks again at what is in the way, once a second.
func patient(_ *manager.Options, o *Options) { o.StatusInterval = time.Second }

func (p *plane) namespace(t *testing.T, name string) {
	t.Helper()
	require.NoError(t, p.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}))
}

// Fleet creates channels with autoscaling on.
func (p *plane) fleet(t *testing.T, namespace, prefix string, n int, change ...func(*v1.PubSubChannel)) (all []*v1.PubSubChannel) {
	t.Helper()
	for i := range n {
		channel := &v1.PubSubChannel{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("%s-%02d", prefix, i)},
			Spec:       v1.PubSubChannelSpec{ChannelName: "messages", AutoScaling: &v1.AutoScalingSpec{Enabled: true}},
		}
		for _, c := range change {
			c(channel)
		}
		require.NoError(t, p.Create(t.Context(), channel))
		all = append(all, channel)
	}
	return all
}

// allRight waits until every channel's objects and status are right.
func (p *plane) allRight(t *testing.T, channels []*v1.PubSubChannel) {
	t.Helper()
	var last atomic.Value // of a whole look: another one may be under way when the time is over
	require.Eventually(t, func() bool {
		var wrong error
		for _, channel := range channels {
			wrong = errors.Join(wrong, p.right(t.Context(), channel))
		}
		last.Store(fmt.Sprint(wrong))
		return wrong == nil
	}, 3*soon, 100*time.Millisecond, "%s", lazily(func() string { return fmt.Sprint(last.Load()) }))
}

// right compares a channel's objects with what the builders say, and its status with what
// follows from them.
func (p *plane) right(ctx context.Context, channel *v1.PubSubChannel) error {
	deployment, budget, scaledObject := &appsv1.Deployment{}, &policyv1.PodDisruptionBudget{}, &kedav1alpha1.ScaledObject{}
	children := types.NamespacedName{Namespace: channel.Namespace, Name: plan.DeploymentName(channel)}
	if err := errors.Join(
		p.Get(ctx, client.ObjectKeyFromObject(channel), channel),
		p.Get(ctx, children, deployment),
		p.Get(ctx, children, budget),
		p.Get(ctx, client.ObjectKeyFromObject(channel), scaledObject),
	); err != nil {
		return err
	}
	wantDeployment, err := build.Deployment(testWorkers.Plan(channel))
	if err != nil {
		return err
	}
	wantScaledObject, err := build.ApplyForm(build.ScaledObject(testWorkers.Plan(channel), testScaler))
	if err != nil {
		return err
	}
	for live, want := range map[client.Object]any{deployment: wantDeployment, budget: build.DisruptionBudget(testWorkers.Plan(channel)), scaledObject: wantScaledObject} {
		fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(want)
		if err != nil {
			return err
		}
		if same, err := new(ownership.Decoded).Applied(fields, live); err != nil || !same {
			return errors.Join(err, fmt.Errorf("%T %s is not what was built", live, live.GetName()))
		}
	}
	if ownerHas(deployment, ownership.Main) {
		return fmt.Errorf("the main owner has replicas of %s", deployment.Name)
	}
	return p.rightStatus(ctx, channel, deployment, scaledObject)
}

func (p *plane) rightStatus(ctx context.Context, channel *v1.PubSubChannel, deployment *appsv1.Deployment, scaledObject *kedav1alpha1.ScaledObject) error {
	replicas := ptr.Deref(deployment.Spec.Replicas, 1)
	if channel.Status.ObservedGeneration != channel.Generation || channel.Status.DesiredReplicas != replicas || ptr.Deref(channel.Status.QueueDepth, 0) != 7 {
		return fmt.Errorf("%s at generation %d with %d replicas tells %+v", channel.Name, channel.Generation, replicas, channel.Status)
	}
	response, err := holding{}.Explain(ctx, nil)
	if err != nil {
		return err
	}
	next, _ := status.Next(testWorkers.Plan(channel), status.Observed{
		Deployment: deployment, ScaledObject: scaledObject,
		Answer: &inquiry.Answer{Question: inquiry.NewQuestion(testWorkers.Plan(channel).Trigger, replicas, false), Response: response, Since: time.Now()},
	}, time.Now())
	if p.olderStatus {
		if channel.Status.PolicyInUse == "" {
			next.PolicyInUse = ""
		}
		if channel.Status.WorkerImage == "" {
			next.WorkerImage = ""
		}
		if channel.Status.Decision == nil {
			next.Decision = nil
		}
	}
	if !apiequality.Semantic.DeepEqual(channel.Status, next) {
		return fmt.Errorf("the status of %s is %+v, and should be %+v", channel.Name, channel.Status, next)
	}
	return nil
}

// 50 channels that can't be helped are tried again and again; others get what they need all
// the same. How long that takes is told, and depends on the machine.
func (p *plane) testFaultyChannels(t *testing.T) {
	p.namespace(t, "faulty")
	defer runController(t, p.administrator(t, controllerUser), holding{}, patient)()
	before := p.latencies(t, "before")

	for i := range 25 {
		labels := map[string]string{"app": "theirs"}
		require.NoError(t, p.Create(t.Context(), &appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Namespace: "faulty", Name: fmt.Sprintf("taken-%02d-subscriber", i)},
			Spec: appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "theirs", Image: "theirs"}}},
			}},
		}))
	}
	faulty := p.fleet(t, "faulty", "taken", 25)
	faulty = append(faulty, p.fleet(t, "faulty", "refused", 25, func(c *v1.PubSubChannel) {
		// More than the limit, which only the API server's own validation finds.
		c.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2")}
		c.Spec.Resources.Limits = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")}
	})...)
	for _, channel := range faulty {
		require.Eventually(t, func() bool {
			return p.Get(t.Context(), client.ObjectKeyFromObject(channel), channel) == nil && channel.Status.Phase == v1.PhaseFailed
		}, soon, tick, channel.Name)
	}
	from := p.audit(t)
	after := p.latencies(t, "after")
	t.Logf("from a channel's creation to its last object: median %s, longest %s; with 50 faulty ones %s and %s",
		before[len(before)/2], before[len(before)-1], after[len(after)/2], after[len(after)-1])
	var tried int
	require.Eventually(t, func() bool {
		requests, _ := p.audited(t, from)
		tried = 0
		for _, r := range requests {
			if r.Response.Code == 422 {
				tried++
			}
		}
		return tried >= 25
	}, soon, tick, "the faulty ones are tried again")
}

// latencies are how long 10 channels, one at a time, wait for their objects, in ascending
// order.
func (p *plane) latencies(t *testing.T, prefix string) (all []time.Duration) {
	t.Helper()
	for i := range 10 {
		began := time.Now()
		channel := p.fleet(t, "faulty", fmt.Sprintf("%s-%02d", prefix, i), 1)[0]
		so := &kedav1alpha1.ScaledObject{}
		require.Eventually(t, func() bool {
			return p.Get(t.Context(), client.ObjectKeyFromObject(channel), so) == nil
		}, soon, 10*time.Millisecond)
		all = append(all, time.Since(began))
	}
	slices.Sort(all)
	return all
}
