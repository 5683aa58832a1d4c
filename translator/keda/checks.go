package keda

import (
	"fmt"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
)

// Check is what KEDA's admission webhook checks without a look at the cluster (KEDA
// 2.21, apis/keda/v1alpha1/scaledobject_webhook.go); the webhook may not be installed, and
// is passed over where it does not answer.
func Check(scaledObject *kedav1alpha1.ScaledObject) error {
	if err := kedav1alpha1.ValidateTriggers(scaledObject.Spec.Triggers); err != nil {
		return fmt.Errorf("KEDA would refuse spec.autoScaling.triggers: %w: change or remove that trigger; schedules are triggers too, by their names", err)
	}
	if err := kedav1alpha1.CheckFallbackValid(scaledObject); err != nil {
		return fmt.Errorf("KEDA would refuse spec.autoScaling.fallback: %w", err)
	}
	if scaledObject.FallbackScalingModifiers() {
		return fmt.Errorf("KEDA would refuse spec.autoScaling.fallback: behavior %s needs a formula of scalingModifiers, which a channel has not: "+
			"set behavior to %s, %s, %s or %s", scaledObject.Spec.Fallback.Behavior, kedav1alpha1.FallbackBehaviorStatic,
			kedav1alpha1.FallbackBehaviorCurrentReplicas, kedav1alpha1.FallbackBehaviorCurrentReplicasIfHigher, kedav1alpha1.FallbackBehaviorCurrentReplicasIfLower)
	}
	return nil
}
