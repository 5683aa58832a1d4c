package apply

import (
	"context"
	"fmt"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
	"github.com/jawaracloud/pubsub-operator/translator/build"
	"github.com/jawaracloud/pubsub-operator/translator/ownership"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// ScaledObject makes the channel's ScaledObject what it should be, and returns it as
// it was last read; nil where it was not there before.
func (a *Applier) ScaledObject(ctx context.Context, p *plan.Plan) (*kedav1alpha1.ScaledObject, error) {
	live := &kedav1alpha1.ScaledObject{ObjectMeta: metav1.ObjectMeta{Namespace: p.Channel.Namespace, Name: p.Channel.Name}}
	found, err := a.findOrCreate(ctx, p.Channel, a.ScaledObjects, live, func(version *string) error {
		desired, err := a.permittedScaledObject(p, a.Certificates(ctx, true, ""))
		if err != nil {
			return err
		}
		if err := a.checkHPA(ctx, p, nil); err != nil {
			return err
		}
		desired.SetResourceVersion(ptr.Deref(version, ""))
		return a.applyScaledObject(ctx, desired)
	})
	switch {
	case meta.IsNoMatchError(err):
		return nil, ErrKEDANotInstalled
	case !found || err != nil:
		return nil, err
	}
	if err := a.checkOwner(ctx, "ScaledObject", live, p.Channel); err != nil {
		return nil, err
	}
	if live.DeletionTimestamp != nil {
		return live, nil
	}
	desired, err := a.permittedScaledObject(p, a.Certificates(ctx, false, build.CertificatesOf(live)))
	if err != nil {
		return live, err
	}
	fields := desired.Object
	if needed, err := a.futile.needed(a.Owned, fields, live, a.Now()); !needed || err != nil {
		return live, err
	}
	if err := a.checkHPA(ctx, p, live); err != nil {
		return live, err
	}
	desired.SetUID(live.UID)
	if err := a.applyScaledObject(ctx, desired, client.ForceOwnership); err != nil {
		return live, adopting("ScaledObject", live, p.Channel, err)
	}
	return live, a.noteApply(ctx, p.Channel, fields, live, desired.GetResourceVersion())
}

// permittedScaledObject is the channel's ScaledObject as it is sent, unless KEDA would refuse
// it or its triggers are not permitted.
func (a *Applier) permittedScaledObject(p *plan.Plan, certificates string) (*unstructured.Unstructured, error) {
	if err := a.Limits.CheckTriggers(p); err != nil {
		return nil, err
	}
	scaler := a.Scaler
	scaler.Certificates = certificates
	scaledObject := build.ScaledObject(p, scaler)
	if err := build.CheckScaledObject(p, scaledObject); err != nil {
		return nil, err
	}
	return build.ApplyForm(scaledObject)
}

func (a *Applier) applyScaledObject(ctx context.Context, desired *unstructured.Unstructured, options ...client.ApplyOption) error {
	options = append(options, client.FieldOwner(ownership.Main))
	err := a.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(desired), options...)
	switch {
	case meta.IsNoMatchError(err), resourceMissing(err):
		return ErrKEDANotInstalled // the CRD has been taken away
	case deniedByAdmission(err) && alreadyScaled(err) != nil:
		return alreadyScaled(err)
	case err != nil:
		return fmt.Errorf("applying ScaledObject %s: %w", desired.GetName(), err)
	}
	return nil
}

// RemoveScaledObject deletes the channel's ScaledObject, and returns it for as long as it is
// not gone: KEDA has a finalizer on it. One of somebody else's stays.
func (a *Applier) RemoveScaledObject(ctx context.Context, channel *v1.PubSubChannel) (*kedav1alpha1.ScaledObject, error) {
	live := &kedav1alpha1.ScaledObject{}
	err := a.ScaledObjects.Get(ctx, client.ObjectKeyFromObject(channel), live)
	switch {
	case apierrors.IsNotFound(err), meta.IsNoMatchError(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading ScaledObject %s: %w", channel.Name, err)
	case !metav1.IsControlledBy(live, channel):
		return nil, nil
	case live.DeletionTimestamp != nil:
		return live, nil
	}
	err = a.Client.Delete(ctx, live, client.Preconditions{UID: &live.UID})
	if client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("deleting ScaledObject %s: %w", channel.Name, err)
	}
	return live, nil // its deletion brings us back
}
