package doctor

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/connect"
)

func TestAtLeast(t *testing.T) {
	for version, want := range map[string]bool{"v1.36.3": true, "1.29.0": true, "v1.29.0-gke.1": true, "1.28.15": false, "2.0": true, "0.99": false} {
		got, err := atLeast(version, "1.29")
		require.NoError(t, err, version)
		assert.Equal(t, want, got, version)
	}
	for _, version := range []string{"main", "latest", "", "sha256:0123"} {
		_, err := atLeast(version, "1.29")
		assert.ErrorContains(t, err, "no numbers", version)
	}
}

func TestImageVersion(t *testing.T) {
	for image, want := range map[string]string{
		"jawaracloud/pubsub-operator:0.1.0":         "0.1.0",
		"registry.example.com:5000/operator":        "latest",
		"registry.example.com:5000/operator:v1":     "v1",
		"ghcr.io/kedacore/keda:2.21.0@sha256:01234": "2.21.0",
		"ghcr.io/kedacore/keda@sha256:01234":        "sha256:01234",
	} {
		assert.Equal(t, want, connect.ImageVersion(image), image)
	}
}

func TestEarliestNeedsACertificate(t *testing.T) {
	_, err := earliest([]byte("no certificate"), nil)
	assert.ErrorContains(t, err, "hold no certificate")
	_, err = earliest([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	assert.ErrorContains(t, err, "can't be read")
}

// Doctor asks for no other versions than the chart.
func TestLeastVersionsAreTheCharts(t *testing.T) {
	for file, want := range map[string]string{
		"Chart.yaml":            `kubeVersion: ">=` + leastKubernetes + `.0-0"`,
		"templates/_checks.tpl": `semverCompare "<` + leastKEDA + `.0-0"`,
	} {
		text, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "charts", "pubsub-operator", file))
		require.NoError(t, err)
		assert.Contains(t, string(text), want, file)
	}
}

// Of a cluster that can't be reached nothing is well, which scripts see by the exit code.
func TestAnAPIServerThatIsDownIsAProblem(t *testing.T) {
	gone, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, gone.Close())
	cluster, err := connect.NewCluster(&rest.Config{Host: "http://" + gone.Addr().String()})
	require.NoError(t, err)
	found := Examine(t.Context(), Options{Cluster: cluster})
	require.Len(t, found, 1)
	assert.Equal(t, Problem, found[0].Severity)
	assert.Contains(t, found[0].Message, "can't be reached: dial tcp")
}

// Without KEDA there is no such path, and nothing to say here. A proxy's words, which are no Status of the API server's
// either, say nothing of KEDA: what it reads is not known then.
func TestOnlyWithoutKEDAItReadsNothing(t *testing.T) {
	in := connect.Installation{Authentication: "op", KEDASecret: types.NamespacedName{Namespace: "keda", Name: "op-keda-cert"}}
	for status, want := range map[int][]Severity{http.StatusNotFound: nil, http.StatusServiceUnavailable: {Unknown}, http.StatusForbidden: {Unknown}} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "a proxy's words", status) }))
		t.Cleanup(server.Close)
		cluster, err := connect.NewCluster(&rest.Config{Host: server.URL})
		require.NoError(t, err)
		var got []Severity
		for _, finding := range (Options{Cluster: cluster}).kedaReads(t.Context(), in) {
			got = append(got, finding.Severity)
		}
		assert.Equal(t, want, got, http.StatusText(status))
	}
}
