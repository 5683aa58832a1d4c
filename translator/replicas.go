package translator

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	appsv1 "k8s.io/api/apps/v1"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
)

// spec.replicas changes hands, and must never dip while it does.
//
// Server-side apply removes a field that its last owner leaves out, and the API server
// then fills in the default: 1 replica. So:
//   - A Deployment that is to begin with the default is made without the field, which is
//     then nobody's. Else the main owner applies replicas when it creates the Deployment,
//     and the replicas owner applies the same value at once; from then on the main owner
//     leaves it out.
//   - Before the main owner leaves it out, another owner must be on record in
//     managedFields. Where none is, because the controller ended between the two, the
//     replicas owner takes the field over with the live value, under the live
//     resourceVersion: a scaling in between makes that a conflict, never a change.
//   - With autoscaling on, nothing here writes replicas; the HPA becomes the owner with
//     its first scaling.
//   - With autoscaling off, the replicas owner forces spec.replicas.

// defaultReplicas is what the API server fills in.
const defaultReplicas = 1

// onlyMainOwnsReplicas reports whether the main owner owns spec.replicas, and nobody else.
func onlyMainOwnsReplicas(deployment *appsv1.Deployment) (bool, error) {
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
		if entry.Manager != ownerMain || entry.Operation != metav1.ManagedFieldsOperationApply {
			return false, nil
		}
		main = true
	}
	return main, nil
}

// buildReplicas is all that the replicas owner ever applies. The UID keeps it from making
// a Deployment of its own where that one has gone.
func buildReplicas(deployment *appsv1.Deployment, replicas int32) *appsv1ac.DeploymentApplyConfiguration {
	return appsv1ac.Deployment(deployment.Name, deployment.Namespace).
		WithUID(deployment.UID).
		WithSpec(appsv1ac.DeploymentSpec().WithReplicas(replicas))
}
