package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// kubectl is the client of either provider's cluster.
type kubectl struct {
	path, kubeconfig, cacheDir string
}

// Just what is read of Kubernetes' objects, so that this module needs none of its own.
type (
	condition struct {
		Type    string `json:"type"`
		Status  string `json:"status"`
		Message string `json:"message"`
	}
	object struct {
		Status struct {
			Conditions []condition `json:"conditions"`
		} `json:"status"`
	}
)

func (k kubectl) run(ctx context.Context, stdin string, args ...string) (string, error) {
	env := append(environment(k.cacheDir), "KUBECONFIG="+k.kubeconfig, "KUBECACHEDIR="+k.cacheDir)
	return runIn(ctx, env, stdin, k.path, args...)
}

// ready is nil when the apiserver is.
func (k kubectl) ready(ctx context.Context) error { return k.answers(ctx, "/readyz") }

// answers is nil when a GET of the apiserver's path succeeds.
func (k kubectl) answers(ctx context.Context, path string) error {
	_, err := k.get(ctx, path)
	return err
}

func (k kubectl) get(ctx context.Context, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return k.run(ctx, "", "get", "--raw", path)
}

// apply applies a manifest server-side, as one owner: KEDA's operator writes its CA into
// objects of KEDA's manifest, which a second apply may not stumble over.
func (k kubectl) apply(ctx context.Context, manifest string) error {
	_, err := k.run(ctx, manifest, "apply", "--server-side", "--force-conflicts", "--field-manager="+NodeName, "--filename=-")
	return err
}

// condition is nil when the object at the API path has the condition.
func (k kubectl) condition(ctx context.Context, path, name string) error {
	out, err := k.get(ctx, path)
	if err != nil {
		return err
	}
	return hasCondition([]byte(out), path, name)
}

func hasCondition(data []byte, path, name string) error {
	var o object
	if err := json.Unmarshal(data, &o); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, c := range o.Status.Conditions {
		if c.Type == name && c.Status == "True" {
			return nil
		} else if c.Type == name {
			return fmt.Errorf("%s is not %s: %s", path, name, c.Message)
		}
	}
	return fmt.Errorf("%s is not %s yet", path, name)
}

// nodeReady is nil when the node is Ready, and its kubelet itself answers: the condition alone may still be of a
// kubelet that has ended since.
func (k kubectl) nodeReady(ctx context.Context, name string) error {
	if err := k.answers(ctx, "/api/v1/nodes/"+name+"/proxy/healthz"); err != nil {
		return fmt.Errorf("the kubelet of node %s: %w", name, err)
	}
	return k.condition(ctx, "/api/v1/nodes/"+name, "Ready")
}

func (k kubectl) deploymentAvailable(ctx context.Context, namespace, name string) error {
	return k.condition(ctx, "/apis/apps/v1/namespaces/"+namespace+"/deployments/"+name, "Available")
}

// externalMetrics is the API that KEDA's metrics adapter serves.
const externalMetrics = "v1beta1.external.metrics.k8s.io"

func (k kubectl) externalMetricsAvailable(ctx context.Context) error {
	return k.condition(ctx, "/apis/apiregistration.k8s.io/v1/apiservices/"+externalMetrics, "Available")
}

// workloads are the components that run in the cluster.
func (k kubectl) workloads(ctx context.Context, keda bool) []Component {
	component := func(name string, err error) Component {
		if err != nil {
			return Component{Name: name, Detail: err.Error()}
		}
		return Component{Name: name, Healthy: true, Detail: "Available"}
	}
	components := []Component{component("coredns", k.deploymentAvailable(ctx, "kube-system", "coredns"))}
	if !keda {
		return components
	}
	for _, d := range kedaDeployments {
		components = append(components, component(d.name, d.ready(ctx, k)))
	}
	return append(components, component(externalMetrics, k.externalMetricsAvailable(ctx)))
}
