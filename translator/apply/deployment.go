package apply

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jawaracloud/pubsub-operator/translator/build"
	"github.com/jawaracloud/pubsub-operator/translator/ownership"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// Deployment makes the channel's Deployment what it should be, but for spec.replicas,
// and returns it as it was last read, but for its generation; nil where it was not there
// before.
func (a *Applier) Deployment(ctx context.Context, p *plan.Plan) (*appsv1.Deployment, error) {
	live := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: p.Channel.Namespace, Name: plan.DeploymentName(p.Channel)}}
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
	if err := a.Client.Apply(ctx, desired.WithUID(live.UID), client.FieldOwner(ownership.Main), client.ForceOwnership); err != nil {
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
func (a *Applier) permittedDeployment(p *plan.Plan) (*appsv1ac.DeploymentApplyConfiguration, error) {
	desired, err := build.Deployment(p)
	if err != nil {
		return nil, err
	}
	return desired, a.Limits.CheckPod(p.Channel, desired.Spec.Template)
}

func (a *Applier) createDeployment(ctx context.Context, p *plan.Plan, version *string) error {
	desired, err := a.permittedDeployment(p)
	if err != nil {
		return err
	}
	desired.ResourceVersion = version
	replicas := p.FirstReplicas()
	if replicas != plan.DefaultReplicas {
		desired.Spec.WithReplicas(replicas)
	}
	if err := a.Client.Apply(ctx, desired, client.FieldOwner(ownership.Main)); err != nil {
		return fmt.Errorf("creating Deployment %s: %w", *desired.Name, err)
	}
	if replicas == plan.DefaultReplicas {
		return nil // nobody's, so there is nothing to hand over
	}
	created := &appsv1.Deployment{}
	created.Name, created.Namespace, created.UID = *desired.Name, *desired.Namespace, ptr.Deref(desired.UID, "")
	return a.applyReplicas(ctx, build.Replicas(created, replicas))
}
