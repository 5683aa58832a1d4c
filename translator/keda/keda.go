// Package keda is what the other rooms must know of how KEDA 2.21 goes about ScaledObjects: what
// it would refuse, what keeps one that is deleted, and where to look for it. It is pure.
package keda

import (
	"time"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
)

// Grace is how long, beyond the cooldown, the HPA may take to follow the scaler: two of
// its syncs (kube-controller-manager --horizontal-pod-autoscaler-sync-period, 15 s).
const Grace = 30 * time.Second

// HPAName is the name that a ScaledObject gives its HPA; empty: KEDA's own.
func HPAName(scaledObject *kedav1alpha1.ScaledObject) string {
	if advanced := scaledObject.Spec.Advanced; advanced != nil && advanced.HorizontalPodAutoscalerConfig != nil {
		return advanced.HorizontalPodAutoscalerConfig.Name
	}
	return ""
}

// FindOperator finds keda-operator in whatever namespace it was installed, by the label that
// KEDA's chart and manifests have in common.
const FindOperator = "kubectl get pods -A -l app=keda-operator"
