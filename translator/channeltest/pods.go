package channeltest

import (
	"embed"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

//go:embed pods/*.yaml
var pods embed.FS

// RealPod is a pod as a kubelet 1.36 with containerd 2 reported it, less what nobody reads.
func RealPod(t *testing.T, name string) corev1.Pod {
	t.Helper()
	data, err := pods.ReadFile("pods/" + name + ".yaml")
	require.NoError(t, err)
	var pod corev1.Pod
	require.NoError(t, yaml.UnmarshalStrict(data, &pod))
	return pod
}
