package connect

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// kedaSecretFlag is the controller's: the Secret with KEDA's certificate.
const kedaSecretFlag = "--keda-tls-secret" //nolint:gosec // the name of a flag

// authenticationFlag is the controller's: the ClusterTriggerAuthentication that tells KEDA which Secret to read.
const authenticationFlag = "--scaler-authentication-ref"

// issueFlag is the controller's: namespace/prefix of the Secrets whose certificates it makes.
const issueFlag = "--issue-certificates"

// watchFlag is both programs': the namespaces that they work on.
const watchFlag = "--watch-namespaces"

// A Program is one of the operator's, as its pods tell of it.
type Program struct {
	Pods, Ready    int
	Versions       []string // the tags of its images, or their digests; several during an upgrade
	ServiceAccount string
}

// A Certificate is a Secret of the operator with one.
type Certificate struct {
	Secret types.NamespacedName
	Owner  string // who presents it
}

// An Installation is the operator as its pods tell of it.
type Installation struct {
	Namespace          string
	Controller, Scaler Program
	// WatchNamespaces are those that it works on; none: all.
	WatchNamespaces []string
	// Certificates are all that the pods name; none without TLS.
	Certificates []Certificate
	// Authentication is the ClusterTriggerAuthentication that tells KEDA which certificate it has; empty without TLS.
	Authentication string
	// KEDASecret is the one that holds KEDA's certificate; none without TLS.
	KEDASecret types.NamespacedName
	// Managed says that the controller makes and renews them.
	Managed bool
}

// Installations are those in a namespace, or in all where it is empty; none where there is no
// pod of the operator.
func (c *Cluster) Installations(ctx context.Context, namespace string) ([]Installation, error) {
	ctx, cancel := c.Bounded(ctx)
	defer cancel()
	pods := &corev1.PodList{}
	err := c.Client.List(ctx, pods, client.InNamespace(namespace), client.MatchingLabels{v1.LabelApp: v1.OperatorApp})
	if err != nil {
		access := Access{Verb: "list", Resource: "pods", Namespace: namespace}
		return nil, fmt.Errorf("looking for the operator's pods: %w", RequestError(ctx, err, access, "name the operator's namespace with --operator-namespace"))
	}
	byNamespace := map[string][]corev1.Pod{}
	for _, pod := range pods.Items {
		if pod.DeletionTimestamp == nil {
			byNamespace[pod.Namespace] = append(byNamespace[pod.Namespace], pod)
		}
	}
	var found []Installation
	for _, name := range slices.Sorted(maps.Keys(byNamespace)) {
		found = append(found, installationOf(name, byNamespace[name]))
	}
	return found, nil
}

func installationOf(namespace string, pods []corev1.Pod) Installation {
	in := Installation{Namespace: namespace}
	certificates := map[Certificate]bool{}
	add := func(owner, name string) {
		ref := types.NamespacedName{Namespace: namespace, Name: name}
		if other, inside, ok := strings.Cut(name, "/"); ok {
			ref = types.NamespacedName{Namespace: other, Name: inside}
		}
		if ref.Name != "" {
			certificates[Certificate{Secret: ref, Owner: owner}] = true
		}
	}
	for _, pod := range pods {
		component := pod.Labels[componentLabel]
		container := containerOf(pod, component)
		switch component {
		case scalerName:
			in.Scaler.add(pod, container)
			if argument(container, tlsFlag) == "" {
				continue
			}
			add("people", pod.Annotations[peopleSecretAnnotation])
		case controllerName:
			in.Controller.add(pod, container)
			add("KEDA", argument(container, kedaSecretFlag))
			in.Authentication = cmp.Or(argument(container, authenticationFlag), in.Authentication)
			if namespace, name, ok := strings.Cut(argument(container, kedaSecretFlag), "/"); ok {
				in.KEDASecret = types.NamespacedName{Namespace: namespace, Name: name}
			}
			if prefix := argument(container, issueFlag); prefix != "" {
				in.Managed = true
				add("the controller", prefix+"-controller-cert")
			}
			if watched := argument(container, watchFlag); watched != "" {
				in.WatchNamespaces = strings.Split(watched, ",")
			}
		default:
			continue
		}
		for _, volume := range pod.Spec.Volumes {
			if volume.Secret != nil && volume.Name == "tls" {
				add("the "+component, volume.Secret.SecretName)
			}
		}
	}
	in.Certificates = slices.SortedFunc(maps.Keys(certificates), func(a, b Certificate) int { return strings.Compare(a.Owner, b.Owner) })
	return in
}

func (p *Program) add(pod corev1.Pod, container corev1.Container) {
	p.Pods++
	if isReady(pod) {
		p.Ready++
	}
	p.ServiceAccount = pod.Spec.ServiceAccountName
	if version := ImageVersion(container.Image); !slices.Contains(p.Versions, version) {
		p.Versions = append(p.Versions, version)
	}
}

// ImageVersion is the tag of an image, without one its digest; latest if it has neither.
func ImageVersion(image string) string {
	name, digest, _ := strings.Cut(image, "@")
	last := name[strings.LastIndex(name, "/")+1:] // a registry may have a port
	_, tag, _ := strings.Cut(last, ":")
	return cmp.Or(tag, digest, "latest")
}

// ServerVersion is the API server's, for example v1.36.3.
func (c *Cluster) ServerVersion(ctx context.Context) (string, error) {
	ctx, cancel := c.Bounded(ctx)
	defer cancel()
	asking, err := discovery.NewDiscoveryClientForConfig(c.config)
	if err != nil {
		return "", fmt.Errorf("preparing the client of the API server %s: %w: correct the kubeconfig's cluster and user (kubectl config view --minify)", c.config.Host, err)
	}
	data, err := Body(asking.RESTClient().Get().AbsPath("/version").Do(ctx))
	if err != nil {
		return "", fmt.Errorf("asking the API server for its version: %w", RequestError(ctx, err, Access{Verb: "get", Resource: "/version"}, ""))
	}
	var answer struct{ GitVersion string }
	if err := json.Unmarshal(data, &answer); err != nil {
		return "", fmt.Errorf("the API server's version is no JSON (%w): what answers at %s is no API server: %s", err, c.config.Host, ofServer)
	}
	return answer.GitVersion, nil
}
