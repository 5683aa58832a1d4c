package ownership

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// Field owners. Two, because spec.replicas of a Deployment must be able to change hands
// apart from the rest (translator/apply, replicas.go).
const (
	// Main owns what the builders render.
	Main = "pubsub-operator"
	// Replicas owns spec.replicas of Deployments, and nothing else.
	Replicas = "pubsub-operator-replicas"
)

// OnlyOperatorMade reports whether the main owner applied an object's spec, and nobody else
// anything of it that stays.
func OnlyOperatorMade(object metav1.Object) (bool, error) {
	applied := false
	for _, entry := range object.GetManagedFields() {
		fields, err := fieldsOf(entry)
		if err != nil {
			return false, err
		}
		spec, _ := below(fields, fieldpath.FieldNameElement("spec"))
		if entry.Manager == Main && entry.Operation == metav1.ManagedFieldsOperationApply && entry.Subresource == "" {
			applied = !spec.Empty()
			continue
		}
		if !spec.Difference(passing).Empty() {
			return false, nil
		}
	}
	return applied, nil
}

// passing are fields of a spec that others write in the ordinary course of things: the HPA or
// KEDA the replicas, kubectl rollout restart its time, and KEDA an empty struct (KEDA 2.21).
// What holds them is there with them.
var passing = fieldpath.NewSet(
	fieldpath.MakePathOrDie("replicas"),
	fieldpath.MakePathOrDie("template"), fieldpath.MakePathOrDie("template", "metadata"), fieldpath.MakePathOrDie("template", "metadata", "annotations"),
	fieldpath.MakePathOrDie("template", "metadata", "annotations", "kubectl.kubernetes.io/restartedAt"),
	fieldpath.MakePathOrDie("advanced"), fieldpath.MakePathOrDie("advanced", "scalingModifiers"),
)

// MainOwns reports whether the main owner applied a field, or something in it, by its path.
func MainOwns(object metav1.Object, path ...string) bool {
	managed := object.GetManagedFields()
	i := slices.IndexFunc(managed, func(entry metav1.ManagedFieldsEntry) bool {
		return entry.Manager == Main && entry.Operation == metav1.ManagedFieldsOperationApply
	})
	if i < 0 {
		return false
	}
	fields, err := fieldsOf(managed[i])
	if err != nil {
		return false
	}
	for _, name := range path {
		within, owned := below(fields, fieldpath.FieldNameElement(name))
		if !owned {
			return false
		}
		fields = within
	}
	return true
}

// OnlyMainOwnsReplicas reports whether the main owner owns spec.replicas, and nobody else.
func OnlyMainOwnsReplicas(deployment *appsv1.Deployment) (bool, error) {
	main := false
	for _, entry := range deployment.ManagedFields {
		fields, err := fieldsOf(entry)
		if err != nil {
			return false, err
		}
		if !fields.Has(fieldpath.MakePathOrDie("spec", "replicas")) {
			continue
		}
		if entry.Manager != Main || entry.Operation != metav1.ManagedFieldsOperationApply {
			return false, nil
		}
		main = true
	}
	return main, nil
}
