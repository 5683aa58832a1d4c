package status

import (
	"fmt"
	"slices"
	"strings"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"k8s.io/utils/ptr"

	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
	"github.com/jawaracloud/pubsub-operator/translator/ownership"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// What somebody else writes to a ScaledObject stays there: the operator owns, and takes back,
// only what it asks for itself.

// foreignField is a setting of somebody else's on the ScaledObject that changes how it is
// scaled.
type foreignField struct {
	name   string // with its value
	effect string
	remove string // arguments of kubectl, but for the namespace
}

// foreignFields are those of one ScaledObject, without pauses, which have conditions of their
// own. Nothing is looked for that has no effect on a channel's workers, such as a
// pollingInterval beside a minReplicaCount.
func foreignFields(p *plan.Plan, scaledObject *kedav1alpha1.ScaledObject) []foreignField {
	if scaledObject == nil {
		return nil
	}
	var found []foreignField
	field := func(name, effect, patch string) {
		found = append(found, foreignField{name, effect, fmt.Sprintf("patch scaledobject %s --type=merge -p '%s'", p.Channel.Name, patch)})
	}
	spec := scaledObject.Spec
	if idle := spec.IdleReplicaCount; idle != nil {
		field(fmt.Sprintf("spec.idleReplicaCount: %d", *idle),
			fmt.Sprintf("KEDA takes an idle fleet to %d, and wakes it for a queue above activationQueueDepth only", *idle), `{"spec":{"idleReplicaCount":null}}`)
	}
	if fallback := spec.Fallback; fallback != nil && p.AutoScaling.Fallback == nil && !ownership.MainOwns(scaledObject, "spec", "fallback") {
		effect := "KEDA follows it where it can't read a trigger"
		if falling := scaledObject.Status.Conditions.GetFallbackCondition(); falling.IsTrue() {
			effect = "KEDA follows it now, because it can't read a trigger"
		}
		field(fmt.Sprintf("spec.fallback with replicas: %d", fallback.Replicas), effect, `{"spec":{"fallback":null}}`)
	}
	if kind := ptr.Deref(spec.ScaleTargetRef, kedav1alpha1.ScaleTarget{}).Kind; kind != "" && kind != "Deployment" {
		field("spec.scaleTargetRef.kind: "+kind, "KEDA scales that in place of the Deployment", `{"spec":{"scaleTargetRef":{"kind":null,"apiVersion":null}}}`)
	}
	if scaledObject.IsUsingModifiers() {
		field(fmt.Sprintf("spec.advanced.scalingModifiers with the formula %q", spec.Advanced.ScalingModifiers.Formula),
			"the HPA follows it, and not the scaler", `{"spec":{"advanced":{"scalingModifiers":null}}}`)
	}
	if spec.Advanced != nil && spec.Advanced.RestoreToOriginalReplicaCount {
		field("spec.advanced.restoreToOriginalReplicaCount: true", "once autoScaling is switched off, KEDA puts back the number of before it for a moment",
			`{"spec":{"advanced":{"restoreToOriginalReplicaCount":null}}}`)
	}
	if value, given := scaledObject.Annotations[kedav1alpha1.ForceActivationAnnotation]; given && scaledObject.NeedToForceActivation() {
		found = append(found, foreignField{fmt.Sprintf("the annotation %s: %q", kedav1alpha1.ForceActivationAnnotation, value),
			"KEDA keeps at least one worker", fmt.Sprintf("annotate scaledobject %s %s-", p.Channel.Name, kedav1alpha1.ForceActivationAnnotation)})
	}
	return found
}

// foreignMessage names all such settings, and how to be rid of them; empty where there are none.
func foreignMessage(p *plan.Plan, scaledObject *kedav1alpha1.ScaledObject) string {
	fields := foreignFields(p, scaledObject)
	if len(fields) == 0 {
		return ""
	}
	var settings []string
	for _, f := range fields {
		settings = append(settings, fmt.Sprintf("%s (%s; to remove it: kubectl -n %s %s)", f.name, f.effect, p.Channel.Namespace, f.remove))
	}
	return fmt.Sprintf("somebody else set on ScaledObject %s %s", p.Channel.Name, strings.Join(settings, ", and "))
}

// idledBySomebody reports whether the fleet is at somebody else's idleReplicaCount, and the
// queue not above what wakes it: nobody is to carry a step up out.
func idledBySomebody(seen Observed) bool {
	if seen.ScaledObject == nil || seen.ScaledObject.Spec.IdleReplicaCount == nil {
		return false
	}
	response := seen.Answer.Response
	return response.GetAction() == inspectv1.Action_ACTION_SCALE_UP && !response.GetActive() && replicasOf(seen) <= *seen.ScaledObject.Spec.IdleReplicaCount
}

// pauseThatHolds is the pause that keeps an action from being carried out: the channel's own,
// or else one that somebody else put on the ScaledObject.
func pauseThatHolds(p *plan.Plan, scaledObject *kedav1alpha1.ScaledObject, action inspectv1.Action) (plan.Pause, bool) {
	if p.Pause.Holds(action) {
		return p.Pause, true
	}
	for _, foreign := range foreignPauses(scaledObject) {
		if foreign.Holds(action) {
			return foreign, true
		}
	}
	return plan.Pause{}, false
}

// foreignPauses are those by which somebody else paused the ScaledObject, in the order in
// which one goes before the other. What the main owner wrote for the channel is not meant: it
// goes with the next apply.
func foreignPauses(scaledObject *kedav1alpha1.ScaledObject) []plan.Pause {
	return slices.DeleteFunc(plan.PausesOn(scaledObject), func(p plan.Pause) bool {
		return ownership.MainOwns(scaledObject, "metadata", "annotations", p.Annotation)
	})
}
