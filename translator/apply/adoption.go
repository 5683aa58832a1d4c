package apply

import (
	"context"
	"errors"
	"fmt"
	"strings"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/keda"
	"github.com/jawaracloud/pubsub-operator/translator/ownership"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// checkOwner finds out whether an object of a channel's child's name is the channel's, or
// may become it. Taking over somebody else's would change what they run, so they must have
// agreed on the object itself. What the operator made for a channel of this name, and what
// nobody controls or changed since, has nobody to ask: --cascade=orphan leaves it behind.
func (a *Applier) checkOwner(ctx context.Context, kind string, live client.Object, channel *v1.PubSubChannel) error {
	if metav1.IsControlledBy(live, channel) {
		return nil
	}
	if metav1.GetControllerOf(live) != nil {
		return conflictWith(kind, live, channel)
	}
	switch consent := live.GetAnnotations()[v1.AnnotationAdoptedBy]; consent {
	case channel.Name:
	case "":
		left, err := a.leftBehind(ctx, live, channel)
		if err != nil {
			return err
		}
		if !left {
			conflict := conflictWith(kind, live, channel)
			conflict.Message += fmt.Sprintf("; or let the channel adopt it, as it is: kubectl annotate %s %s -n %s %s=%s",
				strings.ToLower(kind), live.GetName(), live.GetNamespace(), v1.AnnotationAdoptedBy, channel.Name)
			return conflict
		}
	default:
		conflict := conflictWith(kind, live, channel)
		conflict.Message = fmt.Sprintf("%s %s may be adopted by a channel %q, as its annotation %s says, not by this one: correct the annotation, or delete or rename the %s",
			kind, live.GetName(), consent, v1.AnnotationAdoptedBy, kind)
		return conflict
	}
	if err := checkAdoptable(live, channel); err != nil {
		return err
	}
	return a.checkNotGoing(ctx, channel)
}

// checkAdoptable finds what consent can't make good.
func checkAdoptable(live client.Object, channel *v1.PubSubChannel) error {
	switch live := live.(type) {
	case *appsv1.Deployment:
		wanted := metav1.LabelSelector{MatchLabels: plan.SelectorLabels(channel)}
		if live.Spec.Selector == nil || !apiequality.Semantic.DeepEqual(*live.Spec.Selector, wanted) {
			return notAdoptable("Deployment %s may be adopted, but its selector is %s, which can't be changed, and a channel's is %s: "+
				"delete it, and the channel makes its own, or give the channel another name",
				live.Name, metav1.FormatLabelSelector(live.Spec.Selector), metav1.FormatLabelSelector(&wanted))
		}
	case *kedav1alpha1.ScaledObject:
		target := live.Spec.ScaleTargetRef
		if target != nil && (target.Kind != "" && target.Kind != "Deployment" || target.APIVersion != "" && target.APIVersion != appsv1.SchemeGroupVersion.String()) {
			return notAdoptable("ScaledObject %s may be adopted, but its scaleTargetRef has the kind %q and the apiVersion %q, and a channel's is a Deployment of apps/v1: "+
				"change that, or delete it, and the channel makes its own", live.Name, target.Kind, target.APIVersion)
		}
	}
	return nil
}

func notAdoptable(format string, values ...any) *plan.Problem {
	return &plan.Problem{Phase: v1.PhaseFailed, Reason: v1.ReasonAdoptionRefused, Taken: true, Message: fmt.Sprintf(format, values...)}
}

// adopting tells of an apply that the API server refuses while the object is not the
// channel's yet: what it holds does not go together with what the channel asks for.
func adopting(kind string, live client.Object, channel *v1.PubSubChannel, err error) error {
	if metav1.IsControlledBy(live, channel) || !apierrors.IsInvalid(err) && !apierrors.IsBadRequest(err) && !notApplicable(err) {
		return err
	}
	return notAdoptable("%s %s may be adopted, but the API server refuses it together with what the channel asks for: %v: "+
		"change what it names, or delete it, and the channel makes its own", kind, live.GetName(), err)
}

// leftBehind reports whether an object is one that the operator made for a channel of this
// name, that nobody owns, and whose spec nobody else had a hand in. For those who may only
// write channels there is nothing to be gained by it: all that is in its spec is replaced.
// With a field of somebody else's, a service account for example, that would stay.
func (a *Applier) leftBehind(ctx context.Context, cached client.Object, channel *v1.PubSubChannel) (bool, error) {
	labels := cached.GetLabels()
	if labels[v1.LabelChannel] != channel.Name || labels[plan.LabelManagedBy] != v1.OperatorApp || len(cached.GetOwnerReferences()) > 0 {
		return false, nil
	}
	gvk, err := a.Client.GroupVersionKindFor(cached)
	if err != nil {
		return false, fmt.Errorf("finding the kind of %T: %w", cached, err)
	}
	live := &metav1.PartialObjectMetadata{} // the cache keeps only a part of managedFields
	live.SetGroupVersionKind(gvk)
	if err := a.Live.Get(ctx, client.ObjectKeyFromObject(cached), live); err != nil {
		return false, &readError{fmt.Errorf("reading %s %s: %w", gvk.Kind, client.ObjectKeyFromObject(cached), err)}
	}
	if live.UID != cached.GetUID() || len(live.OwnerReferences) > 0 || live.Annotations[v1.AnnotationAdoptedBy] != "" {
		resource := schema.GroupResource{Group: gvk.Group, Resource: gvk.Kind}
		return false, &readError{apierrors.NewConflict(resource, live.Name, errors.New("it has changed"))}
	}
	return ownership.OnlyOperatorMade(live)
}

// checkNotGoing asks the API server whether the channel is still to stay. While it goes with
// --cascade=orphan, the garbage collector has its children let go one after the other, and
// our copy of the channel may be older than our copies of them: taking one back would have
// it deleted with the channel (as k8s.io/kubernetes pkg/controller,
// RecheckDeletionTimestamp).
func (a *Applier) checkNotGoing(ctx context.Context, channel *v1.PubSubChannel) error {
	list := &metav1.PartialObjectMetadataList{} // a list, because the controller has no other right to read channels
	list.SetGroupVersionKind(v1.GroupVersion.WithKind("PubSubChannelList"))
	err := a.Live.List(ctx, list, client.InNamespace(channel.Namespace), client.MatchingFields{"metadata.name": channel.Name})
	if err != nil {
		return &readError{fmt.Errorf("reading PubSubChannel %s/%s: %w", channel.Namespace, channel.Name, err)}
	}
	for _, now := range list.Items {
		if now.UID == channel.UID && now.DeletionTimestamp == nil {
			return nil
		}
	}
	resource := v1.GroupVersion.WithResource("pubsubchannels").GroupResource()
	return &readError{apierrors.NewConflict(resource, channel.Name, errors.New("it is being deleted"))}
}

// conflictWith says that an object which the channel needs belongs to somebody else.
func conflictWith(kind string, object metav1.Object, channel *v1.PubSubChannel) *plan.Problem {
	owner := "nobody"
	if controller := metav1.GetControllerOf(object); controller != nil {
		if controller.Kind == "PubSubChannel" && controller.Name == channel.Name {
			return &plan.Problem{
				Phase:   v1.PhasePending,
				Reason:  v1.ReasonProgressing,
				Taken:   true,
				Message: fmt.Sprintf("waiting for %s %s of the deleted channel of the same name to go%s", kind, object.GetName(), keda.KeptBy(kind, object)),
			}
		}
		owner = controller.Kind + " " + controller.Name
	}
	reason := v1.ReasonDeploymentConflict
	if kind == "ScaledObject" {
		reason = v1.ReasonScaledObjectConflict
	}
	return &plan.Problem{
		Phase:  v1.PhaseFailed,
		Reason: reason,
		Taken:  true,
		Message: fmt.Sprintf("%s %s exists and is controlled by %s, not by this channel, so it is left alone: "+
			"delete or rename it, or give the channel another name", kind, object.GetName(), owner),
	}
}
