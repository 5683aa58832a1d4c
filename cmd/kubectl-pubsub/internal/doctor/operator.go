package doctor

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/connect"
)

func (o Options) operator(ctx context.Context, in connect.Installation) []Finding {
	var found []Finding
	for _, program := range []struct {
		name string
		connect.Program
		without string
	}{{"controller", in.Controller, "channels are neither followed nor changed"}, {"scaler", in.Scaler, "KEDA gets no answers, and the replicas stay as they are"}} {
		see := fmt.Sprintf("see kubectl get pods -n %s -l app=pubsub-operator,app.kubernetes.io/component=%s", in.Namespace, program.name)
		words := fmt.Sprintf("%d of %d pods are ready in namespace %s, of version %s", program.Ready, program.Pods, in.Namespace, strings.Join(program.Versions, " and "))
		switch {
		case program.Ready == 0:
			found = append(found, Finding{Problem, program.name, fmt.Sprintf("%d of %d pods are ready in namespace %s: %s", program.Ready, program.Pods, in.Namespace, program.without), see})
		case program.Ready < program.Pods:
			found = append(found, Finding{Warning, program.name, words, see})
		case len(program.Versions) > 1:
			found = append(found, Finding{Warning, program.name, words, "wait for the upgrade to end, or " + see})
		default:
			found = append(found, Finding{OK, program.name, words, ""})
		}
	}
	if one, other := in.Controller.Versions, in.Scaler.Versions; len(one) == 1 && len(other) == 1 && one[0] != other[0] {
		found = append(found, Finding{Warning, "operator", fmt.Sprintf("the controller is of version %s, and the scaler of %s", one[0], other[0]), "upgrade both, with the chart"})
	}
	if in.Controller.Ready > 0 {
		found = append(found, o.leader(ctx, in))
	}
	return found
}

// leaseName is the controller's leaderElectionID (cmd/controller).
const leaseName = "pubsub-operator-controller"

// leaderPatience is how long a leader may not renew its Lease: four times what it may last.
const leaderPatience = time.Minute

func (o Options) leader(ctx context.Context, in connect.Installation) Finding {
	ctx, cancel := o.Cluster.Bounded(ctx)
	defer cancel()
	lease := &coordinationv1.Lease{}
	err := o.Cluster.Client.Get(ctx, client.ObjectKey{Namespace: in.Namespace, Name: leaseName}, lease)
	switch {
	case apierrors.IsNotFound(err):
		return Finding{Warning, "controller", fmt.Sprintf("there is no Lease %s/%s: it is not a leader yet, or runs without --leader-elect", in.Namespace, leaseName), "with more than 1 replica, run it with --leader-elect, as the chart does"}
	case err != nil:
		return Finding{Unknown, "controller", connect.RequestError(ctx, err, connect.Access{Verb: "get", Resource: "leases.coordination.k8s.io", Name: leaseName, Namespace: in.Namespace}, "").Error(), ""}
	case lease.Spec.RenewTime == nil || o.Cluster.Now().Sub(lease.Spec.RenewTime.Time) > leaderPatience:
		return Finding{Problem, "controller", fmt.Sprintf("no controller leads: Lease %s/%s was not renewed for a minute", in.Namespace, leaseName),
			fmt.Sprintf("see kubectl logs -n %s -l app=pubsub-operator,app.kubernetes.io/component=controller", in.Namespace)}
	}
	holder := ""
	if lease.Spec.HolderIdentity != nil {
		holder, _, _ = strings.Cut(*lease.Spec.HolderIdentity, "_")
	}
	return Finding{OK, "controller", holder + " leads", ""}
}

// right is one without which a program does not work.
type right struct{ verb, group, resource string }

// The rights that are asked about: a few for each program, which show whether its roles are
// bound. A test holds them against the chart's roles.
var (
	controllerRights = []right{
		{"watch", "pubsub.jawaracloud.io", "pubsubchannels"}, {"patch", "pubsub.jawaracloud.io", "pubsubchannels/status"},
		{"patch", "apps", "deployments"}, {"patch", "keda.sh", "scaledobjects"}, {"list", "", "pods"},
	}
	scalerRights = []right{{"watch", "keda.sh", "scaledobjects"}, {"watch", "apps", "deployments"}, {"watch", "autoscaling", "horizontalpodautoscalers"}}
)

func (o Options) rights(ctx context.Context, in connect.Installation) []Finding {
	var found []Finding
	for _, program := range []struct {
		name, account string
		rights        []right
	}{{"controller", in.Controller.ServiceAccount, controllerRights}, {"scaler", in.Scaler.ServiceAccount, scalerRights}} {
		if program.account == "" {
			continue // no pod tells
		}
		found = append(found, o.rightsOf(ctx, program.name, in, program.account, program.rights))
	}
	return found
}

func (o Options) rightsOf(ctx context.Context, program string, in connect.Installation, account string, rights []right) Finding {
	namespace, where := in.Namespace, "all namespaces"
	watched := []string{""} // in all
	if len(in.WatchNamespaces) > 0 {
		watched, where = in.WatchNamespaces, strings.Join(in.WatchNamespaces, ", ")
	}
	subject, user := program+"'s rights", fmt.Sprintf("system:serviceaccount:%s:%s", namespace, account)
	var missing []string
	for _, in := range watched {
		for _, r := range rights {
			resource, sub, _ := strings.Cut(r.resource, "/")
			review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
				User: user, Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"},
				ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: in, Verb: r.verb, Group: r.group, Resource: resource, Subresource: sub},
			}}
			if err := o.ask(ctx, review); err != nil {
				return Finding{Unknown, subject, err.Error(), ""}
			}
			if !review.Status.Allowed {
				missing = append(missing, r.String()+inNamespace(in))
			}
		}
	}
	if len(missing) > 0 {
		return Finding{Problem, subject, fmt.Sprintf("ServiceAccount %s/%s may not: %s", namespace, account, strings.Join(missing, ", ")),
			"upgrade the chart with rbac.create, or bind the roles of charts/pubsub-operator/files/rbac"}
	}
	return Finding{OK, subject, "its roles are bound in " + where, ""}
}

// String is the right as kubectl names it.
func (r right) String() string {
	return strings.TrimSuffix(fmt.Sprintf("%s %s.%s", r.verb, r.resource, r.group), ".")
}

func inNamespace(name string) string {
	if name == "" {
		return ""
	}
	return " in " + name
}

func (o Options) ask(ctx context.Context, review *authorizationv1.SubjectAccessReview) error {
	ctx, cancel := o.Cluster.Bounded(ctx)
	defer cancel()
	if err := o.Cluster.Client.Create(ctx, review); err != nil {
		return connect.RequestError(ctx, err, connect.Access{Verb: "create", Resource: "subjectaccessreviews.authorization.k8s.io"}, "")
	}
	return nil
}

// certificatesLeft is how long before their expiry certificates are worth a warning: the
// controller and cert-manager renew them 10 days before it.
const certificatesLeft = 7 * 24 * time.Hour

func (o Options) certificates(ctx context.Context, in connect.Installation) []Finding {
	if len(in.Certificates) == 0 {
		return []Finding{{Warning, "certificates", "TLS is off in namespace " + in.Namespace + ": whoever reaches the scaler can ask it, and it uses no Secrets", "install the chart with tls.mode=managed"}}
	}
	var found []Finding
	for _, certificate := range in.Certificates {
		found = append(found, o.certificate(ctx, in, certificate))
	}
	return found
}

func (o Options) certificate(ctx context.Context, in connect.Installation, c connect.Certificate) Finding {
	subject := "certificate of " + c.Owner
	renew := "renew Secret " + c.Secret.String() + ", or see why cert-manager does not"
	if in.Managed {
		renew = "the controller that leads should have renewed it: its log tells why it can't (kubectl logs -n " + in.Namespace + " -l app.kubernetes.io/component=controller)"
	}
	ctx, cancel := o.Cluster.Bounded(ctx)
	defer cancel()
	secret := &corev1.Secret{}
	switch err := o.Cluster.Client.Get(ctx, c.Secret, secret); {
	case apierrors.IsNotFound(err):
		return Finding{Problem, subject, fmt.Sprintf("there is no Secret %s", c.Secret), "upgrade the chart, or make the Secret"}
	case err != nil:
		access := connect.Access{Verb: "get", Resource: "secrets", Name: c.Secret.Name, Namespace: c.Secret.Namespace}
		return Finding{Unknown, subject, connect.RequestError(ctx, err, access, "").Error(), ""}
	}
	for _, key := range []string{"ca.crt", corev1.TLSCertKey, corev1.TLSPrivateKeyKey} {
		if len(secret.Data[key]) == 0 {
			return Finding{Problem, subject, fmt.Sprintf("Secret %s has no %s", c.Secret, key), renew}
		}
	}
	first, err := earliest(secret.Data[corev1.TLSCertKey], secret.Data["ca.crt"])
	words := fmt.Sprintf("Secret %s is valid until %s", c.Secret, first.UTC().Format(time.DateOnly))
	switch {
	case err != nil:
		return Finding{Problem, subject, fmt.Sprintf("Secret %s: %v", c.Secret, err), renew}
	case first.Before(o.Cluster.Now()):
		return Finding{Problem, subject, fmt.Sprintf("Secret %s has expired on %s", c.Secret, first.UTC().Format(time.DateOnly)), renew}
	case first.Before(o.Cluster.Now().Add(certificatesLeft)):
		return Finding{Warning, subject, words, renew}
	}
	return Finding{OK, subject, words, ""}
}

// earliest is when the first of the certificates expires.
func earliest(all ...[]byte) (time.Time, error) {
	var ends []time.Time
	for _, data := range all {
		for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
			certificate, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return time.Time{}, fmt.Errorf("a certificate in it can't be read: %w", err)
			}
			ends = append(ends, certificate.NotAfter)
		}
	}
	if len(ends) == 0 {
		return time.Time{}, errors.New("tls.crt and ca.crt hold no certificate in PEM form")
	}
	return slices.MinFunc(ends, time.Time.Compare), nil
}
