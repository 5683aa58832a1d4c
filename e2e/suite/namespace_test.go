//go:build e2e

package suite

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// testLabel is on the namespaces of this run; its value is runID.
const testLabel = "pubsub-operator-e2e"

var runID = strings.ToLower(rand.Text()[:8])

// space is a test's own namespace.
type space struct {
	t       *testing.T
	name    string
	started time.Time
}

// newSpace makes a namespace that is deleted when the test ends; a test that failed tells
// before that how everything in it is. Its pods must satisfy the restricted Pod Security
// Standard.
func newSpace(t *testing.T, purpose string) *space {
	t.Helper()
	s := &space{t: t, name: fmt.Sprintf("psc-e2e-%s-%s", purpose, runID), started: time.Now()}
	require.NoError(t, env.client.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: s.name,
		Labels: map[string]string{
			testLabel:                            runID,
			"pod-security.kubernetes.io/enforce": "restricted",
		},
	}}))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if t.Failed() {
			s.dump(ctx)
			s.dumpNode()
		}
		s.logf("deleting namespace %s", s.name)
		if err := client.IgnoreNotFound(env.client.Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.name}})); err != nil {
			t.Errorf("deleting namespace %s: %v", s.name, err)
		}
	})
	// A test that broke the node would otherwise show as many that fail, each after minutes.
	s.until(2*time.Minute, "the nodes are Ready", nodesReady)
	return s
}

func nodesReady(ctx context.Context) error {
	nodes := &corev1.NodeList{}
	if err := env.client.List(ctx, nodes); err != nil {
		return err
	}
	for _, node := range nodes.Items {
		ready := slices.IndexFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool { return c.Type == corev1.NodeReady })
		if ready < 0 || node.Status.Conditions[ready].Status != corev1.ConditionTrue {
			return fmt.Errorf("node %s is not Ready: %+v", node.Name, node.Status.Conditions)
		}
	}
	return nil
}

// newSpaceWithRedis is newSpace with a Redis in it that answers.
func newSpaceWithRedis(t *testing.T, purpose string) *space {
	t.Helper()
	s := newSpace(t, purpose)
	s.startRedis()
	return s
}

// dump logs what one wants to see of a test that failed.
func (s *space) dump(ctx context.Context) {
	shown := [][]string{
		{"-n", s.name, "get", "psc,deployments,scaledobjects,hpa,pods", "-o", "wide"},
		{"-n", s.name, "get", "psc", "-o", "yaml"},
		{"-n", s.name, "get", "scaledobjects", "-o", "yaml"},
		{"-n", s.name, "describe", "hpa"},
		{"-n", s.name, "get", "events", "--sort-by=.metadata.creationTimestamp"},
		{"-n", s.name, "logs", "--selector=app=pubsub-subscriber", "--prefix", "--tail=10", "--max-log-requests=40"},
		{"get", "nodes", "-o", "wide"},
		{"-n", systemNamespace, "get", "pods", "-o", "wide"},
		{"-n", systemNamespace, "logs", "--selector=app=" + pubsubOperatorApp, "--prefix", "--tail=60", "--max-log-requests=10"},
		{"-n", env.kedaNamespace, "logs", "deployment/keda-operator", "--since=3m", "--tail=40"},
	}
	for _, args := range shown {
		out, err := run(ctx, "kubectl", args...)
		if err != nil {
			out += "\n" + err.Error()
		}
		s.t.Logf("---- kubectl %s\n%s", strings.Join(args, " "), out)
	}
}

// dumpNode logs the errors of the local node's container runtime and kubelet, if it is a local node.
func (s *space) dumpNode() {
	const last = 20
	for _, daemon := range []string{"containerd", "kubelet"} {
		path := filepath.Join(filepath.Dir(os.Getenv("KUBECONFIG")), "logs", daemon+".log")
		data, err := os.ReadFile(path)
		if err != nil {
			continue // of kind, they are in its container
		}
		// klog begins the line of an error with E, and of what ends a program with F; containerd says the level.
		errors := slices.DeleteFunc(strings.Split(string(data), "\n"), func(line string) bool {
			return !strings.HasPrefix(line, "E") && !strings.HasPrefix(line, "F") &&
				!strings.Contains(line, "level=error") && !strings.Contains(line, "level=fatal")
		})
		s.t.Logf("---- the last errors in %s\n%s", path, strings.Join(errors[max(0, len(errors)-last):], "\n"))
	}
}

// namespacesGone waits until this run's namespaces are deleted: an object with a finalizer
// that nobody takes off would keep one for ever.
func namespacesGone(ctx context.Context) error {
	const within = 3 * time.Minute
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		list := &corev1.NamespaceList{}
		if err := env.client.List(ctx, list, client.MatchingLabels{testLabel: runID}); err != nil {
			return fmt.Errorf("listing the tests' namespaces: %w", err)
		}
		if len(list.Items) == 0 {
			fmt.Printf("e2e: the tests' namespaces are gone after %.1f s\n", time.Since(start).Seconds())
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			var left []string
			for _, namespace := range list.Items {
				left = append(left, fmt.Sprintf("%s (%v)", namespace.Name, namespace.Status.Conditions))
			}
			return fmt.Errorf("not deleted after %s: %s", within, strings.Join(left, "; "))
		}
	}
}
