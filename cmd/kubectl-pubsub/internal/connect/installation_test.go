package connect

import (
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// A controller that makes the certificates mounts none, so its flags tell where they are.
func TestManagedCertificatesAreKnownByFlags(t *testing.T) {
	scaler := withSecret(operatorPod("ops", "s", "scaler", true, "--tls-cert-dir=/x"), "op-people-cert")
	scaler.Spec.Volumes = []corev1.Volume{{Name: "tls", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "op-server-cert"}}}}
	controller := operatorPod("ops", "c", "controller", true, "--issue-certificates=ops/op", "--keda-tls-secret=keda/op-keda-cert")
	in := installationOf("ops", []corev1.Pod{scaler, controller})
	assert.True(t, in.Managed)
	assert.Equal(t, []Certificate{
		{Owner: "KEDA", Secret: types.NamespacedName{Namespace: "keda", Name: "op-keda-cert"}},
		{Owner: "people", Secret: types.NamespacedName{Namespace: "ops", Name: "op-people-cert"}},
		{Owner: "the controller", Secret: types.NamespacedName{Namespace: "ops", Name: "op-controller-cert"}},
		{Owner: "the scaler", Secret: types.NamespacedName{Namespace: "ops", Name: "op-server-cert"}},
	}, in.Certificates)

	controller = operatorPod("ops", "c", "controller", true, "--keda-tls-secret=keda/mine")
	assert.False(t, installationOf("ops", []corev1.Pod{controller}).Managed)
}

// An operator of some namespaces is asked for its rights in these alone.
func TestInstallationKnowsItsNamespaces(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want []string
	}{
		"all":          {nil, nil},
		"some":         {[]string{"--watch-namespaces=shop,stock"}, []string{"shop", "stock"}},
		"the last one": {[]string{"--watch-namespaces=shop", "--watch-namespaces", "stock"}, []string{"stock"}},
	} {
		t.Run(name, func(t *testing.T) {
			in := installationOf("ops", []corev1.Pod{operatorPod("ops", "c", "controller", true, test.args...), operatorPod("ops", "s", "scaler", true)})
			assert.Equal(t, test.want, in.WatchNamespaces)
		})
	}
}
