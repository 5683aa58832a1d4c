package connect

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// What the chart names (charts/pubsub-operator/templates).
const (
	componentLabel = "app.kubernetes.io/component"
	scalerName     = "scaler"
	controllerName = "controller"
	portName       = "grpc"
	tlsFlag        = "--tls-cert-dir"
	addressFlag    = "--scaler-address"
	// peopleSecretAnnotation is on the scaler's pods: the Secret with people's certificate.
	peopleSecretAnnotation = "pubsub.jawaracloud.io/people-secret" //nolint:gosec // the name of an annotation
	// localName is on the certificates that the chart makes, for a forwarded port.
	localName = "localhost"
)

// defaultPort is the scaler's, where the pod names none.
const defaultPort = 9090

// endpoint is the way to one install's scaler, as its pods tell it.
type endpoint struct {
	namespace string
	pods      []string // that are ready
	port      int32
	tls       bool
	// clientSecret holds the CA and people's certificate; empty: no pod tells.
	clientSecret string
	// serverName is the one that the scaler's certificate is for.
	serverName string
}

// findScaler looks for the operator's pods in a namespace, or in all where it is empty.
func (c *Cluster) findScaler(ctx context.Context, namespace string) (endpoint, error) {
	ctx, cancel := c.Bounded(ctx)
	defer cancel()
	pods := &corev1.PodList{}
	err := c.Client.List(ctx, pods, client.InNamespace(namespace), client.MatchingLabels{v1.LabelApp: v1.OperatorApp})
	if err != nil {
		otherwise := "name the operator's namespace with --operator-namespace"
		if namespace != "" {
			otherwise = "reach the scaler another way with --address"
		}
		return endpoint{}, fmt.Errorf("looking for the scaler's pods: %w", RequestError(ctx, err, Access{Verb: "list", Resource: "pods", Namespace: namespace}, otherwise))
	}
	return chooseScaler(pods.Items, namespace)
}

// chooseScaler reads the way to the scaler from the operator's pods in a namespace, or in
// all where it is empty.
func chooseScaler(pods []corev1.Pod, namespace string) (endpoint, error) {
	scalers := map[string][]corev1.Pod{}
	for _, pod := range pods {
		if pod.Labels[componentLabel] == scalerName {
			scalers[pod.Namespace] = append(scalers[pod.Namespace], pod)
		}
	}
	switch {
	case len(scalers) == 0 && namespace == "":
		return endpoint{}, fmt.Errorf("no namespace has a pod of the scaler (labels %s=%s, %s=%s): install the operator with its Helm chart, or reach a scaler elsewhere with --address",
			v1.LabelApp, v1.OperatorApp, componentLabel, scalerName)
	case len(scalers) == 0:
		return endpoint{}, fmt.Errorf("namespace %q has no pod of the scaler (labels %s=%s, %s=%s): correct --operator-namespace, or leave it out to look in all namespaces",
			namespace, v1.LabelApp, v1.OperatorApp, componentLabel, scalerName)
	case len(scalers) > 1:
		return endpoint{}, fmt.Errorf("several namespaces have a scaler (%s): choose one with --operator-namespace", strings.Join(slices.Sorted(maps.Keys(scalers)), ", "))
	}
	for namespace = range scalers { // there is one
	}
	return endpointOf(namespace, scalers[namespace], pods)
}

func endpointOf(namespace string, scalers, all []corev1.Pod) (endpoint, error) {
	e := endpoint{namespace: namespace, serverName: localName}
	for _, pod := range scalers {
		if !isReady(pod) {
			continue
		}
		container := containerOf(pod, scalerName)
		e.pods = append(e.pods, pod.Name)
		e.port = portOf(container)
		e.tls = argument(container, tlsFlag) != ""
		e.clientSecret = cmp.Or(pod.Annotations[peopleSecretAnnotation], e.clientSecret)
	}
	if len(e.pods) == 0 {
		return endpoint{}, fmt.Errorf("no pod of the scaler in namespace %q is ready (pods that exist: %d): see kubectl get pods -n %s -l %s=%s,%s=%s",
			namespace, len(scalers), namespace, v1.LabelApp, v1.OperatorApp, componentLabel, scalerName)
	}
	slices.Sort(e.pods)
	// The controller talks to the same scaler, so its pods name the host.
	for _, pod := range all {
		if pod.Namespace != namespace || pod.Labels[componentLabel] != controllerName || pod.DeletionTimestamp != nil {
			continue
		}
		host, _, _ := strings.Cut(argument(containerOf(pod, controllerName), addressFlag), ":")
		e.serverName = cmp.Or(host, e.serverName)
	}
	return e, nil
}

func isReady(pod corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// containerOf finds a container by its name; the zero Container where there is none.
func containerOf(pod corev1.Pod, name string) corev1.Container {
	for _, container := range pod.Spec.Containers {
		if container.Name == name {
			return container
		}
	}
	return corev1.Container{}
}

func portOf(container corev1.Container) int32 {
	for _, port := range container.Ports {
		if port.Name == portName {
			return port.ContainerPort
		}
	}
	return defaultPort
}

// argument is a flag's value; of a flag that is given twice, the last one counts.
func argument(container corev1.Container, flag string) string {
	value := ""
	for i, arg := range container.Args {
		if name, inline, ok := strings.Cut(arg, "="); ok && name == flag {
			value = inline
		} else if arg == flag && i+1 < len(container.Args) {
			value = container.Args[i+1]
		}
	}
	return value
}
