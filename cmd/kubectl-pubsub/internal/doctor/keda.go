package doctor

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/connect"
)

// How KEDA's own chart and manifests label it, and name its operator's container.
const (
	kedaLabel    = "app.kubernetes.io/part-of"
	kedaOperator = "keda-operator"
)

// externalMetrics is the API that KEDA's metrics adapter serves for the HPA.
const externalMetrics = "v1beta1.external.metrics.k8s.io"

var apiServiceKind = schema.GroupVersionKind{Group: "apiregistration.k8s.io", Version: "v1", Kind: "APIService"}

func (o Options) keda(ctx context.Context) []Finding {
	const subject = "KEDA"
	switch _, err := o.get(ctx, crdKind, scaledObjectCRD); {
	case apierrors.IsNotFound(err):
		return []Finding{{Problem, subject, "it is not installed: there is no CRD " + scaledObjectCRD, "install KEDA " + leastKEDA + " or later; channels without autoScaling work without it"}}
	case err != nil:
		return []Finding{{Unknown, subject, err.Error(), ""}}
	}
	found := o.kedaPods(ctx)
	metrics, err := o.get(ctx, apiServiceKind, externalMetrics)
	switch {
	case apierrors.IsNotFound(err):
		return append(found, Finding{Problem, subject, "there is no APIService " + externalMetrics + ", by which the HPA asks it", "install KEDA completely"})
	case err != nil:
		return append(found, Finding{Unknown, subject, err.Error(), ""})
	case !hasCondition(metrics, "Available"):
		return append(found, Finding{Problem, subject, "the APIService " + externalMetrics + " is not available, so the HPA gets no metrics",
			"see kubectl describe apiservice " + externalMetrics + ", and the log of KEDA's metrics adapter"})
	}
	return append(found, Finding{OK, subject, "the HPA reaches its metrics", ""})
}

// KEDA is its operator, as its Deployment tells of it.
type KEDA struct {
	Namespace, Name, Version string
	Wanted, Ready            int32
}

// FindKEDA looks for it in all namespaces; nil: none has its labels.
func FindKEDA(ctx context.Context, cluster *connect.Cluster) (*KEDA, error) {
	ctx, cancel := cluster.Bounded(ctx)
	defer cancel()
	deployments := &appsv1.DeploymentList{}
	if err := cluster.Client.List(ctx, deployments, client.MatchingLabels{kedaLabel: kedaOperator}); err != nil {
		return nil, fmt.Errorf("looking for KEDA: %w", connect.RequestError(ctx, err, connect.Access{Verb: "list", Resource: "deployments.apps"}, ""))
	}
	for _, d := range deployments.Items {
		for _, container := range d.Spec.Template.Spec.Containers {
			if container.Name != kedaOperator {
				continue
			}
			wanted := int32(1)
			if d.Spec.Replicas != nil {
				wanted = *d.Spec.Replicas
			}
			return &KEDA{Namespace: d.Namespace, Name: d.Name, Version: connect.ImageVersion(container.Image), Wanted: wanted, Ready: d.Status.ReadyReplicas}, nil
		}
	}
	return nil, nil
}

func (o Options) kedaPods(ctx context.Context) []Finding {
	const subject = "KEDA"
	keda, err := FindKEDA(ctx, o.Cluster)
	switch {
	case err != nil:
		return []Finding{{Unknown, subject, err.Error(), ""}}
	case keda == nil:
		return []Finding{{Unknown, subject, fmt.Sprintf("its CRDs are there, and no Deployment has the label %s=%s", kedaLabel, kedaOperator), "if it is installed in another way, see that its operator runs"}}
	case keda.Wanted == 0 || keda.Ready == 0:
		return []Finding{{Problem, subject, fmt.Sprintf("Deployment %s/%s has %d of %d pods ready, so nothing is scaled", keda.Namespace, keda.Name, keda.Ready, keda.Wanted),
			fmt.Sprintf("see kubectl get pods -n %s, and scale it up if it was scaled to 0", keda.Namespace)}}
	}
	where := fmt.Sprintf("%s in namespace %s", keda.Version, keda.Namespace)
	switch newEnough, err := atLeast(keda.Version, leastKEDA); {
	case err != nil:
		return []Finding{{Unknown, subject, err.Error(), "see that it is " + leastKEDA + " or later"}}
	case !newEnough:
		return []Finding{{Problem, subject, where + " is older than " + leastKEDA, "upgrade KEDA"}}
	}
	return []Finding{{OK, subject, where + " runs", ""}}
}
