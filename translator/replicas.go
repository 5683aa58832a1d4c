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
//   - The main owner applies replicas only when it creates a Deployment, and the replicas
//     owner applies the same value at once; from then on the main owner leaves it out.
//   - Before the main owner applies, another owner must be on record in managedFields.
//     Where none is, because the controller ended between the two, the replicas owner
//     takes the field over with the live value, under the live resourceVersion: a scaling
//     in between makes that a conflict, never a change.
//   - With autoscaling on, nothing here writes replicas; the HPA becomes the owner with
//     its first scaling.
//   - With autoscaling off, the replicas owner forces spec.replicas.

// othersOwnReplicas reports whether anybody besides the main owner owns spec.replicas.
func othersOwnReplicas(deployment *appsv1.Deployment) (bool, error) {
	for _, entry := range deployment.ManagedFields {
		if entry.Manager == ownerMain && entry.Operation == metav1.ManagedFieldsOperationApply {
			continue
		}
		fields, err := fieldsOf(entry)
		if err != nil {
			return false, err
		}
		if spec, ok := fields["f:spec"].(map[string]any); ok {
			if _, ok := spec["f:replicas"]; ok {
				return true, nil
			}
		}
	}
	return false, nil
}

// buildReplicas is all that the replicas owner ever applies. The UID keeps it from making
// a Deployment of its own where that one has gone.
func buildReplicas(deployment *appsv1.Deployment, replicas int32) *appsv1ac.DeploymentApplyConfiguration {
	return appsv1ac.Deployment(deployment.Name, deployment.Namespace).
		WithUID(deployment.UID).
		WithSpec(appsv1ac.DeploymentSpec().WithReplicas(replicas))
}
