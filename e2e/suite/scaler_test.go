//go:build e2e

package suite

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// scalerAddress is the scaler as KEDA reaches it.
const scalerAddress = release + "-scaler." + systemNamespace + ".svc:9090"

// The scaler's methods.
const (
	isActive      = "externalscaler.ExternalScaler/IsActive"
	getMetricSpec = "externalscaler.ExternalScaler/GetMetricSpec"
	getMetrics    = "externalscaler.ExternalScaler/GetMetrics"
	explain       = "pubsub.inspect.v1.Inspector/Explain"
)

// connection is a way to a scaler from outside of the cluster.
type connection struct {
	s            *space
	address      string
	certificates string // folder with a folder for each client, with the files of its Secret
}

// connectScaler forwards a port to a scaler, "service/..." or "pod/...", until the test
// ends.
func (s *space) connectScaler(object string) connection {
	s.t.Helper()
	c := connection{s: s, certificates: s.t.TempDir()}
	for client, namespace := range map[string]string{kedaClient: env.kedaNamespace, controllerClient: systemNamespace, peopleClient: systemNamespace} {
		c.writeCertificate(client, namespace)
	}
	forward, err := startForward(s.t.Context(), systemNamespace, object, ":9090")
	require.NoError(s.t, err)
	s.t.Cleanup(forward.stop)
	c.address = forward.address
	return c
}

// The scaler's clients, as the chart names them.
const (
	kedaClient       = "keda"
	controllerClient = "controller"
	peopleClient     = "people"
)

func (c connection) writeCertificate(name, namespace string) {
	c.s.t.Helper()
	secret := &corev1.Secret{}
	require.NoError(c.s.t, env.client.Get(c.s.t.Context(), client.ObjectKey{Namespace: namespace, Name: release + "-" + name + "-cert"}, secret))
	require.NoError(c.s.t, os.Mkdir(filepath.Join(c.certificates, name), 0o700))
	for _, file := range []string{"ca.crt", "tls.crt", "tls.key"} {
		require.NoError(c.s.t, os.WriteFile(filepath.Join(c.certificates, name, file), secret.Data[file], 0o600))
	}
}

// grpcurl runs grpcurl as one of the clients; flags and a request come before the address.
func (c connection) grpcurl(ctx context.Context, as string, flags []string, arguments ...string) (string, error) {
	file := func(name string) string { return filepath.Join(c.certificates, as, name) }
	args := []string{"-cacert", file("ca.crt"), "-cert", file("tls.crt"), "-key", file("tls.key"), "-max-time", "10"}
	args = append(append(append(args, flags...), c.address), arguments...)
	return run(ctx, "grpcurl", args...)
}

// clientOf is who may call a method.
func clientOf(method string) string {
	if strings.HasPrefix(method, "externalscaler.") {
		return kedaClient
	}
	return peopleClient
}

// call calls a method and reads its answer.
func (c connection) call(method string, request any, answer any) error {
	c.s.t.Helper()
	data, err := json.Marshal(request)
	require.NoError(c.s.t, err)
	out, err := c.grpcurl(c.s.t.Context(), clientOf(method), []string{"-emit-defaults", "-d", string(data)}, method)
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(out), answer)
}

// mustCall is call where an error fails the test.
func (c connection) mustCall(method string, request any, answer any) {
	c.s.t.Helper()
	require.NoError(c.s.t, c.call(method, request, answer))
}

// byName is the request with only name and namespace; GetMetrics has it inside of its own.
func (s *space) byName(method, name string) any {
	reference := map[string]any{"name": name, "namespace": s.name}
	if method == getMetrics {
		return map[string]any{"scaledObjectRef": reference, "metricName": "pubsub-queue-depth"}
	}
	return reference
}

// fails calls a method that must fail, and returns the gRPC code's name and the message.
func (c connection) fails(method string, request any) (code, message string) {
	c.s.t.Helper()
	var answer map[string]any
	err := c.call(method, request, &answer)
	require.Errorf(c.s.t, err, "%s answers %v", method, answer)
	var failed *commandError
	require.ErrorAs(c.s.t, err, &failed)
	match := regexp.MustCompile(`(?s)Code: (\w+)\s+Message: (.*)`).FindStringSubmatch(failed.stderr)
	require.NotNil(c.s.t, match, failed.stderr)
	return match[1], match[2]
}

// explanation is what the tests read of an ExplainResponse; the JSON form of an int64 is a
// string.
type explanation struct {
	QueueDepth        int64   `json:"queueDepth,string"`
	Ready             int64   `json:"ready,string"`
	InFlight          int64   `json:"inFlight,string"`
	LowerBound        int64   `json:"lowerBound,string"`
	UpperBound        int64   `json:"upperBound,string"`
	QueueType         string  `json:"queueType"`
	Replicas          int32   `json:"replicas"`
	DesiredReplicas   int32   `json:"desiredReplicas"`
	Reason            string  `json:"reason"`
	Explanation       string  `json:"explanation"`
	Active            bool    `json:"active"`
	MetricValue       float64 `json:"metricValue"`
	ToleranceHonoured bool    `json:"toleranceHonoured"`
}
