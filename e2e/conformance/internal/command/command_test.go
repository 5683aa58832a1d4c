package command

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/e2e/conformance/contract"
	"github.com/jawaracloud/pubsub-operator/e2e/conformance/internal/model"
)

// output collects what a run prints.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// none is a build without KEDA's client.
var none = KEDA{LogTo: func(io.Writer) {}}

// conformance runs the command.
func conformance(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, errs output
	code = Run(ctx, none, args, &out, &errs)
	return code, out.String(), errs.String()
}

// quick are flags for the model scaler, which repeats itself every 250 ms.
func quick(address string) []string {
	return []string{"--address", address, "--metadata", "queue=orders", "--metadata", "backend=up", "--dead-backend-metadata", "backend=down",
		"--broken-metadata", "queue=", "--max-latency", "1s", "--stream-time", "1500ms", "--repeat-min", "100ms", "--repeat-max", "1200ms"}
}

func start(t *testing.T, s *model.Scaler) string {
	t.Helper()
	address, stop, err := s.Start()
	require.NoError(t, err)
	t.Cleanup(stop)
	return address
}

func TestTheReportSaysWhatIsWrongAndWhy(t *testing.T) {
	t.Parallel()
	s := model.New()
	fault := model.Faults()["two values"]
	fault.Break(s)
	address := start(t, s)
	t.Run("text", func(t *testing.T) {
		code, stdout, stderr := conformance(t.Context(), append(quick(address), "--run", "^metric", "--skip", "repeatable")...)
		assert.Equal(t, ExitFailed, code)
		assert.Empty(t, stderr)
		assert.Regexp(t, `PASS  metric-spec.answers +depth target 5\n`, stdout)
		assert.Regexp(t, `FAIL  metrics.one-value +depth 12.5, depth 12.5\n +wrong  there are 2 values\n +rule   .*exactly one.*\n +why    .*HPA adds them up.*\n +see    pkg/scalers/external_scaler.go`, stdout)
		assert.Contains(t, stdout, "\n"+address+", as KEDA v2.21.0 sees it: 11 passed, 1 failed, 0 skipped, in ")
		assert.NotContains(t, stdout, "repeatable")
	})
	t.Run("json", func(t *testing.T) {
		code, stdout, _ := conformance(t.Context(), append(quick(address), "--run", "one-value|client-certificate", "--output", "json")...)
		assert.Equal(t, ExitFailed, code)
		var doc Report
		require.NoError(t, json.Unmarshal([]byte(stdout), &doc))
		assert.Equal(t, address, doc.Address)
		assert.Equal(t, 1, doc.Failed)
		assert.Equal(t, 1, doc.Skipped)
		assert.Equal(t, "metrics.one-value", doc.Checks[0].Name)
		assert.Equal(t, contract.Fail, doc.Checks[0].Status)
		assert.Equal(t, "there are 2 values", doc.Checks[0].Reason)
		assert.Equal(t, contract.Skip, doc.Checks[1].Status)
		assert.NotEmpty(t, doc.Checks[1].Why)
	})
	t.Run("verbose tells the reason of what passed", func(t *testing.T) {
		code, stdout, _ := conformance(t.Context(), append(quick(address), "--run", "metric-spec.target", "--verbose")...)
		assert.Equal(t, ExitPassed, code)
		assert.Regexp(t, `PASS  metric-spec.target +target 5\n +rule `, stdout)
	})
}

func TestSomebodyElseEndsTheScaler(t *testing.T) {
	t.Parallel()
	s := model.New()
	address := start(t, s)
	var stdout, stderr output
	ended := make(chan int, 1)
	go func() {
		ended <- Run(t.Context(), none, append(quick(address), "--run", "^shutdown", "--expect-shutdown", "20s", "--shutdown-time", "2s"), &stdout, &stderr)
	}()
	require.Eventually(t, func() bool { return strings.Contains(stderr.String(), "end the scaler now, within 20s") }, time.Minute, 10*time.Millisecond)
	s.Shutdown(s)
	assert.Equal(t, ExitPassed, <-ended)
	assert.Contains(t, stdout.String(), "10 streams ended without an error")
}

func TestInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	code, _, stderr := conformance(ctx, append(quick(start(t, model.New())), "--run", "target")...)
	assert.NotEqual(t, ExitPassed, code)
	assert.NotEmpty(t, stderr)
}

func TestFlags(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "x.pem")
	require.NoError(t, os.WriteFile(file, []byte("no certificate"), 0o600))
	const address = "--address=127.0.0.1:1"
	tests := map[string]struct {
		args []string
		want string
	}{
		"no address":     {nil, "--address is missing: it must be host:port of the scaler"},
		"address":        {[]string{"--address", "9090"}, `--address is "9090": it must be host:port`},
		"nobody there":   {[]string{address}, `--address is "127.0.0.1:1": there must be a scaler; connecting without TLS`},
		"argument":       {[]string{address, "x"}, `argument "x" is not known`},
		"metadata":       {[]string{address, "--metadata", "queue"}, `invalid value "queue" for flag -metadata: it must be key=value`},
		"broken":         {[]string{address, "--broken-metadata", "=x"}, `invalid value "=x" for flag -broken-metadata`},
		"regexp":         {[]string{address, "--run", "("}, `invalid value "(" for flag -run`},
		"no check":       {[]string{address, "--run", "nothing"}, "--run and --skip leave no check: see --list"},
		"output":         {[]string{address, "--output", "xml"}, `--output is "xml": it must be text or json`},
		"half a pair":    {[]string{address, "--tls-cert", file}, "and --tls-key is \"\": give both or neither"},
		"no such file":   {[]string{address, "--tls-ca", "/nowhere"}, `--tls-ca is "/nowhere": it must be a readable file`},
		"no authority":   {[]string{address, "--tls-ca", file}, "--tls-ca is \"\": it must hold a certificate in PEM form"},
		"no pair":        {[]string{address, "--tls-cert", file, "--tls-key", file}, "the client's certificate and key: "},
		"server name":    {[]string{address, "--server-name", "x"}, `--server-name is "x": it is checked with TLS alone`},
		"timeout":        {[]string{address, "--timeout", "1s"}, "--timeout is \"1s\": it must be longer than --max-latency, 2s"},
		"repeats":        {[]string{address, "--repeat-min", "1h"}, "--repeat-min is \"1h0m0s\": it must be shorter than --repeat-max, 30s"},
		"two shutdowns":  {[]string{address, "--shutdown-pid", "99", "--expect-shutdown", "1s"}, "leave one out"},
		"pid of init":    {[]string{address, "--shutdown-pid", "1"}, "--shutdown-pid is 1: it must be the process id of the scaler"},
		"our own pid":    {[]string{address, "--shutdown-pid", strconv.Itoa(os.Getpid())}, "it must be the process id of the scaler"},
		"callers":        {[]string{address, "--callers", "0"}, `--callers is "0": it must be at least 1`},
		"an unknown one": {[]string{"--port", "9090"}, "flag provided but not defined: -port"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := conformance(t.Context(), test.args...)
			assert.Equal(t, ExitUsage, code)
			assert.Contains(t, stderr, test.want)
			assert.Empty(t, stdout)
		})
	}
	t.Run("help", func(t *testing.T) {
		code, stdout, _ := conformance(t.Context(), "--help")
		assert.Equal(t, ExitPassed, code)
		assert.Contains(t, stdout, "-dead-backend-metadata key=value")
	})
	t.Run("list", func(t *testing.T) {
		code, stdout, _ := conformance(t.Context(), "--list", "--run", "^push")
		assert.Equal(t, ExitPassed, code)
		assert.Contains(t, stdout, "push.repeats\n      rule   while active")
		assert.NotContains(t, stdout, "metrics.value")
	})
}
