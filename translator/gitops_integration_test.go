//go:build integration

package translator

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	kedav1alpha1 "github.com/kedacore/keda/v2/apis/keda/v1alpha1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// kubectl returns a function that runs the real kubectl on a namespace.
func (s *server) kubectl(t *testing.T, namespace string) func(args ...string) string {
	t.Helper()
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, clientcmd.WriteToFile(kubeconfigOf(s.config), kubeconfig))
	return func(args ...string) string {
		t.Helper()
		command := exec.CommandContext(t.Context(), filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl"),
			append([]string{"--kubeconfig", kubeconfig, "--namespace", namespace, "--cache-dir", filepath.Dir(kubeconfig)}, args...)...)
		var out, problems bytes.Buffer
		command.Stdout, command.Stderr = &out, &problems
		require.NoError(t, command.Run(), "kubectl %v: %s%s", args, &out, &problems)
		return out.String()
	}
}

func kubeconfigOf(config *rest.Config) api.Config {
	return api.Config{
		Clusters:       map[string]*api.Cluster{"test": {Server: config.Host, CertificateAuthorityData: config.CAData}},
		AuthInfos:      map[string]*api.AuthInfo{"test": {ClientCertificateData: config.CertData, ClientKeyData: config.KeyData}},
		Contexts:       map[string]*api.Context{"test": {Cluster: "test", AuthInfo: "test"}},
		CurrentContext: "test",
	}
}

// Applying the same manifest for ever makes no difference, the way that kubectl, Argo CD
// and Flux do it: nothing of the operator's writes to a channel's spec or metadata.
func TestApplyingAgainChangesNothing(t *testing.T) {
	s := sharedServer(t)
	for name, apply := range map[string][]string{
		"client-side": {"apply", "-f"},
		"server-side": {"apply", "--server-side", "--field-manager", "gitops", "-f"},
	} {
		for _, manifest := range []string{"everything.yaml", "channels.yaml"} {
			t.Run(name+" "+manifest, func(t *testing.T) {
				namespace := s.namespace(t)
				kubectl := s.kubectl(t, namespace)
				file := filepath.Join("testdata", manifest)
				kubectl(slices.Concat(apply, []string{file})...)
				channels := s.settled(t, namespace)
				for range 3 {
					out := kubectl(slices.Concat(apply, []string{file})...)
					if name == "client-side" {
						assert.NotContains(t, out, "configured")
					}
				}
				diff := slices.Concat([]string{"diff"}, apply[1:], []string{file})
				assert.Empty(t, kubectl(diff...), "kubectl diff")
				for _, before := range channels {
					after := before.DeepCopy()
					s.get(t, after)
					assert.Equal(t, before.Generation, after.Generation)
					assert.Equal(t, before.ResourceVersion, after.ResourceVersion)
				}
			})
		}
	}
}

// settled waits until the namespace's channels have nothing more to tell, and returns them.
func (s *server) settled(t *testing.T, namespace string) []v1.PubSubChannel {
	t.Helper()
	var list v1.PubSubChannelList
	require.Eventually(t, func() bool {
		if s.List(t.Context(), &list, client.InNamespace(namespace)) != nil || len(list.Items) == 0 {
			return false
		}
		for i := range list.Items {
			channel := &list.Items[i]
			connected := meta.FindStatusCondition(channel.Status.Conditions, v1.ConditionConnected)
			if channel.Status.ObservedGeneration != channel.Generation || channel.Status.Selector == "" || connected == nil ||
				testWorkers.Plan(channel).AutoScaled && !s.kedaHasLooked(t, channel) {
				return false
			}
		}
		return true
	}, soon, tick)
	return list.Items
}

// kedaHasLooked plays KEDA, which finds the ScaledObject right, and reports whether the
// channel tells so.
func (s *server) kedaHasLooked(t *testing.T, channel *v1.PubSubChannel) bool {
	t.Helper()
	so := scaledObjectOf(channel)
	s.get(t, so)
	if ready := so.Status.Conditions.GetReadyCondition(); !ready.IsTrue() {
		s.kedaSays(t, so, "True", kedav1alpha1.ScaledObjectConditionReadySuccessMessage)
		return false
	}
	question := s.explainer.last(channel)
	ready := meta.FindStatusCondition(channel.Status.Conditions, v1.ConditionReady)
	scaled := meta.FindStatusCondition(channel.Status.Conditions, v1.ConditionScaled)
	return question != nil && question.Replicas == nil && // asked of a target that KEDA scales
		ready != nil && strings.Contains(ready.Message, "workers are ready") && scaled != nil && scaled.Reason == "WithinBand"
}
