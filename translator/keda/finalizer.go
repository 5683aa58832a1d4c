package keda

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Finalizer is what keeps a deleted ScaledObject until KEDA has stopped scaling (KEDA
// 2.21, controllers/keda/scaledobject_finalizer.go).
const Finalizer = "finalizer.keda.sh"

// KeptBy name the finalizers that keep an object which is to go, and the remedy; empty
// where there are none, and nobody but Kubernetes itself is waited for.
func KeptBy(kind string, object metav1.Object) string {
	finalizers := Finalizers(object)
	switch {
	case len(finalizers) == 0, object.GetDeletionTimestamp() == nil:
		return ""
	case !slices.Contains(finalizers, Finalizer):
		return ", which its finalizers keep: " + strings.Join(finalizers, ", ")
	}
	return fmt.Sprintf(", whose finalizer %[1]s KEDA has to remove: where that lasts, keda-operator does not run: start it (%[2]s), or, if KEDA is gone for good, remove it yourself: "+
		"kubectl -n %[3]s patch %[4]s %[5]s --type=merge -p '{\"metadata\":{\"finalizers\":null}}'; Kubernetes then deletes its HPA, too",
		Finalizer, FindOperator, object.GetNamespace(), strings.ToLower(kind), object.GetName())
}

// Finalizers leaves out those of the garbage collector, which removes them by itself.
func Finalizers(object metav1.Object) []string {
	return slices.DeleteFunc(slices.Clone(object.GetFinalizers()), func(f string) bool {
		return f == metav1.FinalizerDeleteDependents || f == metav1.FinalizerOrphanDependents
	})
}
