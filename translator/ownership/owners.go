package ownership

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
		spec, _ := fields["f:spec"].(map[string]any)
		if entry.Manager == Main && entry.Operation == metav1.ManagedFieldsOperationApply && entry.Subresource == "" {
			applied = len(spec) > 0
			continue
		}
		if !harmless("f:spec", spec) {
			return false, nil
		}
	}
	return applied, nil
}

// passing are fields that others write in the ordinary course of things: the HPA or KEDA
// the replicas, kubectl rollout restart its time, and KEDA an empty struct (KEDA 2.21).
var passing = map[string]bool{
	"f:spec.f:replicas": true,
	"f:spec.f:template.f:metadata.f:annotations.f:kubectl.kubernetes.io/restartedAt": true,
	"f:spec.f:advanced.f:scalingModifiers":                                           true,
}

// harmless reports whether all fields under a path are passing.
func harmless(path string, fields fieldSet) bool {
	for name, child := range fields {
		below, _ := child.(map[string]any)
		next := path + "." + name
		switch {
		case name == ".":
		case len(below) == 0 && !passing[next], !harmless(next, below):
			return false
		}
	}
	return true
}

// MainOwns reports whether the main owner applied a field, by its path in managedFields.
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
	at := map[string]any(fields)
	for _, name := range path {
		next, owned := at[name].(map[string]any)
		if !owned {
			return false
		}
		at = next
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
		spec, _ := fields["f:spec"].(map[string]any)
		if _, owned := spec["f:replicas"]; !owned {
			continue
		}
		if entry.Manager != Main || entry.Operation != metav1.ManagedFieldsOperationApply {
			return false, nil
		}
		main = true
	}
	return main, nil
}
