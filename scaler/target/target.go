// Package target reads the target of a ScaledObject from the cluster: its replicas, when the
// HPA last scaled it, and whether the HPA honours a tolerance of 0.
package target

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// State is the state of a target in the cluster.
type State struct {
	Replicas  int32     // spec.replicas of the target; for a kind that can't be read, the number in the HPA's status
	LastScale time.Time // the HPA's status.lastScaleTime; zero: it never scaled
	// ToleranceHonoured is true if the API server kept a tolerance of 0 in the HPA's behavior
	// (alpha in Kubernetes 1.33, on by default from 1.35). The HPA then acts on the smallest
	// change.
	ToleranceHonoured bool
	// Unsettled is true while the HPA's status is of another number of replicas. After each scaling it is so for an instant: the HPA
	// sets the replicas first, and LastScale after. If somebody else has set them, it is so until the HPA's next sync.
	Unsettled bool
}

// ErrNotFound is wrapped if the ScaledObject, its target or its HPA does not exist.
var ErrNotFound = errors.New("not found")

// +kubebuilder:rbac:groups=keda.sh,resources=scaledobjects,verbs=list;watch
// +kubebuilder:rbac:groups=autoscaling,resources=horizontalpodautoscalers,verbs=list;watch
// +kubebuilder:rbac:groups=apps,resources=deployments;statefulsets,verbs=list;watch

// Cluster reads targets from a client. That should be a cache, because it is asked several
// times for each decision.
type Cluster struct {
	client     client.Reader
	namespaces []string // none: all
}

// NewCluster returns a reader of targets. A cache as the client needs list and watch on
// scaledobjects.keda.sh, horizontalpodautoscalers.autoscaling, and deployments and
// statefulsets.apps. The reader has the objects of those namespaces; without any, of all.
func NewCluster(reader client.Reader, namespaces ...string) *Cluster {
	return &Cluster{client: reader, namespaces: namespaces}
}

// Find returns the ScaledObject of that name. The error wraps ErrNotFound if there is none.
func (c *Cluster) Find(ctx context.Context, namespace, name string) (Object, error) {
	object, err := c.scaledObject(ctx, namespace, name)
	if err != nil {
		return Object{}, err
	}
	return Object{version: Version{UID: object.UID, Generation: object.Generation}, triggers: object.Spec.Triggers}, nil
}

// State returns the state of the ScaledObject's target.
func (c *Cluster) State(ctx context.Context, namespace, name string) (State, error) {
	object, err := c.scaledObject(ctx, namespace, name)
	if err != nil {
		return State{}, err
	}
	hpa, err := c.hpa(ctx, object)
	if err != nil {
		return State{}, err
	}
	replicas, err := c.replicas(ctx, object, hpa)
	if err != nil {
		return State{}, err
	}
	state := State{Replicas: replicas}
	if hpa != nil {
		state.ToleranceHonoured = toleranceHonoured(hpa.Spec.Behavior)
		state.Unsettled = replicas > 0 && scales(hpa) && hpa.Status.DesiredReplicas != replicas // KEDA alone scales from 0 and to 0
		if hpa.Status.LastScaleTime != nil {
			state.LastScale = hpa.Status.LastScaleTime.Time
		}
	}
	return state, nil
}

func (c *Cluster) scaledObject(ctx context.Context, namespace, name string) (*ScaledObject, error) {
	if len(c.namespaces) > 0 && !slices.Contains(c.namespaces, namespace) {
		return nil, fmt.Errorf("%w: ScaledObject %s/%s is in a namespace that this installation does not watch: add %s to --watch-namespaces (the chart's watchNamespaces), or have the scaler of another installation asked", ErrNotFound, namespace, name, namespace)
	}
	object := &ScaledObject{}
	err := c.client.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, object)
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("%w: there is no ScaledObject %s/%s (ScaledJobs are not supported, because jobs have no replicas)", ErrNotFound, namespace, name)
	}
	if err != nil {
		return nil, fmt.Errorf("reading ScaledObject %s/%s: %w", namespace, name, err)
	}
	return object, nil
}

// hpa returns the ScaledObject's HPA, or nil if KEDA has not created it yet.
func (c *Cluster) hpa(ctx context.Context, object *ScaledObject) (*autoscalingv2.HorizontalPodAutoscaler, error) {
	name := types.NamespacedName{Namespace: object.Namespace, Name: hpaName(object)}
	hpa := &autoscalingv2.HorizontalPodAutoscaler{}
	err := c.client.Get(ctx, name, hpa)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading HorizontalPodAutoscaler %s: %w", name, err)
	}
	return hpa, nil
}

// hpaName follows KEDA 2.21, controllers/keda/hpa.go, getHPAName.
func hpaName(object *ScaledObject) string {
	if object.Status.HpaName != "" {
		return object.Status.HpaName
	}
	if advanced := object.Spec.Advanced; advanced != nil && advanced.HorizontalPodAutoscalerConfig != nil && advanced.HorizontalPodAutoscalerConfig.Name != "" {
		return advanced.HorizontalPodAutoscalerConfig.Name
	}
	return "keda-hpa-" + object.Name
}

// replicas reads the object of a Deployment or StatefulSet. For another kind it reads the HPA's
// status, because the scaler has no right to read every kind of resource.
func (c *Cluster) replicas(ctx context.Context, object *ScaledObject, hpa *autoscalingv2.HorizontalPodAutoscaler) (int32, error) {
	ref := object.Spec.ScaleTargetRef
	if ref == nil {
		return 0, fmt.Errorf("%w: ScaledObject %s/%s has no scaleTargetRef: name what is to be scaled there", ErrNotFound, object.Namespace, object.Name)
	}
	name := types.NamespacedName{Namespace: object.Namespace, Name: ref.Name}
	var err error
	var replicas *int32
	switch {
	case isApps(ref) && (ref.Kind == "" || ref.Kind == "Deployment"):
		deployment := &appsv1.Deployment{}
		err = c.client.Get(ctx, name, deployment)
		replicas = deployment.Spec.Replicas
	case isApps(ref) && ref.Kind == "StatefulSet":
		set := &appsv1.StatefulSet{}
		err = c.client.Get(ctx, name, set)
		replicas = set.Spec.Replicas
	case hpa == nil:
		return 0, fmt.Errorf("%w: the replicas of %s %s come from its HPA, which KEDA has not created yet", ErrNotFound, ref.Kind, name)
	default:
		return replicasOf(hpa)
	}
	if apierrors.IsNotFound(err) {
		return 0, fmt.Errorf("%w: there is no %s %s, the target of the ScaledObject: create it, or correct scaleTargetRef", ErrNotFound, kindOf(ref), name)
	}
	if err != nil {
		return 0, fmt.Errorf("reading %s %s: %w", kindOf(ref), name, err)
	}
	if replicas == nil {
		return 1, nil // the API's default
	}
	return *replicas, nil
}

// replicasOf is the number of replicas after the HPA's last sync. If the sync reached a
// decision, it is the decided number. (currentReplicas is the number before the decision; with
// it, a fleet that has just grown would be told to shrink again.) Otherwise it is the number
// that the HPA saw (Kubernetes 1.36, pkg/controller/podautoscaler/horizontal.go, setStatus and
// setCurrentReplicasAndMetricsInStatus).
func replicasOf(hpa *autoscalingv2.HorizontalPodAutoscaler) (int32, error) {
	for _, condition := range hpa.Status.Conditions {
		if condition.Type != autoscalingv2.ScalingActive {
			continue
		}
		if condition.Status == corev1.ConditionTrue {
			return hpa.Status.DesiredReplicas, nil
		}
		return hpa.Status.CurrentReplicas, nil
	}
	return 0, fmt.Errorf("%w: HorizontalPodAutoscaler %s/%s has not looked at %s %s yet", ErrNotFound, hpa.Namespace, hpa.Name, hpa.Spec.ScaleTargetRef.Kind, hpa.Spec.ScaleTargetRef.Name)
}

// scales reports whether the HPA's last sync reached a decision.
func scales(hpa *autoscalingv2.HorizontalPodAutoscaler) bool {
	return slices.ContainsFunc(hpa.Status.Conditions, func(condition autoscalingv2.HorizontalPodAutoscalerCondition) bool {
		return condition.Type == autoscalingv2.ScalingActive && condition.Status == corev1.ConditionTrue
	})
}

func isApps(ref *ScaleTarget) bool {
	return ref.APIVersion == "" || ref.APIVersion == "apps/v1"
}

func kindOf(ref *ScaleTarget) string {
	if ref.Kind == "" {
		return "Deployment" // KEDA's default
	}
	return ref.Kind
}

func toleranceHonoured(behavior *autoscalingv2.HorizontalPodAutoscalerBehavior) bool {
	zero := func(rules *autoscalingv2.HPAScalingRules) bool {
		return rules != nil && rules.Tolerance != nil && rules.Tolerance.IsZero()
	}
	return behavior != nil && zero(behavior.ScaleUp) && zero(behavior.ScaleDown)
}
