// Package doctor examines what an installation needs: KEDA, the CRD, the operator's pods, their
// certificates and rights, and whether the scaler answers. Each finding has its remedy.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/connect"
	"github.com/jawaracloud/pubsub-operator/proto/inspect"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
)

// Severity is how bad a finding is.
type Severity string

const (
	OK      Severity = "ok"
	Unknown Severity = "unknown" // it could not be examined: a right is missing, for example
	Warning Severity = "warning" // it works, and may soon not
	Problem Severity = "problem" // something does not work
)

// A Finding is what was examined, and how it is.
type Finding struct {
	Severity Severity `json:"severity"`
	Subject  string   `json:"subject"`
	Message  string   `json:"message"`
	Remedy   string   `json:"remedy,omitempty"`
}

// Asker asks the scaler; *connect.Scaler is one.
type Asker interface {
	Explain(ctx context.Context, request *inspectv1.ExplainRequest) (*inspectv1.ExplainResponse, error)
}

// Options say what to examine.
type Options struct {
	Cluster   *connect.Cluster
	Scaler    Asker
	Namespace string // the operator's; empty: it is looked for in all
}

// Examine examines everything. It changes nothing, and an examination that fails is a finding
// as well.
func Examine(ctx context.Context, o Options) []Finding {
	found := o.kubernetes(ctx)
	if found[0].Severity == Problem && found[0].Remedy == "" { // it can't be asked, so that nothing else can be told
		return found
	}
	found = append(found, clocks(o.Cluster.Skew()))
	found = append(found, o.crd(ctx)...)
	found = append(found, o.keda(ctx)...)
	installations, err := o.Cluster.Installations(ctx, o.Namespace)
	switch {
	case err != nil:
		return append(found, Finding{Unknown, "operator", err.Error(), ""})
	case len(installations) == 0:
		return append(found, Finding{Problem, "operator", "there is no pod of it", "install its Helm chart; if it is installed, see kubectl get deployments -A -l app=pubsub-operator"})
	}
	for _, in := range installations {
		found = append(found, o.operator(ctx, in)...)
		found = append(found, o.rights(ctx, in)...)
		found = append(found, o.certificates(ctx, in)...)
		found = append(found, o.kedaReads(ctx, in)...)
	}
	return append(found, o.scaler(ctx))
}

func (o Options) kubernetes(ctx context.Context) []Finding {
	version, err := o.Cluster.ServerVersion(ctx)
	switch {
	case errors.Is(err, connect.ErrUnreachable), apierrors.IsUnauthorized(err):
		return []Finding{{Problem, "Kubernetes", err.Error(), ""}} // the words have the remedy
	case err != nil:
		return []Finding{{Unknown, "Kubernetes", err.Error(), ""}}
	}
	switch newEnough, err := atLeast(version, leastKubernetes); {
	case err != nil:
		return []Finding{{Unknown, "Kubernetes", err.Error(), ""}}
	case !newEnough:
		return []Finding{{Problem, "Kubernetes", version + " is older than " + leastKubernetes, "upgrade the cluster"}}
	}
	return []Finding{{OK, "Kubernetes", version, ""}}
}

const (
	// leastKubernetes is the chart's kubeVersion.
	leastKubernetes = "1.30"
	// leastKEDA is the first version whose external-push scalers do what the scaler needs.
	leastKEDA = "2.21"
)

// atLeast compares the first two numbers of versions such as v1.36.3 and 2.21.
func atLeast(version, least string) (bool, error) {
	var major, minor, leastMajor, leastMinor int
	if _, err := fmt.Sscanf(strings.TrimPrefix(version, "v"), "%d.%d", &major, &minor); err != nil {
		return false, fmt.Errorf("its version %q has no numbers to compare with %s", version, least)
	}
	if _, err := fmt.Sscanf(least, "%d.%d", &leastMajor, &leastMinor); err != nil {
		return false, fmt.Errorf("version %q: %w", least, err)
	}
	return major > leastMajor || major == leastMajor && minor >= leastMinor, nil
}

// The CRDs' names.
const (
	channelCRD      = "pubsubchannels.pubsub.jawaracloud.io"
	scaledObjectCRD = "scaledobjects.keda.sh"
	versionLabel    = "app.kubernetes.io/version" // of Helm charts
)

// get reads an object by its kind and name.
func (o Options) get(ctx context.Context, kind schema.GroupVersionKind, name string) (*unstructured.Unstructured, error) {
	ctx, cancel := o.Cluster.Bounded(ctx)
	defer cancel()
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(kind)
	err := o.Cluster.Client.Get(ctx, client.ObjectKey{Name: name}, object)
	if err == nil || apierrors.IsNotFound(err) {
		return object, err
	}
	resource := strings.ToLower(kind.Kind) + "s." + kind.Group
	return nil, connect.RequestError(ctx, err, connect.Access{Verb: "get", Resource: resource, Name: name}, "")
}

var crdKind = schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}

func (o Options) crd(ctx context.Context) []Finding {
	const subject = "CRD"
	crd, err := o.get(ctx, crdKind, channelCRD)
	switch {
	case apierrors.IsNotFound(err):
		return []Finding{{Problem, subject, channelCRD + " is missing", "install the chart with crds.enabled, or kubectl apply --server-side -f charts/pubsub-operator/files/crds"}}
	case err != nil:
		return []Finding{{Unknown, subject, err.Error(), ""}}
	case !hasCondition(crd, "Established"):
		return []Finding{{Problem, subject, channelCRD + " is not established", "see kubectl describe crd " + channelCRD}}
	}
	version := crd.GetLabels()[versionLabel]
	if version == "" {
		return []Finding{{OK, subject, channelCRD + " is there; which version it is of, it does not tell", ""}}
	}
	found := []Finding{{OK, subject, channelCRD + " is there, of version " + version, ""}}
	installations, err := o.Cluster.Installations(ctx, o.Namespace)
	if err != nil { // which is told of elsewhere
		return found
	}
	for _, in := range installations {
		for _, other := range in.Controller.Versions {
			if strings.TrimPrefix(other, "v") != strings.TrimPrefix(version, "v") && !strings.Contains(other, ":") {
				found[0] = Finding{Warning, subject, fmt.Sprintf("%s is of version %s, and the controller of %s", channelCRD, version, other),
					"upgrade the chart with crds.enabled, or apply the CRD of the controller's version; until then fields that one of the two does not know are without effect"}
			}
		}
	}
	return found
}

// hasCondition reports whether a condition of the object is True.
func hasCondition(object *unstructured.Unstructured, kind string) bool {
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, c := range conditions {
		if c, ok := c.(map[string]any); ok && c["type"] == kind && c["status"] == "True" {
			return true
		}
	}
	return false
}

// nobody is the name that the scaler is asked about; it is no legal one of an object.
const nobody = "_"

// scaler asks the scaler about nothing that exists: the error that it then has shows that it answers.
func (o Options) scaler(ctx context.Context) Finding {
	_, err := o.Scaler.Explain(ctx, &inspectv1.ExplainRequest{Namespace: "default", Name: nobody})
	var own *connect.ScalerError
	switch {
	case err == nil, errors.As(err, &own) && own.Reason == inspect.TargetNotFound:
		return Finding{OK, "scaler", "it answers", ""}
	case own != nil && own.Reason != connect.ReasonUnreachable:
		return Finding{Problem, "scaler", "it answers with an error: " + err.Error(), "see its log: kubectl logs -A -l app=pubsub-operator,app.kubernetes.io/component=scaler"}
	}
	return Finding{Problem, "scaler", "it can't be asked: " + err.Error(), "KEDA and the controller reach it by its Service, you by its pod; kubectl describe psc of a channel tells whether the controller does (Connected)"}
}
