package main

import (
	"bytes"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/program"
	"github.com/jawaracloud/pubsub-operator/translator/limits"
	"github.com/jawaracloud/pubsub-operator/translator/plan"
)

func TestDefaultsOfFlags(t *testing.T) {
	o, err := parse([]string{"--scaler-address", "scaler:9090"}, io.Discard)
	require.NoError(t, err)
	assert.Equal(t, options{
		metricsAddress: ":8080", probeAddress: ":8081", scalerAddress: "scaler:9090",
		limits:         limits.Limits{PodSecurity: "baseline"},
		issue:          issuing{settle: 10 * time.Minute},
		workers:        plan.WorkerDefaults{Image: "jawaracloud/subscriber:dev"},
		statusInterval: 15 * time.Second, concurrency: 4, logFormat: "json", logLevel: slog.LevelInfo, debugAddress: "0",
	}, o)
}

func TestLimits(t *testing.T) {
	o, err := parse([]string{
		"--scaler-address=s:1", "--pod-security=restricted", "--allow-keda-identity",
		"--allowed-service-accounts=orders, shop/worker-*", "--allowed-cluster-trigger-authentications=vault",
	}, io.Discard)
	require.NoError(t, err)
	assert.Equal(t, limits.Limits{
		PodSecurity: "restricted", ServiceAccounts: []string{"orders", "shop/worker-*"},
		ClusterTriggerAuthentications: []string{"vault"}, KEDAIdentity: true,
	}, o.limits)
}

// Workers are of the operator's own version, unless the installation says otherwise.
func TestWorkerImage(t *testing.T) {
	for of, want := range map[string]string{"": "dev", "v1.2.3": "1.2.3", "1.2.3": "1.2.3", "b9994c6-123": "b9994c6-123"} {
		assert.Equal(t, "jawaracloud/subscriber:"+want, defaultWorkerImage(of))
	}
	o, err := parse([]string{"--scaler-address=s:1", "--worker-image=mirror.test/jawaracloud/subscriber:1", "--worker-image-pull-policy=Always", "--worker-image-pull-secrets=a, b"}, io.Discard)
	require.NoError(t, err)
	assert.Equal(t, plan.WorkerDefaults{Image: "mirror.test/jawaracloud/subscriber:1", PullPolicy: corev1.PullAlways, PullSecrets: []string{"a", "b"}}, o.workers)
}

func TestHeartbeat(t *testing.T) {
	o, err := parse([]string{"--scaler-address=s:1", "--status-heartbeat=5m"}, io.Discard)
	require.NoError(t, err)
	assert.Equal(t, 5*time.Minute, o.statusHeartbeat)
}

func TestBadFlags(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"no scaler":         {nil, `--scaler-address is "": it must be host:port`},
		"no port":           {[]string{"--scaler-address=scaler"}, `--scaler-address is "scaler"`},
		"no host":           {[]string{"--scaler-address=:1"}, `--scaler-address is ":1"`},
		"metrics":           {[]string{"--scaler-address=s:1", "--metrics-bind-address=8080"}, `--metrics-bind-address is "8080"`},
		"probes":            {[]string{"--scaler-address=s:1", "--health-probe-bind-address=:x"}, `--health-probe-bind-address is ":x"`},
		"interval":          {[]string{"--scaler-address=s:1", "--status-interval=1ms"}, `--status-interval is "1ms": it must be at least 1s`},
		"heartbeat":         {[]string{"--scaler-address=s:1", "--status-heartbeat=9s"}, `--status-heartbeat is "9s": it must be 0, for none, or at least 10s`},
		"heartbeat, below":  {[]string{"--scaler-address=s:1", "--status-heartbeat=-1m"}, `--status-heartbeat is "-1m0s"`},
		"concurrency":       {[]string{"--scaler-address=s:1", "--max-concurrent-reconciles=0"}, `--max-concurrent-reconciles is "0"`},
		"debug":             {[]string{"--scaler-address=s:1", "--debug-bind-address=0.0.0.0:6060"}, `--debug-bind-address is "0.0.0.0:6060"`},
		"level":             {[]string{"--scaler-address=s:1", "--log-level=loud"}, `--log-level is "loud"`},
		"format":            {[]string{"--scaler-address=s:1", "--log-format=xml"}, `--log-format is "xml"`},
		"no certificates":   {[]string{"--scaler-address=s:1", "--scaler-tls-cert-dir=/nowhere"}, `--scaler-tls-cert-dir is "/nowhere": it must hold ca.crt`},
		"reference, no TLS": {[]string{"--scaler-address=s:1", "--scaler-authentication-ref=a"}, `--scaler-authentication-ref is "a"`},
		"a KEDA Secret":     {[]string{"--scaler-address=s:1", "--keda-tls-secret=a"}, `--keda-tls-secret is "a": it must be namespace/name`},
		"a prefix":          {[]string{"--scaler-address=s:1", "--issue-certificates=a"}, `--issue-certificates is "a": it must be namespace/prefix`},
		"no names":          {[]string{"--scaler-address=s:1", "--issue-certificates=a/b", "--keda-names=k"}, `--controller-names is ""`},
		"no hosts":          {[]string{"--scaler-address=s:1", "--issue-certificates=a/b"}, `--scaler-hosts is "": --issue-certificates needs it`},
		"no KEDA Secret":    {[]string{"--scaler-address=s:1", "--issue-certificates=a/b"}, `--keda-tls-secret is "": --issue-certificates makes KEDA's certificate in it`},
		"two certificates":  {[]string{"--scaler-address=s:1", "--issue-certificates=a/b", "--scaler-tls-cert-dir=/x"}, `--scaler-tls-cert-dir is "/x": with --issue-certificates the controller takes its certificate from the Secret`},
		"a short stage":     {[]string{"--scaler-address=s:1", "--issue-certificates=a/b", "--certificates-settle=1m"}, `--certificates-settle is "1m0s": it must be at least 3m0s`},
		"pod security":      {[]string{"--scaler-address=s:1", "--pod-security=none"}, `--pod-security is "none": it must be baseline, restricted or privileged`},
		"an account":        {[]string{"--scaler-address=s:1", "--allowed-service-accounts=a,"}, `--allowed-service-accounts has ""`},
		"worker image":      {[]string{"--scaler-address=s:1", "--worker-image=a:latest"}, `--worker-image is "a:latest": it must have a tag other than latest`},
		"pull policy":       {[]string{"--scaler-address=s:1", "--worker-image-pull-policy=x"}, `--worker-image-pull-policy is "x": it must be Always`},
		"namespaces":        {[]string{"--scaler-address=s:1", "--watch-namespaces=a,B"}, `--watch-namespaces is "a,B", and "B" is no namespace's name`},
		"argument":          {[]string{"--scaler-address=s:1", "now"}, `unexpected argument "now"`},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			assert.Equal(t, program.Usage, run(t.Context(), test.args, io.Discard, &out))
			assert.Contains(t, out.String(), test.want)
		})
	}
}

func TestVersionAndHelp(t *testing.T) {
	var out bytes.Buffer
	assert.Equal(t, 0, run(t.Context(), []string{"--version"}, &out, io.Discard))
	assert.NotEmpty(t, out.String())
	assert.Equal(t, 0, run(t.Context(), []string{"--help"}, io.Discard, io.Discard))
}
