package translator

import (
	"maps"
	"slices"
	"sync/atomic"
	"unique"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/apply"
	"github.com/jawaracloud/pubsub-operator/translator/ownership"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
	"github.com/jawaracloud/pubsub-operator/translator/status"
	"github.com/jawaracloud/pubsub-operator/translator/watched"
)

// slimForeignBudget keeps what tells which pods a budget selects, and whether it may be
// adopted.
func slimForeignBudget(budget *policyv1.PodDisruptionBudget) *policyv1.PodDisruptionBudget {
	slim := &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{
		Namespace: budget.Namespace, Name: budget.Name, UID: budget.UID,
		ResourceVersion: budget.ResourceVersion, Generation: budget.Generation,
		DeletionTimestamp: budget.DeletionTimestamp, OwnerReferences: budget.OwnerReferences,
	}}
	for _, label := range []string{v1.LabelChannel, plan.LabelManagedBy} {
		if value, ok := budget.Labels[label]; ok {
			metav1.SetMetaDataLabel(&slim.ObjectMeta, label, value)
		}
	}
	if consent, ok := budget.Annotations[v1.AnnotationAdoptedBy]; ok {
		metav1.SetMetaDataAnnotation(&slim.ObjectMeta, v1.AnnotationAdoptedBy, consent)
	}
	slim.Spec.Selector = budget.Spec.Selector.DeepCopy()
	return slim
}

// Caches are those from which the Reconciler reads. Of objects they hold only what it reads,
// and one copy of what many have in common: with 5,000 channels it is most of what the process
// needs.
type Caches struct {
	config     *rest.Config
	namespaces *watched.Namespaces // nil: all
	owned      ownership.Decoded

	// Parts of objects that are the same for most channels.
	autoScalings      latest[v1.AutoScalingSpec]
	rollingUpdates    latest[appsv1.RollingUpdateDeployment]
	podSecurity       latest[corev1.PodSecurityContext]
	containerSecurity latest[corev1.SecurityContext]
	envSources        latest[corev1.EnvVarSource]
	budgetSizes       latest[intstr.IntOrString]
	evictionPolicies  latest[policyv1.UnhealthyPodEvictionPolicyType]
	advanced          latest[kedav1alpha1.AdvancedConfig]
}

// NewCaches makes them for a manager with that configuration. They hold, and the controller works
// on, the objects of those namespaces; of all if they are nil.
func NewCaches(config *rest.Config, namespaces *watched.Namespaces) *Caches {
	return &Caches{config: config, namespaces: namespaces}
}

// NewCache makes the manager's cache (manager.Options.NewCache), with Options.
func (c *Caches) NewCache(config *rest.Config, options cache.Options) (cache.Cache, error) {
	objects, err := cache.New(config, options)
	if err != nil {
		return nil, err
	}
	return c.namespaces.Guard(objects), nil
}

// Options are those of the manager's cache. It holds the operator's own Deployments alone,
// and of PodDisruptionBudgets all, those of others as selectors: there are few, and each may
// select a channel's workers.
//
// A PubSubChannel that can't be decoded is there too, and keeps no other from being; see
// the package reading.
func (c *Caches) Options() (cache.Options, error) {
	informer, err := newInformer(c.config, c.namespaces)
	if err != nil {
		return cache.Options{}, err
	}
	ours := labels.SelectorFromSet(labels.Set{v1.LabelApp: v1.SubscriberApp})
	return cache.Options{
		NewInformer:       informer,
		DefaultNamespaces: c.namespaces.Configs(nil),
		ByObject: map[client.Object]cache.ByObject{
			&appsv1.Deployment{}:            {Label: ours, Transform: c.slimDeployment, Namespaces: c.namespaces.Configs(c.slimDeployment)},
			&policyv1.PodDisruptionBudget{}: {Transform: c.slimDisruptionBudget, Namespaces: c.namespaces.Configs(c.slimDisruptionBudget)},
			&v1.PubSubChannel{}:             {Transform: watched.Transform(metav1.NamespaceAll, c.slimChannel), Namespaces: c.namespaces.Configs(c.slimChannel)},
		},
	}, nil
}

// scaledObjectOptions are those of the cache of ScaledObjects.
func (c *Caches) scaledObjectOptions() cache.Options {
	return cache.Options{
		NewInformer:          c.namespaces.NewInformer,
		DefaultNamespaces:    c.namespaces.Configs(c.slimScaledObject),
		DefaultLabelSelector: labels.SelectorFromSet(labels.Set{plan.LabelManagedBy: v1.OperatorApp}),
		DefaultTransform:     c.slimScaledObject,
	}
}

// What a transform gets may be a tombstone of a deleted object, which passes as it is.

func (c *Caches) slimChannel(object any) (any, error) {
	channel, ok := object.(*v1.PubSubChannel)
	if !ok {
		return object, nil
	}
	channel.ManagedFields = nil
	dropNotes(channel)
	channel = channel.DeepCopy() // without the slack that a decoder leaves in slices and maps
	intern(&channel.Spec.Image)
	intern(&channel.Spec.RedisAddress)
	channel.Spec.AutoScaling = c.autoScalings.share(channel.Spec.AutoScaling)
	for i := range channel.Status.Conditions {
		condition := &channel.Status.Conditions[i]
		intern(&condition.Type)
		intern(&condition.Status)
		intern(&condition.Reason)
		intern(&condition.Message)
	}
	if d := channel.Status.Decision; d != nil {
		intern(&d.Action)
		for _, text := range []*string{&d.Reason, &d.Message, &d.Remarks, &d.Arithmetic, &d.QueueType, &d.FallbackReason} {
			intern(text)
		}
	}
	return channel, nil
}

func (c *Caches) slimDeployment(object any) (any, error) {
	deployment, ok := object.(*appsv1.Deployment)
	if !ok {
		return object, nil
	}
	c.keepOwners(deployment)
	dropNotes(deployment)
	deployment.Labels = internedMap(deployment.Labels)
	spec := &deployment.Spec
	if spec.Selector != nil {
		spec.Selector.MatchLabels = internedMap(spec.Selector.MatchLabels)
	}
	intern(&spec.Strategy.Type)
	spec.Strategy.RollingUpdate = c.rollingUpdates.share(spec.Strategy.RollingUpdate)
	if spec.Template.Labels = internedMap(spec.Template.Labels); maps.Equal(spec.Template.Labels, deployment.Labels) {
		spec.Template.Labels = deployment.Labels
	}
	c.slimPod(&spec.Template.Spec, spec.Selector)
	// Nobody reads the others, whose messages differ from one Deployment to the next.
	deployment.Status.Conditions = slices.DeleteFunc(deployment.Status.Conditions, func(condition appsv1.DeploymentCondition) bool {
		return !status.Failing(condition)
	})
	if len(deployment.Status.Conditions) == 0 {
		deployment.Status.Conditions = nil
	}
	return deployment, nil
}

func (c *Caches) slimPod(pod *corev1.PodSpec, selector *metav1.LabelSelector) {
	pod.SecurityContext = c.podSecurity.share(pod.SecurityContext)
	intern(&pod.RestartPolicy)
	intern(&pod.DNSPolicy)
	intern(&pod.SchedulerName)
	for i := range pod.Containers {
		c.slimContainer(&pod.Containers[i])
	}
	for i := range pod.TopologySpreadConstraints {
		spread := &pod.TopologySpreadConstraints[i]
		intern(&spread.TopologyKey)
		intern(&spread.WhenUnsatisfiable)
		if apiequality.Semantic.DeepEqual(spread.LabelSelector, selector) {
			spread.LabelSelector = selector
		}
	}
}

func (c *Caches) slimContainer(container *corev1.Container) {
	intern(&container.Name)
	intern(&container.Image)
	intern(&container.ImagePullPolicy)
	intern(&container.TerminationMessagePath)
	intern(&container.TerminationMessagePolicy)
	container.SecurityContext = c.containerSecurity.share(container.SecurityContext)
	container.Env = slices.Clone(container.Env) // without the slack that a decoder leaves
	for i := range container.Env {
		intern(&container.Env[i].Name)
		container.Env[i].ValueFrom = c.envSources.share(container.Env[i].ValueFrom)
	}
}

func (c *Caches) slimDisruptionBudget(object any) (any, error) {
	budget, ok := object.(*policyv1.PodDisruptionBudget)
	if !ok {
		return object, nil
	}
	if apply.ForeignBudget(budget) {
		return slimForeignBudget(budget), nil
	}
	c.keepOwners(budget)
	dropNotes(budget)
	budget.Status = policyv1.PodDisruptionBudgetStatus{} // it changes with every pod
	budget.Spec.MaxUnavailable = c.budgetSizes.share(budget.Spec.MaxUnavailable)
	budget.Spec.UnhealthyPodEvictionPolicy = c.evictionPolicies.share(budget.Spec.UnhealthyPodEvictionPolicy)
	budget.Labels = internedMap(budget.Labels)
	if selector := budget.Spec.Selector; selector != nil {
		selector.MatchLabels = internedMap(selector.MatchLabels)
	}
	return budget, nil
}

func (c *Caches) slimScaledObject(object any) (any, error) {
	scaledObject, ok := object.(*kedav1alpha1.ScaledObject)
	if !ok {
		return object, nil
	}
	scaledObject.Status = kedav1alpha1.ScaledObjectStatus{Conditions: scaledObject.Status.Conditions}
	managed := scaledObject.ManagedFields
	scaledObject.ManagedFields = nil
	scaledObject = scaledObject.DeepCopy() // without the slack that a decoder leaves in slices and maps
	scaledObject.ManagedFields = managed
	c.keepOwners(scaledObject)
	scaledObject.Spec.Advanced = c.advanced.share(scaledObject.Spec.Advanced)
	scaledObject.Labels = internedMap(scaledObject.Labels)
	for i := range scaledObject.Finalizers {
		intern(&scaledObject.Finalizers[i])
	}
	for i := range scaledObject.Spec.Triggers {
		trigger := &scaledObject.Spec.Triggers[i]
		intern(&trigger.Type)
		intern(&trigger.MetricType)
		trigger.Metadata = internedMap(trigger.Metadata)
	}
	return scaledObject, nil
}

// keepOwners keeps of managedFields what applied and OnlyMainOwnsReplicas look for: the main
// owner's fields, and that somebody else owns spec.replicas.
func (c *Caches) keepOwners(object client.Object) {
	object.SetManagedFields(c.owned.Kept(object))
	owners := object.GetOwnerReferences()
	for i := range owners {
		owner := &owners[i]
		intern(&owner.APIVersion)
		intern(&owner.Kind)
		intern(&owner.Name)
		intern(&owner.UID)
	}
	object.SetOwnerReferences(owners)
}

// notes are annotations that others write and that nobody reads here; one of them holds a
// whole manifest.
var notes = []string{corev1.LastAppliedConfigAnnotation, "deployment.kubernetes.io/revision"}

func dropNotes(object client.Object) {
	annotations := object.GetAnnotations()
	for _, note := range notes {
		delete(annotations, note)
	}
	if len(annotations) == 0 {
		object.SetAnnotations(nil)
	}
}

// intern replaces a text that many objects have by its one copy.
func intern[T ~string](text *T) { *text = unique.Make(*text).Value() }

func internedMap(texts map[string]string) map[string]string {
	if texts == nil {
		return nil
	}
	out := make(map[string]string, len(texts))
	for key, value := range texts {
		intern(&key)
		intern(&value)
		out[key] = value
	}
	return out
}

// latest is the value that the latest object had, and nearly all others have too.
type latest[T any] struct{ value atomic.Pointer[T] }

// share returns the latest value where it is the same; nobody may change it.
func (l *latest[T]) share(value *T) *T {
	if value == nil {
		return nil
	}
	if last := l.value.Load(); last != nil && apiequality.Semantic.DeepEqual(last, value) {
		return last
	}
	l.value.Store(value)
	return value
}
