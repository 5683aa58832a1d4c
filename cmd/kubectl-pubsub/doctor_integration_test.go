//go:build integration

package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/doctor"
	"github.com/jawaracloud/pubsub-operator/internal/certtest"
)

// create makes an object, and removes it when the test ends.
func (c *cluster) create(t *testing.T, object client.Object) {
	t.Helper()
	require.NoError(t, c.Create(t.Context(), object))
	t.Cleanup(func() { assert.NoError(t, client.IgnoreNotFound(c.Delete(context.Background(), object))) })
}

// examined is what doctor finds, by subject: the worst of each.
func examined(t *testing.T, args ...string) (map[string]doctor.Finding, error) {
	t.Helper()
	out, _, failed := kubectl(t, append([]string{"doctor", "-o", "json"}, args...)...)
	var findings []doctor.Finding
	require.NoError(t, json.Unmarshal([]byte(out), &findings), out)
	worst := map[string]doctor.Finding{}
	rank := map[doctor.Severity]int{doctor.OK: 0, doctor.Unknown: 1, doctor.Warning: 2, doctor.Problem: 3}
	for _, finding := range findings {
		if finding.Severity == doctor.Problem || finding.Severity == doctor.Warning {
			assert.NotEmpty(t, finding.Remedy, "%s: %s", finding.Subject, finding.Message)
		}
		if known, ok := worst[finding.Subject]; !ok || rank[finding.Severity] > rank[known.Severity] {
			worst[finding.Subject] = finding
		}
	}
	return worst, failed
}

// completed adds to an installation all that it needs beside its pods, and returns what a test breaks.
func (c *cluster) completed(t *testing.T, namespace string) (keda *appsv1.Deployment, lease *coordinationv1.Lease, ca *certtest.Authority) {
	t.Helper()
	module, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/kedacore/keda/v2").Output()
	require.NoError(t, err)
	crds := envtest.CRDInstallOptions{Paths: []string{filepath.Join(strings.TrimSpace(string(module)), "config", "crd", "bases", "keda.sh_scaledobjects.yaml")}, MaxTime: 3 * time.Minute}
	_, err = envtest.InstallCRDs(c.env.Config, crds)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, envtest.UninstallCRDs(c.env.Config, crds)) })

	labels := map[string]string{"app.kubernetes.io/part-of": "keda-operator"}
	keda = &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "keda-operator", Labels: labels}, Spec: appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "keda-operator", Image: "ghcr.io/kedacore/keda:2.21.0"}}}},
	}}
	c.create(t, keda)
	keda.Status.Replicas, keda.Status.ReadyReplicas = 1, 1
	require.NoError(t, c.Status().Update(t.Context(), keda))
	service := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
		"metadata": map[string]any{"name": "v1beta1.external.metrics.k8s.io"},
		// Without a Service it is the API server's own, which is there.
		"spec": map[string]any{"group": "external.metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": int64(100), "versionPriority": int64(100)}}}
	c.create(t, service)

	for _, component := range []string{"controller", "scaler"} {
		data, err := os.ReadFile(filepath.Join("..", "..", "charts", "pubsub-operator", "files", "rbac", component, "role.yaml"))
		require.NoError(t, err)
		role := &rbacv1.ClusterRole{}
		manifest, _, _ := strings.Cut(strings.TrimPrefix(string(data), "---\n"), "\n---\n")
		require.NoError(t, yaml.Unmarshal([]byte(manifest), role))
		role.Name = component + "-" + namespace
		c.create(t, role)
		c.create(t, &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: role.Name}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
			Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: component}},
		})
	}
	ca = certtest.New(t)
	for _, name := range []string{"op-controller-tls", "op-scaler-tls"} {
		c.create(t, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Type: corev1.SecretTypeTLS, Data: ca.Secret(ca.Client("client"))})
	}
	lease = &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "pubsub-operator-controller"},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: ptr.To("controller_1"), RenewTime: ptr.To(metav1.NowMicro())}}
	c.create(t, lease)
	return keda, lease, ca
}

// Doctor finds what is missing of an installation, and what breaks.
func TestDoctor(t *testing.T) {
	c := sharedCluster(t)
	namespace, _ := c.install(t)
	found, err := examined(t)
	require.ErrorContains(t, err, "problems found: 5")
	for subject, want := range map[string]string{
		"KEDA":                          "it is not installed",
		"controller's rights":           "may not: watch pubsubchannels.pubsub.jawaracloud.io, patch pubsubchannels/status.pubsub.jawaracloud.io, patch deployments.apps",
		"scaler's rights":               "may not: watch scaledobjects.keda.sh",
		"certificate of the controller": "there is no Secret " + namespace + "/op-controller-tls",
		"certificate of the scaler":     "there is no Secret " + namespace + "/op-scaler-tls",
	} {
		assert.Equal(t, doctor.Problem, found[subject].Severity, "%s: %+v", subject, found[subject])
		assert.Contains(t, found[subject].Message, want)
	}
	for _, subject := range []string{"Kubernetes", "CRD", "scaler"} {
		assert.Equal(t, doctor.OK, found[subject].Severity, "%+v", found[subject])
	}

	keda, lease, ca := c.completed(t, namespace)
	require.Eventually(t, func() bool {
		found, err = examined(t)
		return err == nil
	}, 30*time.Second, tick, "a complete installation has no problem")
	assert.Contains(t, found["KEDA"].Message, "2.21.0")
	assert.Equal(t, doctor.Warning, found["certificate of people"].Severity, "the tests' certificates are valid for hours")

	breaks := map[string]struct {
		change        func(*testing.T)
		subject, want string
	}{
		"KEDA scaled to 0": {func(t *testing.T) {
			keda.Spec.Replicas = ptr.To[int32](0)
			require.NoError(t, c.Update(t.Context(), keda))
			t.Cleanup(func() {
				keda.Spec.Replicas = ptr.To[int32](1)
				require.NoError(t, c.Update(context.Background(), keda))
			})
		}, "KEDA", "0 pods ready, so nothing is scaled"},
		"an old KEDA": {func(t *testing.T) {
			keda.Spec.Template.Spec.Containers[0].Image = "ghcr.io/kedacore/keda:2.20.1"
			require.NoError(t, c.Update(t.Context(), keda))
			t.Cleanup(func() {
				keda.Spec.Template.Spec.Containers[0].Image = "ghcr.io/kedacore/keda:2.21.0"
				require.NoError(t, c.Update(context.Background(), keda))
			})
		}, "KEDA", "is older than 2.21"},
		"no leader": {func(t *testing.T) {
			lease.Spec.RenewTime = ptr.To(metav1.NewMicroTime(time.Now().Add(-2 * time.Minute)))
			require.NoError(t, c.Update(t.Context(), lease))
			t.Cleanup(func() {
				lease.Spec.RenewTime = ptr.To(metav1.NowMicro())
				require.NoError(t, c.Update(context.Background(), lease))
			})
		}, "controller", "no controller leads"},
		"an expired certificate": {func(t *testing.T) {
			secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "op-scaler-tls"}}
			require.NoError(t, c.Get(t.Context(), client.ObjectKeyFromObject(secret), secret))
			secret.Data = ca.Secret(ca.ServerUntil(time.Now().Add(-time.Hour), "scaler"))
			require.NoError(t, c.Update(t.Context(), secret))
			t.Cleanup(func() {
				secret.Data = ca.Secret(ca.Client("client"))
				require.NoError(t, c.Update(context.Background(), secret))
			})
		}, "certificate of the scaler", "has expired"},
	}
	for name, test := range breaks {
		t.Run(name, func(t *testing.T) {
			test.change(t)
			found, err := examined(t)
			require.ErrorContains(t, err, "problems found: 1")
			assert.Equal(t, doctor.Problem, found[test.subject].Severity, "%+v", found[test.subject])
			assert.Contains(t, found[test.subject].Message, test.want)
		})
	}
	t.Run("versions", func(t *testing.T) {
		out, _, err := kubectl(t, "version")
		require.NoError(t, err)
		for _, line := range []string{`plugin +\S+`, `controller +0\.1\.0 +1 of 1 pods ready in namespace ` + namespace, `scaler +0\.1\.0 +1 of 1`, `KEDA +2\.21\.0 +1 of 1`, `Kubernetes +v1\.\d+`} {
			assert.Regexp(t, `(?m)^`+line, out)
		}
	})
	t.Run("without rights", func(t *testing.T) {
		file, err := c.kubeconfig("nobody-at-all")
		require.NoError(t, err)
		t.Cleanup(func() { _ = os.Remove(file) })
		t.Setenv("KUBECONFIG", file)
		found, err := examined(t, "--operator-namespace", namespace)
		require.NoError(t, err, "what can't be examined is no problem")
		assert.Equal(t, doctor.Unknown, found["KEDA"].Severity)
		assert.Contains(t, found["KEDA"].Message, "kubectl auth can-i get customresourcedefinitions.apiextensions.k8s.io/scaledobjects.keda.sh")
		assert.Equal(t, doctor.Unknown, found["operator"].Severity)
	})
}

// Pausing holds channels by name, by label or all of them, and says what holds them besides.
func TestPauseAndResume(t *testing.T) {
	c := sharedCluster(t)
	namespace := c.namespace(t)
	orders, mails := c.channel(t, namespace, "orders", true), c.channel(t, namespace, "mails", true)
	mails.Labels = map[string]string{"team": "post"}
	require.NoError(t, c.Update(t.Context(), mails))
	do := func(args ...string) string {
		t.Helper()
		out, _, err := kubectl(t, append(args, "-n", namespace)...)
		require.NoError(t, err)
		require.NoError(t, c.Get(t.Context(), client.ObjectKeyFromObject(orders), orders))
		require.NoError(t, c.Get(t.Context(), client.ObjectKeyFromObject(mails), mails))
		return out
	}
	assert.Equal(t, "pubsubchannel/orders paused\n", do("pause", "orders"))
	assert.Equal(t, []bool{true, false}, []bool{orders.Spec.Paused, mails.Spec.Paused})
	assert.Equal(t, "pubsubchannel/orders was paused already\n", do("pause", "orders"))
	assert.Equal(t, "pubsubchannel/mails paused\n", do("pause", "-l", "team=post"))
	assert.True(t, mails.Spec.Paused)
	mails.Status.Conditions = []metav1.Condition{{Type: "Paused", Status: metav1.ConditionTrue, Reason: "PausedOnScaledObject", Message: "somebody annotated the ScaledObject.", LastTransitionTime: metav1.Now()}}
	require.NoError(t, c.Status().Update(t.Context(), mails))
	assert.Equal(t, "pubsubchannel/mails resumed; still held: somebody annotated the ScaledObject\npubsubchannel/orders resumed\n", do("resume", "--all"))
	assert.Equal(t, []bool{false, false}, []bool{orders.Spec.Paused, mails.Spec.Paused})
	for want, args := range map[string][]string{
		"name channels (kubectl get psc lists them)": {"pause"},
		"did you mean orders?":                       {"pause", "ordres"},
		"--all conflicts with names":                 {"resume", "orders", "--all"},
		`--selector is "a in": `:                     {"pause", "-l", "a in"},
	} {
		_, _, err := kubectl(t, append(args, "-n", namespace)...)
		require.ErrorContains(t, err, want)
	}
}

// Status lists channels with the worst first, and completion knows their names and namespaces.
func TestStatus(t *testing.T) {
	c := sharedCluster(t)
	namespace := c.namespace(t)
	for name, condition := range map[string]*metav1.Condition{
		"fine":  {Type: "Ready", Status: metav1.ConditionTrue, Reason: "Available", Message: "1 of 1 workers are ready"},
		"image": {Type: "Ready", Status: metav1.ConditionFalse, Reason: "WorkersNotStarting", Message: "1 worker: ErrImagePull\nmore"},
		"new":   nil,
	} {
		channel := c.channel(t, namespace, name, true)
		if condition != nil {
			condition.LastTransitionTime = metav1.Now()
			channel.Status.Conditions = []metav1.Condition{*condition}
			require.NoError(t, c.Status().Update(t.Context(), channel))
		}
	}
	out, _, err := kubectl(t, "status", "-n", namespace)
	require.NoError(t, err)
	assert.Regexp(t, `(?s)NAME .*image .* WorkersNotStarting +1 worker: ErrImagePull *\nnew .* NotObserved .*doctor\nfine .*\n\n2 of 3 need a look\n$`, out)
	out, _, err = kubectl(t, "status", "fine", "-n", namespace, "-o", "json")
	require.NoError(t, err)
	assert.JSONEq(t, `[{"namespace":"`+namespace+`","name":"fine","readyReplicas":0,"replicas":0}]`, out)
	out, _, err = kubectl(t, "__complete", "pause", "-n", namespace, "")
	require.NoError(t, err)
	assert.Contains(t, out, "fine\nimage\nnew\n")
	out, _, err = kubectl(t, "__complete", "status", "-n", "")
	require.NoError(t, err)
	assert.Contains(t, out, namespace+"\n")
}
