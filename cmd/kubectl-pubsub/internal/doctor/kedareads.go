package doctor

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/connect"
)

var authenticationKind = schema.GroupVersionKind{Group: "keda.sh", Version: "v1alpha1", Kind: "ClusterTriggerAuthentication"}

// kedaReads examines the Secrets that KEDA is told to read, if these are others than the one with its certificate:
// after an upgrade from a chart that made the certificates itself, it reads the former one until the next upgrade.
func (o Options) kedaReads(ctx context.Context, in connect.Installation) []Finding {
	const subject = "certificate that KEDA reads"
	if in.Authentication == "" || in.KEDASecret.Name == "" {
		return nil
	}
	authentication, err := o.get(ctx, authenticationKind, in.Authentication)
	switch {
	case connect.NoSuchKind(err): // there is no such kind without KEDA, which is told of elsewhere
		return nil
	case apierrors.IsNotFound(err):
		return []Finding{{Problem, subject, fmt.Sprintf("there is no ClusterTriggerAuthentication %s, by which KEDA gets its certificate: its calls to the scaler fail", in.Authentication), upgradeAgain(in)}}
	case err != nil:
		return []Finding{{Unknown, subject, err.Error(), ""}}
	}
	var found []Finding
	for _, name := range secretsOf(authentication) {
		if name == in.KEDASecret.Name {
			continue // examined as KEDA's certificate
		}
		finding := o.former(ctx, in, types.NamespacedName{Namespace: in.KEDASecret.Namespace, Name: name})
		finding.Subject = subject
		found = append(found, finding)
	}
	return found
}

// former examines a Secret that KEDA reads in place of the one with its certificate.
func (o Options) former(ctx context.Context, in connect.Installation, name types.NamespacedName) Finding {
	finding := o.certificate(ctx, in, connect.Certificate{Secret: name, Owner: "KEDA"})
	switch finding.Severity {
	case Unknown:
		return finding
	case Problem:
		finding.Message += fmt.Sprintf(", and ClusterTriggerAuthentication %s tells KEDA to read that one: its calls to the scaler fail", in.Authentication)
		finding.Remedy = upgradeAgain(in)
		return finding
	case OK, Warning:
	}
	ctx, cancel := o.Cluster.Bounded(ctx)
	defer cancel()
	own, read := &corev1.Secret{}, &corev1.Secret{}
	for key, secret := range map[types.NamespacedName]*corev1.Secret{in.KEDASecret: own, name: read} {
		if err := o.Cluster.Client.Get(ctx, key, secret); err != nil { // told of as a certificate's
			return finding
		}
	}
	if !maps.EqualFunc(own.Data, read.Data, bytes.Equal) {
		return Finding{Warning, finding.Subject, fmt.Sprintf("Secret %s differs from Secret %s, and ClusterTriggerAuthentication %s tells KEDA to read the first", name, in.KEDASecret, in.Authentication),
			"the controller makes them the same within two minutes; if not, " + upgradeAgain(in)}
	}
	return finding
}

func upgradeAgain(in connect.Installation) string {
	return fmt.Sprintf("run helm upgrade once more, with the same chart and values: KEDA is then told to read Secret %s", in.KEDASecret)
}

// secretsOf are the names of the Secrets that a ClusterTriggerAuthentication refers to, each once.
func secretsOf(authentication *unstructured.Unstructured) []string {
	references, _, _ := unstructured.NestedSlice(authentication.Object, "spec", "secretTargetRef")
	var names []string
	for _, reference := range references {
		if fields, ok := reference.(map[string]any); ok {
			if name, ok := fields["name"].(string); ok {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
