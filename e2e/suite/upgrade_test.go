//go:build e2e

package suite

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	pubsubv1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// The operator is upgraded from the chart of the last release, uninstalled, and installed again, while channels
// live. Their workers are the same pods throughout, not restarted; the CRD, and what was made of the channels, are the
// same objects with the same owners. The images are those under test: there are none of the last release here.
func TestUpgradeUninstallReinstall(t *testing.T) {
	turn := beside(t, preparing)
	s := newSpaceWithRedis(t, "upgrade")
	chart := lastChart(t)
	turn.disturb(exchanges, operator, scalers)
	t.Cleanup(func() { // whatever happens, the others find an operator
		if t.Failed() {
			env.installation.leave()
		}
	})
	require.NoError(t, installChart(t.Context(), chart))
	s.logf("the chart of the last release is installed")
	named, unnamed := newChannel("named"), newChannel("unnamed")
	unnamed.Spec.Image = "" // stored with the CRD's default, where it has one
	for _, channel := range []*pubsubv1.PubSubChannel{named, unnamed} {
		channel.Spec.Replicas = ptr.To[int32](2)
		s.create(channel)
	}
	for _, channel := range []*pubsubv1.PubSubChannel{named, unnamed} {
		s.untilReady(channel.Name)
	}
	before := s.lives(t.Context())

	require.NoError(t, install(t.Context()))
	s.logf("upgraded")
	for _, channel := range []*pubsubv1.PubSubChannel{named, unnamed} {
		s.until(env.settling(), channel.Name+" tells its image", func(ctx context.Context) error { return s.runs(ctx, channel.Name) })
		s.untilReady(channel.Name)
	}
	require.Equal(t, before, s.lives(t.Context()), "after the upgrade")
	out, err := run(t.Context(), "helm", "test", release, "--namespace", systemNamespace, "--timeout", "50s")
	require.NoError(t, err, "helm test")
	assert.Contains(t, out, "Succeeded")

	_, err = run(t.Context(), "helm", "uninstall", release, "--namespace", systemNamespace, "--wait", "--timeout", "55s")
	require.NoError(t, err)
	require.Equal(t, before, s.lives(t.Context()), "without the operator")

	require.NoError(t, install(t.Context()))
	s.logf("installed again")
	// The new operator goes on with the channels.
	s.edit(named.Name, func(c *pubsubv1.PubSubChannel) { c.Spec.AutoScaling.MaxReplicas = 9 })
	s.until(env.settling(), "an edit is followed", func(ctx context.Context) error {
		scaledObject, err := s.scaledObject(ctx, named.Name)
		if err != nil {
			return err
		}
		if most := fmt.Sprint(scaledObject.Object["spec"].(map[string]any)["maxReplicaCount"]); most != "9" {
			return fmt.Errorf("maxReplicaCount is %s", most)
		}
		return nil
	})
	s.untilFollowed(named.Name)
	require.Equal(t, before, s.lives(t.Context()), "after the new installation")
}

// lives is what must not change of the channels' workers and objects: the identity of the CRD, of each channel, of
// its Deployment and of its ScaledObject, which name the channel as their owner, and each pod with its restarts.
func (s *space) lives(ctx context.Context) map[string]string {
	s.t.Helper()
	all := map[string]string{"CRD": s.kubectlIn("", "get", "crd", "pubsubchannels.pubsub.jawaracloud.io", "-o", "jsonpath={.metadata.uid}")}
	for _, name := range []string{"named", "unnamed"} {
		channel, err := s.channel(ctx, name)
		require.NoError(s.t, err)
		children, err := s.identities(ctx, name, channel.UID)
		require.NoError(s.t, err)
		slices.Sort(children)
		all[name] = fmt.Sprint(append([]types.UID{channel.UID}, children...))
	}
	pods := &corev1.PodList{}
	require.NoError(s.t, env.client.List(ctx, pods, client.InNamespace(s.name), client.MatchingLabels{pubsubv1.LabelApp: pubsubv1.SubscriberApp}))
	require.Len(s.t, pods.Items, 4)
	for _, pod := range pods.Items {
		restarts := int32(0)
		for _, status := range pod.Status.ContainerStatuses {
			restarts += status.RestartCount
		}
		all["pod "+pod.Name] = fmt.Sprintf("%s %s, %d restarts", pod.UID, pod.Spec.Containers[0].Image, restarts)
	}
	return all
}

func (s *space) kubectlIn(namespace string, args ...string) string {
	s.t.Helper()
	if namespace != "" {
		args = append([]string{"-n", namespace}, args...)
	}
	out, err := run(s.t.Context(), "kubectl", args...)
	require.NoError(s.t, err)
	return strings.TrimSpace(out)
}

// runs is nil where the status tells the image under test.
func (s *space) runs(ctx context.Context, name string) error {
	channel, err := s.channel(ctx, name)
	if err != nil {
		return err
	}
	if want := pubsubv1.SubscriberImage + ":" + env.imageTag; channel.Status.WorkerImage != want {
		return fmt.Errorf("status.workerImage is %q, not %s", channel.Status.WorkerImage, want)
	}
	return nil
}

// lastChart is the folder of the chart of the last release: of E2E_UPGRADE_FROM, or else of the last tag; before there is
// one, of where this branch left main, and on main itself of the commit before.
func lastChart(t *testing.T) string {
	t.Helper()
	git := func(args ...string) string {
		out, err := exec.CommandContext(t.Context(), "git", append([]string{"-C", "../.."}, args...)...).Output()
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(out))
	}
	from := os.Getenv("E2E_UPGRADE_FROM")
	for _, look := range [][]string{
		{"describe", "--tags", "--abbrev=0", "--match", "v[0-9]*"}, {"merge-base", "HEAD", "origin/main"},
		{"merge-base", "HEAD", "main"}, {"rev-parse", "-q", "--verify", "HEAD^"},
	} {
		if from == "" || os.Getenv("E2E_UPGRADE_FROM") == "" && git("rev-parse", from+"^{commit}") == git("rev-parse", "HEAD") {
			from = git(look...)
		}
	}
	if from == "" {
		t.Skip("this clone has neither a release nor a commit before this one: name one as E2E_UPGRADE_FROM")
	}
	folder := t.TempDir()
	archive := filepath.Join(folder, "chart.tar")
	require.NoError(t, exec.CommandContext(t.Context(), "git", "-C", "../..", "archive", "--output", archive, from, "charts/pubsub-operator").Run(), from)
	require.NoError(t, exec.CommandContext(t.Context(), "tar", "-x", "-C", folder, "-f", archive).Run())
	t.Logf("the last chart is that of %s", from)
	return filepath.Join(folder, "charts", "pubsub-operator")
}
