package translator

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
)

// pauseAnnotations are KEDA's, in the order in which one goes before the other. Exactly one
// is ever written: with several, KEDA obeys paused-replicas even where paused says "false"
// (kedacore/keda#7774).
var pauseAnnotations = []string{
	kedav1alpha1.PausedReplicasAnnotation,
	kedav1alpha1.PausedAnnotation,
	kedav1alpha1.PausedScaleInAnnotation,
	kedav1alpha1.PausedScaleOutAnnotation,
}

// pause is how a channel's scaling is held; the zero value: not at all.
type pause struct {
	reason     string   // v1.ReasonPausedBySpec or v1.ReasonPausedByAnnotation
	annotation string   // what the ScaledObject carries of KEDA's
	value      string   // of annotation
	unwritten  []string // the channel's other pause annotations
	// on is the ScaledObject that somebody else annotated; nil: the pause is the channel's.
	on *kedav1alpha1.ScaledObject
}

// pauseOf is what spec.paused and the channel's annotations ask for together.
func pauseOf(channel *v1.PubSubChannel) pause {
	var p pause
	if channel.Spec.Paused {
		p = pause{reason: v1.ReasonPausedBySpec, annotation: kedav1alpha1.PausedAnnotation, value: "true"}
	}
	for _, annotation := range pauseAnnotations {
		value, given := channel.Annotations[annotation]
		switch {
		case !given:
		case p.reason == "" && asksForPause(annotation, value):
			p = pause{reason: v1.ReasonPausedByAnnotation, annotation: annotation, value: value, unwritten: p.unwritten}
		default:
			p.unwritten = append(p.unwritten, annotation)
		}
	}
	return p
}

// asksForPause reads a value as KEDA does: what is no boolean counts as true (KEDA 2.21,
// apis/keda/v1alpha1/scaledobject_types.go, getBoolAnnotation).
func asksForPause(annotation, value string) bool {
	if annotation == kedav1alpha1.PausedReplicasAnnotation {
		return true
	}
	paused, err := strconv.ParseBool(value)
	return err != nil || paused
}

// annotations are all that a ScaledObject carries: KEDA copies them to the HPA.
func (p pause) annotations() map[string]string {
	if p.reason == "" {
		return nil
	}
	return map[string]string{p.annotation: p.value}
}

// check finds what KEDA could not read: it would stop scaling without a number to hold.
func (p pause) check() error {
	if p.annotation != kedav1alpha1.PausedReplicasAnnotation {
		return nil
	}
	if n, err := strconv.ParseInt(p.value, 10, 32); err != nil || n < 0 {
		return fmt.Errorf("annotation %s is %q: set it to a number of replicas, 0 or more, or remove it", p.annotation, p.value)
	}
	return nil
}

// holds reports whether the pause is what keeps a decision from being carried out.
func (p pause) holds(action inspectv1.Action) bool {
	switch p.annotation {
	case "":
		return false
	case kedav1alpha1.PausedScaleInAnnotation:
		return action == inspectv1.Action_ACTION_SCALE_DOWN
	case kedav1alpha1.PausedScaleOutAnnotation:
		return action == inspectv1.Action_ACTION_SCALE_UP
	default:
		return true
	}
}

// by names what asks for the pause.
func (p pause) by() string {
	if p.reason == v1.ReasonPausedBySpec {
		return "spec.paused"
	}
	words := fmt.Sprintf("the annotation %s: %q", p.annotation, p.value)
	if p.on != nil {
		words += fmt.Sprintf(" that somebody else put on ScaledObject %[1]s (to remove it: kubectl -n %[2]s annotate scaledobject %[1]s %[3]s-)", p.on.Name, p.on.Namespace, p.annotation)
	}
	return words
}

// effect tells what the pause does.
func (p pause) effect() string {
	switch p.annotation {
	case kedav1alpha1.PausedReplicasAnnotation:
		return fmt.Sprintf("KEDA holds %s workers", p.value)
	case kedav1alpha1.PausedScaleInAnnotation:
		return "no worker is taken away"
	case kedav1alpha1.PausedScaleOutAnnotation:
		return "no worker is added"
	default:
		return "the number of workers stays as it is"
	}
}

// pausedCondition tells whether scaling is held, by what, and which annotations count for
// nothing.
func pausedCondition(p *Plan, scaledObject *kedav1alpha1.ScaledObject) metav1.Condition {
	own := p.Pause
	ignored := ""
	if len(own.unwritten) > 0 {
		ignored = "; without effect beside it: " + strings.Join(own.unwritten, ", ")
	}
	switch {
	case !p.AutoScaled && own.reason == v1.ReasonPausedByAnnotation:
		return condition(v1.ConditionPaused, metav1.ConditionFalse, v1.ReasonPauseIgnored,
			fmt.Sprintf("autoScaling is off, so KEDA's annotations do nothing: %s; set spec.paused instead",
				strings.Join(append([]string{own.annotation}, own.unwritten...), ", ")))
	case own.reason != "":
		return condition(v1.ConditionPaused, metav1.ConditionTrue, own.reason, fmt.Sprintf("%s, by %s%s", own.effect(), own.by(), ignored))
	}
	if foreign := foreignPauses(scaledObject); len(foreign) > 0 && p.AutoScaled {
		first := foreign[0]
		return condition(v1.ConditionPaused, metav1.ConditionTrue, v1.ReasonPausedOnScaledObject, fmt.Sprintf("%s, by %s", first.effect(), first.by()))
	}
	return condition(v1.ConditionPaused, metav1.ConditionFalse, v1.ReasonNotPaused, "nothing asks for a pause")
}

// pauseChanged lets those updates of a channel through that touch its pause annotations, or
// that of the HPA's transfer: they do not change its generation.
func pauseChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		return e.ObjectOld != nil && e.ObjectNew != nil &&
			!maps.Equal(pausesOf(e.ObjectOld.GetAnnotations()), pausesOf(e.ObjectNew.GetAnnotations()))
	}}
}

func pausesOf(annotations map[string]string) map[string]string {
	pauses := maps.Clone(annotations)
	maps.DeleteFunc(pauses, func(annotation, _ string) bool {
		return annotation != transferAnnotation && !slices.Contains(pauseAnnotations, annotation)
	})
	return pauses
}
