package demo

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// finish shows what happened and how to go on.
func (d *demo) finish(ctx context.Context, s *story) {
	fmt.Fprintf(d.Out, "\n%s\n", s.summary())
	d.show(ctx, "get", "pubsubchannels,deployments,horizontalpodautoscalers", "--namespace", d.Namespace)
	fmt.Fprintf(d.Out, "\n%s\n%s", d.lookAround(), d.takeDown())
}

// summary tells the story in numbers.
func (s *story) summary() string {
	last := s.last()
	var text strings.Builder
	fmt.Fprintf(&text, "It worked: the replicas followed the queue, from %d up to %d and back to %d, and all %d messages were consumed.\n\n", minReplicas, s.peakWanted, last.wanted, messages)
	for _, line := range []struct{ name, value string }{
		{"peak queue depth", fmt.Sprintf("%d messages", s.peakDepth)},
		{"peak replicas", fmt.Sprintf("%d wanted, %d ready", s.peakWanted, s.peakReady)},
		{"first scale-up", seconds(s.firstUp) + " after the burst began"},
		{"queue empty", seconds(s.drainedAt-s.burstAt) + " after the burst began"},
		{"scalings", fmt.Sprintf("%d, and %d Scaled events", s.changes, len(last.scalings)-s.eventsBefore)},
		{"from burst to rest", seconds(last.at - s.burstAt)},
		{"in all", seconds(last.at)},
	} {
		fmt.Fprintf(&text, "  %-20s%s\n", line.name, line.value)
	}
	return text.String()
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.0f s", d.Seconds()) }

// lookAround is what to type for a look of one's own.
func (d *demo) lookAround() string {
	return fmt.Sprintf(`Look around:

  export KUBECONFIG=%[1]s
  export PATH=%[2]s:$PATH

  kubectl get psc -n %[3]s -w
  kubectl describe psc %[4]s -n %[3]s
  kubectl events -n %[3]s --for pubsubchannel/%[4]s
  kubectl logs -n %[5]s -l app=pubsub-operator --prefix

What would the scaler do now, and why? What would it do with 500 messages and 3 replicas?

  certificates=$(mktemp -d)
  for file in ca.crt tls.crt tls.key; do
    kubectl get secret %[6]s-people-cert -n %[5]s -o go-template="{{index .data \"$file\" | base64decode}}" > $certificates/$file
  done
  kubectl port-forward -n %[5]s service/%[6]s-scaler 9090:9090 &
  explain() {
    grpcurl -cacert $certificates/ca.crt -cert $certificates/tls.crt -key $certificates/tls.key \
      -d "$1" localhost:9090 pubsub.inspect.v1.Inspector/Explain
  }
  explain '{"name":"%[4]s","namespace":"%[3]s"}'
  explain '{"name":"%[4]s","namespace":"%[3]s","queue_depth":500,"replicas":3}'
`, d.Kubeconfig, d.Tools, d.Namespace, channelName, systemNamespace, release)
}

// takeDown is how to go on and how to end.
func (d *demo) takeDown() string {
	return fmt.Sprintf(`Once more:               make demo
Take the demo away:      kubectl --kubeconfig %s delete namespace %s
Take the cluster down:   make cluster-down
`, d.Kubeconfig, d.Namespace)
}

// showEvidence shows the state of everything that may be the cause of a failure.
func (d *demo) showEvidence(ctx context.Context) {
	fmt.Fprint(d.Out, "\nThe state of the cluster:\n")
	var pods podList
	for _, namespace := range []string{systemNamespace, d.Namespace} {
		if err := d.api.get(ctx, "/api/v1/namespaces/"+namespace+"/pods", &pods); err == nil {
			fmt.Fprintf(d.Out, "\nnamespace %s: %s\n", namespace, pods.summary())
		}
	}
	d.show(ctx, "get", "pubsubchannels,scaledobjects,horizontalpodautoscalers,deployments,jobs,pods", "--namespace", d.Namespace, "--output=wide")
	d.show(ctx, "describe", "pubsubchannels", "--namespace", d.Namespace)
	d.show(ctx, "events", "--namespace", d.Namespace, "--types=Warning")
	d.show(ctx, "logs", "--namespace", systemNamespace, "--selector=app=pubsub-operator", "--prefix", "--tail=10")
	fmt.Fprintf(d.Out, "\n%s\n%s\n", d.lookAround(), d.takeDown())
}

// show runs kubectl for its output.
func (d *demo) show(ctx context.Context, args ...string) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	out, err := d.tools.run(ctx, "", "kubectl", args...)
	if err != nil {
		out += err.Error() + "\n"
	}
	fmt.Fprintf(d.Out, "\n$ kubectl %s\n%s", strings.Join(args, " "), out)
}
