package apply

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jawaracloud/pubsub-operator/translator/build"
	"github.com/jawaracloud/pubsub-operator/translator/ownership"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

// spec.replicas changes hands, and must never dip while it does.
//
// Server-side apply removes a field that its last owner leaves out, and the API server
// then fills in the default: 1 replica. So:
//   - A Deployment that is to begin with the default is made without the field, which is
//     then nobody's. Else the main owner applies replicas when it creates the Deployment,
//     and the replicas owner applies the same value at once; from then on the main owner
//     leaves it out.
//   - Before the main owner leaves it out, another owner must be on record in
//     managedFields. Where none is, because the controller ended between the two, the
//     replicas owner takes the field over with the live value, under the live
//     resourceVersion: a scaling in between makes that a conflict, never a change.
//   - With autoscaling on, nothing here writes replicas; the HPA becomes the owner with
//     its first scaling.
//   - With autoscaling off, the replicas owner forces spec.replicas.

// secureReplicas sees to it that the main owner is not the only one of spec.replicas.
func (a *Applier) secureReplicas(ctx context.Context, live *appsv1.Deployment) error {
	alone, err := ownership.OnlyMainOwnsReplicas(live)
	if !alone || err != nil {
		return err
	}
	takeover := build.Replicas(live, ptr.Deref(live.Spec.Replicas, 1)).WithResourceVersion(live.ResourceVersion)
	return a.applyReplicas(ctx, takeover)
}

// Replicas puts spec.replicas right while autoscaling is off.
func (a *Applier) Replicas(ctx context.Context, p *plan.Plan, live *appsv1.Deployment) error {
	wanted := p.Replicas
	if live.DeletionTimestamp != nil || ptr.Deref(live.Spec.Replicas, 1) == wanted {
		return nil
	}
	return a.applyReplicas(ctx, build.Replicas(live, wanted))
}

func (a *Applier) applyReplicas(ctx context.Context, replicas *appsv1ac.DeploymentApplyConfiguration) error {
	if err := a.Client.Apply(ctx, replicas, client.FieldOwner(ownership.Replicas), client.ForceOwnership); err != nil {
		return fmt.Errorf("applying replicas of Deployment %s: %w", *replicas.Name, err)
	}
	return nil
}
