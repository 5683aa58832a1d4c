package apply

import (
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// ErrKEDANotInstalled says that the API server has no ScaledObjects.
var ErrKEDANotInstalled = &plan.Problem{
	Phase:  v1.PhasePending,
	Reason: v1.ReasonKEDANotInstalled,
	Message: "autoScaling is enabled, but the API server has no scaledobjects.keda.sh/v1alpha1: " +
		"install KEDA, and the channel continues by itself, or switch autoScaling off",
}

// Assess tells what is to be told from what a quick retry mends, and makes one problem of
// all: the first names it, and the messages of all are in it.
func Assess(errs []error) (*plan.Problem, error) {
	var told *plan.Problem
	var passing []error
	for _, err := range errs {
		p := problemOf(err)
		switch {
		case err == nil:
		case p == nil:
			passing = append(passing, err)
		case told == nil:
			told = p
		default:
			both := *told
			both.Message += "\n" + p.Message
			told = &both
		}
	}
	return told, errors.Join(passing...)
}

// problemOf makes a problem of an error that no quick retry mends; nil where one may.
func problemOf(err error) *plan.Problem {
	var known *plan.Problem
	switch {
	case errors.As(err, &known):
		return known
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), deniedByAdmission(err), notApplicable(err):
		return &plan.Problem{Phase: v1.PhaseFailed, Reason: v1.ReasonInvalidSpec, Message: "the API server refuses what the channel asks for: " + err.Error()}
	case passes(err):
		return nil
	case apierrors.IsForbidden(err):
		return &plan.Problem{Phase: v1.PhaseFailed, Reason: v1.ReasonRefused, Message: fmt.Sprintf("the API server refuses what the channel needs: %v: "+
			"change that, or the channel; it is retried automatically", err)}
	default:
		return &plan.Problem{Phase: v1.PhasePending, Reason: v1.ReasonRefused, Message: fmt.Sprintf("the API server fails over what the channel needs: %v: "+
			"it is retried automatically", err)}
	}
}

// passes reports whether an error is none of the API server's verdicts on an object, but a
// race, an overload, or no answer at all.
func passes(err error) bool {
	var answered apierrors.APIStatus
	return !errors.As(err, &answered) || Raced(err) || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) ||
		apierrors.IsTooManyRequests(err) || apierrors.IsServiceUnavailable(err) ||
		apierrors.IsForbidden(err) && strings.Contains(err.Error(), "not yet ready to handle request") // a plugin of an API server that starts
}

// Raced reports whether an object changed, came or went under our hands.
func Raced(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsNotFound(err) || apierrors.IsAlreadyExists(err)
}

// notApplicable tells what server-side apply can't read, such as a list that has a key
// twice, from a failure of the API server's own: both have the code 500 and no reason
// (Kubernetes 1.36, staging/src/k8s.io/apimachinery/pkg/util/managedfields/internal/
// structuredmerge.go, Apply).
func notApplicable(err error) bool {
	return err != nil && strings.Contains(err.Error(), "failed to create typed patch object")
}

// deniedByAdmission tells an admission webhook's or policy's refusal from a missing
// permission of the controller's own: both are Forbidden.
func deniedByAdmission(err error) bool {
	return apierrors.IsForbidden(err) && strings.Contains(err.Error(), "denied the request")
}

// resourceMissing reports whether the API server knows no such resource, in contrast to no
// such namespace.
func resourceMissing(err error) bool {
	var status apierrors.APIStatus
	if !apierrors.IsNotFound(err) || !errors.As(err, &status) {
		return false
	}
	details := status.Status().Details
	return details == nil || details.Kind != "namespaces"
}

// MayBeScaled reports whether the Deployment of the channel's name is the channel's, or will
// be: what scales it must not be made for somebody else's.
func MayBeScaled(err error) bool {
	var known *plan.Problem
	var unknown *readError
	return !errors.As(err, &unknown) && (!errors.As(err, &known) || !known.Taken)
}
