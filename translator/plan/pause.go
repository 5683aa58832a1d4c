package plan

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"

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

// Pause is how a channel's scaling is held; the zero value: not at all.
type Pause struct {
	Reason     string   // v1.ReasonPausedBySpec or v1.ReasonPausedByAnnotation
	Annotation string   // what the ScaledObject carries of KEDA's
	value      string   // of annotation
	Unwritten  []string // the channel's other pause annotations
	// on is the ScaledObject that somebody else annotated; nil: the pause is the channel's.
	on *kedav1alpha1.ScaledObject
}

// pauseOf is what spec.paused and the channel's annotations ask for together.
func pauseOf(channel *v1.PubSubChannel) Pause {
	var p Pause
	if channel.Spec.Paused {
		p = Pause{Reason: v1.ReasonPausedBySpec, Annotation: kedav1alpha1.PausedAnnotation, value: "true"}
	}
	for _, annotation := range pauseAnnotations {
		value, given := channel.Annotations[annotation]
		switch {
		case !given:
		case p.Reason == "" && asksForPause(annotation, value):
			p = Pause{Reason: v1.ReasonPausedByAnnotation, Annotation: annotation, value: value, Unwritten: p.Unwritten}
		default:
			p.Unwritten = append(p.Unwritten, annotation)
		}
	}
	return p
}

// PausesOn are those that a ScaledObject's annotations ask for, in the order in which one goes
// before the other; of nil, none.
func PausesOn(scaledObject *kedav1alpha1.ScaledObject) []Pause {
	if scaledObject == nil || len(scaledObject.Annotations) == 0 {
		return nil
	}
	var found []Pause
	for _, annotation := range pauseAnnotations {
		if value, given := scaledObject.Annotations[annotation]; given && asksForPause(annotation, value) {
			found = append(found, Pause{Reason: v1.ReasonPausedOnScaledObject, Annotation: annotation, value: value, on: scaledObject})
		}
	}
	return found
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

// Annotations are all that a ScaledObject carries: KEDA copies them to the HPA.
func (p Pause) Annotations() map[string]string {
	if p.Reason == "" {
		return nil
	}
	return map[string]string{p.Annotation: p.value}
}

// check finds what KEDA could not read: it would stop scaling without a number to hold.
func (p Pause) check() error {
	if p.Annotation != kedav1alpha1.PausedReplicasAnnotation {
		return nil
	}
	if n, err := strconv.ParseInt(p.value, 10, 32); err != nil || n < 0 {
		return fmt.Errorf("annotation %s is %q: set it to a number of replicas, 0 or more, or remove it", p.Annotation, p.value)
	}
	return nil
}

// Holds reports whether the pause is what keeps a decision from being carried out.
func (p Pause) Holds(action inspectv1.Action) bool {
	switch p.Annotation {
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

// By names what asks for the pause.
func (p Pause) By() string {
	if p.Reason == v1.ReasonPausedBySpec {
		return "spec.paused"
	}
	text := fmt.Sprintf("the annotation %s: %q", p.Annotation, p.value)
	if p.on != nil {
		text += fmt.Sprintf(" that somebody else put on ScaledObject %[1]s (to remove it: kubectl -n %[2]s annotate scaledobject %[1]s %[3]s-)", p.on.Name, p.on.Namespace, p.Annotation)
	}
	return text
}

// Effect tells what the pause does.
func (p Pause) Effect() string {
	switch p.Annotation {
	case kedav1alpha1.PausedReplicasAnnotation:
		replicas, err := strconv.ParseInt(p.value, 10, 32)
		if err != nil {
			return fmt.Sprintf("KEDA holds %s workers", p.value) // which Unscalable tells
		}
		return "KEDA holds " + Workers(int32(replicas))
	case kedav1alpha1.PausedScaleInAnnotation:
		return "no worker is taken away"
	case kedav1alpha1.PausedScaleOutAnnotation:
		return "no worker is added"
	default:
		return "the number of workers stays as it is"
	}
}

// Annotations are those of a channel's annotations of which a plan is made.
func Annotations(all map[string]string) map[string]string {
	read := maps.Clone(all)
	maps.DeleteFunc(read, func(annotation, _ string) bool {
		return annotation != TransferAnnotation && !slices.Contains(pauseAnnotations, annotation)
	})
	return read
}
