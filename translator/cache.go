package translator

import (
	"bytes"
	"maps"
	"sync"
	"sync/atomic"
	"unique"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// CacheOptions makes the manager's cache hold the operator's own Deployments and
// PodDisruptionBudgets alone, and of everything only what the Reconciler reads: with 5,000
// channels it is most of what the process needs.
func CacheOptions() cache.Options {
	ours := labels.SelectorFromSet(labels.Set{v1.LabelApp: v1.SubscriberApp})
	return cache.Options{
		ByObject: map[client.Object]cache.ByObject{
			&appsv1.Deployment{}:            {Label: ours, Transform: slimDeployment},
			&policyv1.PodDisruptionBudget{}: {Label: ours, Transform: slimDisruptionBudget},
			&v1.PubSubChannel{}:             {Transform: slimChannel},
		},
	}
}

// scaledObjectCacheOptions are those of the cache of ScaledObjects.
func scaledObjectCacheOptions() cache.Options {
	return cache.Options{
		DefaultLabelSelector: labels.SelectorFromSet(labels.Set{labelManagedBy: v1.OperatorApp}),
		DefaultTransform:     slimScaledObject,
	}
}

// What a transform gets may be a tombstone of a deleted object, which passes as it is.

func slimChannel(object any) (any, error) {
	channel, ok := object.(*v1.PubSubChannel)
	if !ok {
		return object, nil
	}
	channel.ManagedFields = nil
	dropNotes(channel)
	channel = channel.DeepCopy() // without the slack that a decoder leaves in slices and maps
	for i := range channel.Status.Conditions {
		condition := &channel.Status.Conditions[i]
		condition.Type, condition.Reason = interned(condition.Type), interned(condition.Reason)
		condition.Status = metav1.ConditionStatus(interned(string(condition.Status)))
	}
	return channel, nil
}

func slimDeployment(object any) (any, error) {
	deployment, ok := object.(*appsv1.Deployment)
	if !ok {
		return object, nil
	}
	keepOwners(deployment)
	dropNotes(deployment)
	deployment.Labels = internedMap(deployment.Labels)
	spec := &deployment.Spec
	if spec.Selector != nil {
		spec.Selector.MatchLabels = internedMap(spec.Selector.MatchLabels)
	}
	spec.Strategy.RollingUpdate = rollingUpdates.share(spec.Strategy.RollingUpdate)
	if spec.Template.Labels = internedMap(spec.Template.Labels); maps.Equal(spec.Template.Labels, deployment.Labels) {
		spec.Template.Labels = deployment.Labels
	}
	pod := &spec.Template.Spec
	pod.SecurityContext = podSecurity.share(pod.SecurityContext)
	for i := range pod.Containers {
		slimContainer(&pod.Containers[i])
	}
	for i := range pod.TopologySpreadConstraints {
		if spread := &pod.TopologySpreadConstraints[i]; apiequality.Semantic.DeepEqual(spread.LabelSelector, spec.Selector) {
			spread.LabelSelector = spec.Selector
		}
	}
	return deployment, nil
}

func slimContainer(container *corev1.Container) {
	container.Name, container.Image = interned(container.Name), interned(container.Image)
	container.SecurityContext = containerSecurity.share(container.SecurityContext)
	for i := range container.Env {
		container.Env[i].Name = interned(container.Env[i].Name)
	}
}

func slimDisruptionBudget(object any) (any, error) {
	budget, ok := object.(*policyv1.PodDisruptionBudget)
	if !ok {
		return object, nil
	}
	keepOwners(budget)
	dropNotes(budget)
	budget.Status = policyv1.PodDisruptionBudgetStatus{} // it changes with every pod
	budget.Labels = internedMap(budget.Labels)
	if selector := budget.Spec.Selector; selector != nil {
		selector.MatchLabels = internedMap(selector.MatchLabels)
	}
	return budget, nil
}

func slimScaledObject(object any) (any, error) {
	scaledObject, ok := object.(*kedav1alpha1.ScaledObject)
	if !ok {
		return object, nil
	}
	scaledObject.Status = kedav1alpha1.ScaledObjectStatus{Conditions: scaledObject.Status.Conditions}
	managed := scaledObject.ManagedFields
	scaledObject.ManagedFields = nil
	scaledObject = scaledObject.DeepCopy() // without the slack that a decoder leaves in slices and maps
	scaledObject.ManagedFields = managed
	keepOwners(scaledObject)
	scaledObject.Spec.Advanced = advanced.share(scaledObject.Spec.Advanced)
	scaledObject.Labels = internedMap(scaledObject.Labels)
	for i := range scaledObject.Spec.Triggers {
		scaledObject.Spec.Triggers[i].Metadata = internedMap(scaledObject.Spec.Triggers[i].Metadata)
	}
	return scaledObject, nil
}

// keepOwners keeps of managedFields what applied and othersOwnReplicas look for: the main
// owner's fields, and that somebody else owns spec.replicas.
func keepOwners(object client.Object) {
	var kept []metav1.ManagedFieldsEntry
	for _, entry := range object.GetManagedFields() {
		main := entry.Manager == ownerMain && entry.Operation == metav1.ManagedFieldsOperationApply && entry.Subresource == ""
		if entry.FieldsV1 == nil || !main && !bytes.Contains(entry.FieldsV1.GetRawBytes(), []byte(`"f:replicas"`)) {
			continue
		}
		kept = append(kept, metav1.ManagedFieldsEntry{
			Manager:     interned(entry.Manager),
			Operation:   metav1.ManagedFieldsOperationType(interned(string(entry.Operation))),
			Subresource: interned(entry.Subresource),
			FieldsV1:    owned.share(withoutUID(entry.FieldsV1.GetRawBytes(), metav1.GetControllerOfNoCopy(object))),
		})
	}
	object.SetManagedFields(kept)
	owners := object.GetOwnerReferences()
	for i := range owners {
		owner := &owners[i]
		owner.APIVersion, owner.Kind, owner.Name = interned(owner.APIVersion), interned(owner.Kind), interned(owner.Name)
		owner.UID = types.UID(interned(string(owner.UID)))
	}
	object.SetOwnerReferences(owners)
}

// withoutUID names the reference to the channel by its being the controller's, of which
// there is one, in place of its uid: that alone would make every set of fields another.
// What is found by the key is compared in whole, uid included.
func withoutUID(fields []byte, controller *metav1.OwnerReference) []byte {
	if controller == nil {
		return fields
	}
	return bytes.ReplaceAll(fields, []byte(`{\"uid\":\"`+string(controller.UID)+`\"}`), []byte(`{\"controller\":true}`))
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

// interned is the one copy of a text that many objects have.
func interned(text string) string { return unique.Make(text).Value() }

func internedMap(texts map[string]string) map[string]string {
	if texts == nil {
		return nil
	}
	out := make(map[string]string, len(texts))
	for key, value := range texts {
		out[interned(key)] = interned(value)
	}
	return out
}

// ownedFields keeps one copy of each set of owned fields: nearly all objects have the same,
// and each is some hundred bytes.
type ownedFields struct {
	mu   sync.Mutex
	sets map[string]*metav1.FieldsV1
}

// ownedFieldsKept is how many sets are kept; beyond, a new beginning is made, and what
// objects have remains theirs.
const ownedFieldsKept = 1000

var owned = ownedFields{sets: map[string]*metav1.FieldsV1{}}

// share returns the one copy, which nobody may change: what is read from a cache is a copy
// of its own.
func (o *ownedFields) share(raw []byte) *metav1.FieldsV1 {
	o.mu.Lock()
	defer o.mu.Unlock()
	if set, ok := o.sets[string(raw)]; ok {
		return set
	}
	if len(o.sets) >= ownedFieldsKept {
		clear(o.sets)
	}
	set := metav1.NewFieldsV1(string(raw))
	o.sets[string(raw)] = set
	return set
}

// latest is the value that the latest object had, and nearly all others have too.
type latest[T any] struct{ value atomic.Pointer[T] }

// Parts of objects that are the same for most channels.
var (
	rollingUpdates    latest[appsv1.RollingUpdateDeployment]
	podSecurity       latest[corev1.PodSecurityContext]
	containerSecurity latest[corev1.SecurityContext]
	advanced          latest[kedav1alpha1.AdvancedConfig]
)

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
