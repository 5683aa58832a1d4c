package connect

import (
	"testing"

	"github.com/stretchr/testify/assert"
	corev1 "k8s.io/api/core/v1"
)

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
