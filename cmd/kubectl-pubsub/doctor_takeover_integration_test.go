//go:build integration

package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/doctor"
	"github.com/jawaracloud/pubsub-operator/internal/certtest"
)

// After an upgrade from a chart that made the certificates itself, KEDA reads its former Secret until the next one.
// Without it KEDA's calls fail, though all certificates of this version are there. Doctor says so, with the remedy.
func TestDoctorKnowsWhichSecretKEDAReads(t *testing.T) {
	c := sharedCluster(t)
	namespace, _ := c.install(t)
	module, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/kedacore/keda/v2").Output()
	require.NoError(t, err)
	examine := func() doctor.Finding {
		found, _ := examined(t, "--operator-namespace", namespace) // the rest of the installation is not there
		return found["certificate that KEDA reads"]
	}
	ca := certtest.New(t)
	secret := func(name string) *corev1.Secret {
		s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Data: ca.Secret(ca.Client("op-keda"))}
		c.create(t, s)
		return s
	}
	own, former := secret("op-keda-cert"), secret("op-keda-tls")
	secret("op-controller-cert")
	var refs []any
	for parameter, key := range map[string]string{"caCert": "ca.crt", "tlsClientCert": "tls.crt", "tlsClientKey": "tls.key"} {
		refs = append(refs, map[string]any{"parameter": parameter, "name": former.Name, "key": key})
	}
	authentication := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "keda.sh/v1alpha1", "kind": "ClusterTriggerAuthentication",
		"metadata": map[string]any{"name": namespace}, "spec": map[string]any{"secretTargetRef": refs}}}
	c.create(t, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "controller-of-an-upgrade", Labels: map[string]string{"app": "pubsub-operator", "app.kubernetes.io/component": "controller"}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "controller", Image: "operator:0.1.0", Args: []string{
			"--issue-certificates=" + namespace + "/op", "--keda-tls-secret=" + namespace + "/op-keda-cert", "--scaler-authentication-ref=" + namespace,
		}}}},
	})
	assert.Empty(t, examine(), "without KEDA there is nothing to say")
	crds := envtest.CRDInstallOptions{Paths: []string{filepath.Join(strings.TrimSpace(string(module)), "config", "crd", "bases", "keda.sh_clustertriggerauthentications.yaml")}, MaxTime: 3 * time.Minute} // a busy machine needs more than 10 s
	_, err = envtest.InstallCRDs(c.env.Config, crds)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, envtest.UninstallCRDs(c.env.Config, crds)) })
	c.create(t, authentication)
	finding := examine()
	assert.Equal(t, doctor.Warning, finding.Severity, "%+v", finding)
	assert.Contains(t, finding.Message, "Secret "+namespace+"/op-keda-tls differs from Secret "+namespace+"/op-keda-cert")
	former.Data = own.Data
	require.NoError(t, c.Update(t.Context(), former))
	finding = examine()
	assert.Contains(t, finding.Message, "op-keda-tls is valid until", "%+v", finding)

	t.Run("deleted by hand", func(t *testing.T) {
		require.NoError(t, c.Delete(t.Context(), former))
		finding := examine()
		assert.Equal(t, doctor.Problem, finding.Severity, "%+v", finding)
		assert.Contains(t, finding.Message, "there is no Secret "+namespace+"/op-keda-tls")
		assert.Contains(t, finding.Message, "ClusterTriggerAuthentication "+namespace)
		assert.Contains(t, finding.Remedy, "helm upgrade")
		assert.Contains(t, finding.Remedy, namespace+"/op-keda-cert")
	})
	t.Run("read from the new one", func(t *testing.T) {
		for i := range refs {
			refs[i].(map[string]any)["name"] = own.Name
		}
		require.NoError(t, c.Get(t.Context(), client.ObjectKeyFromObject(authentication), authentication))
		require.NoError(t, unstructured.SetNestedSlice(authentication.Object, refs, "spec", "secretTargetRef"))
		require.NoError(t, c.Update(t.Context(), authentication))
		assert.Empty(t, examine(), "which is examined as KEDA's certificate")
	})
	t.Run("without a ClusterTriggerAuthentication", func(t *testing.T) {
		require.NoError(t, c.Delete(t.Context(), authentication))
		finding := examine()
		assert.Equal(t, doctor.Problem, finding.Severity, "%+v", finding)
		assert.Contains(t, finding.Message, "there is no ClusterTriggerAuthentication "+namespace)
	})
}
