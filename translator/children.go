package translator

import (
	"context"
	"fmt"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// noVersion is a resource version that no object ever has, as etcd's revisions begin with 1
// while it is empty. An apply with it creates, and is a conflict where an object of that
// name is there already: kube-apiserver compares versions only when there is one to compare
// with (k8s.io/apiserver, pkg/registry/generic/registry/store.go, Update).
const noVersion = "1"

// findOrCreate gets a channel's child from a cache that holds only what carries the
// operator's labels, and where that has none from the API server: an object without the
// labels is there all the same. Where there is none at all, it is created, and false
// returned. create applies without force, at the version that it gets, if any: so whoever
// made an object of that name keeps it.
func (a *Applier) findOrCreate(ctx context.Context, channel *v1.PubSubChannel, cached client.Reader, child client.Object, create func(version *string) error) (found bool, err error) {
	key := client.ObjectKeyFromObject(child)
	found, err = get(ctx, cached, key, child)
	if found || err != nil {
		return found, err
	}
	if channel.Status.ObservedGeneration < 1 { // it is new, and as a rule nothing of that name is there
		if err := create(ptr.To(noVersion)); !apierrors.IsConflict(err) {
			return false, err
		}
	}
	found, err = get(ctx, a.Live, key, child)
	if found || err != nil {
		return found, err
	}
	return false, create(nil)
}

// get returns false where there is no such object.
func get(ctx context.Context, reader client.Reader, key types.NamespacedName, object client.Object) (bool, error) {
	err := reader.Get(ctx, key, object)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, &readError{fmt.Errorf("reading %T %s: %w", object, key, err)}
	}
	return true, nil
}

// readError says that nothing is known of an object, not even whose it is.
type readError struct{ error }

func (e *readError) Unwrap() error { return e.error }

// syncDeployment makes the channel's Deployment what it should be, but for spec.replicas,
// and returns it as it was last read, but for its generation; nil where it was not there
// before.
func (a *Applier) syncDeployment(ctx context.Context, p *Plan) (*appsv1.Deployment, error) {
	live := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: p.Channel.Namespace, Name: deploymentName(p.Channel)}}
	found, err := a.findOrCreate(ctx, p.Channel, a.Client, live, func(version *string) error {
		return a.createDeployment(ctx, p, version)
	})
	if !found || err != nil {
		return nil, err
	}
	if err := a.checkOwner(ctx, "Deployment", live, p.Channel); err != nil {
		return nil, err
	}
	if live.DeletionTimestamp != nil {
		return live, nil // once it is gone, it is made anew
	}
	desired, err := a.permittedDeployment(p)
	if err != nil {
		return live, err
	}
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(desired)
	if err != nil {
		return nil, fmt.Errorf("converting Deployment %s: %w", live.Name, err)
	}
	if needed, err := a.futile.needed(a.Owned, fields, live, a.Now()); !needed || err != nil {
		return live, err
	}
	if err := a.secureReplicas(ctx, live); err != nil {
		return live, err
	}
	// With the UID, a Deployment that has gone in the meantime is not made anew here,
	// where replicas are left out.
	if err := a.Client.Apply(ctx, desired.WithUID(live.UID), client.FieldOwner(ownerMain), client.ForceOwnership); err != nil {
		err = fmt.Errorf("applying Deployment %s: %w", live.Name, err)
		if !metav1.IsControlledBy(live, p.Channel) {
			return nil, adopting("Deployment", live, p.Channel, err)
		}
		return live, err
	}
	err = a.noteApply(ctx, p.Channel, fields, live, ptr.Deref(desired.ResourceVersion, ""))
	// Its status is of before: nobody may take it for that of what was just applied.
	live.Generation = ptr.Deref(desired.Generation, live.Generation)
	return live, err
}

// permittedDeployment is the channel's Deployment, unless its pods are not permitted.
func (a *Applier) permittedDeployment(p *Plan) (*appsv1ac.DeploymentApplyConfiguration, error) {
	desired, err := buildDeployment(p)
	if err != nil {
		return nil, err
	}
	return desired, a.Limits.checkPod(p.Channel, desired.Spec.Template)
}

func (a *Applier) createDeployment(ctx context.Context, p *Plan, version *string) error {
	desired, err := a.permittedDeployment(p)
	if err != nil {
		return err
	}
	desired.ResourceVersion = version
	replicas := p.FirstReplicas()
	if replicas != defaultReplicas {
		desired.Spec.WithReplicas(replicas)
	}
	if err := a.Client.Apply(ctx, desired, client.FieldOwner(ownerMain)); err != nil {
		return fmt.Errorf("creating Deployment %s: %w", *desired.Name, err)
	}
	if replicas == defaultReplicas {
		return nil // nobody's, so there is nothing to hand over
	}
	created := &appsv1.Deployment{}
	created.Name, created.Namespace, created.UID = *desired.Name, *desired.Namespace, ptr.Deref(desired.UID, "")
	return a.applyReplicas(ctx, buildReplicas(created, replicas))
}

// secureReplicas sees to it that the main owner is not the only one of spec.replicas.
func (a *Applier) secureReplicas(ctx context.Context, live *appsv1.Deployment) error {
	alone, err := onlyMainOwnsReplicas(live)
	if !alone || err != nil {
		return err
	}
	takeover := buildReplicas(live, ptr.Deref(live.Spec.Replicas, 1)).WithResourceVersion(live.ResourceVersion)
	return a.applyReplicas(ctx, takeover)
}

// syncReplicas puts spec.replicas right while autoscaling is off.
func (a *Applier) syncReplicas(ctx context.Context, p *Plan, live *appsv1.Deployment) error {
	wanted := p.Replicas
	if live.DeletionTimestamp != nil || ptr.Deref(live.Spec.Replicas, 1) == wanted {
		return nil
	}
	return a.applyReplicas(ctx, buildReplicas(live, wanted))
}

func (a *Applier) applyReplicas(ctx context.Context, replicas *appsv1ac.DeploymentApplyConfiguration) error {
	if err := a.Client.Apply(ctx, replicas, client.FieldOwner(ownerReplicas), client.ForceOwnership); err != nil {
		return fmt.Errorf("applying replicas of Deployment %s: %w", *replicas.Name, err)
	}
	return nil
}

// syncScaledObject makes the channel's ScaledObject what it should be, and returns it as
// it was last read; nil where it was not there before.
func (a *Applier) syncScaledObject(ctx context.Context, p *Plan) (*kedav1alpha1.ScaledObject, error) {
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
		return nil, errKEDANotInstalled
	case !found || err != nil:
		return nil, err
	}
	if err := a.checkOwner(ctx, "ScaledObject", live, p.Channel); err != nil {
		return nil, err
	}
	if live.DeletionTimestamp != nil {
		return live, nil
	}
	desired, err := a.permittedScaledObject(p, a.Certificates(ctx, false, certificatesOf(live)))
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
func (a *Applier) permittedScaledObject(p *Plan, certificates string) (*unstructured.Unstructured, error) {
	if err := a.Limits.checkTriggers(p); err != nil {
		return nil, err
	}
	scaler := a.Scaler
	scaler.Certificates = certificates
	scaledObject := buildScaledObject(p, scaler)
	if err := checkScaling(p, scaledObject); err != nil {
		return nil, err
	}
	return applyForm(scaledObject)
}

func (a *Applier) applyScaledObject(ctx context.Context, desired *unstructured.Unstructured, options ...client.ApplyOption) error {
	options = append(options, client.FieldOwner(ownerMain))
	err := a.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(desired), options...)
	switch {
	case meta.IsNoMatchError(err), resourceMissing(err):
		return errKEDANotInstalled // the CRD has been taken away
	case deniedByAdmission(err) && alreadyScaled(err) != nil:
		return alreadyScaled(err)
	case err != nil:
		return fmt.Errorf("applying ScaledObject %s: %w", desired.GetName(), err)
	}
	return nil
}

// removeScaledObject deletes the channel's ScaledObject, and returns it for as long as it is
// not gone: KEDA has a finalizer on it. One of somebody else's stays.
func (a *Applier) removeScaledObject(ctx context.Context, channel *v1.PubSubChannel) (*kedav1alpha1.ScaledObject, error) {
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
