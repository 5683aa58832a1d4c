package build

import (
	appsv1 "k8s.io/api/apps/v1"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
)

// Replicas is all that the replicas owner ever applies. The UID keeps it from making
// a Deployment of its own where that one has gone.
func Replicas(deployment *appsv1.Deployment, replicas int32) *appsv1ac.DeploymentApplyConfiguration {
	return appsv1ac.Deployment(deployment.Name, deployment.Namespace).
		WithUID(deployment.UID).
		WithSpec(appsv1ac.DeploymentSpec().WithReplicas(replicas))
}
