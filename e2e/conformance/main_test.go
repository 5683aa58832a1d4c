package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/e2e/conformance/contract"
	"github.com/jawaracloud/pubsub-operator/e2e/conformance/internal/command"
	"github.com/jawaracloud/pubsub-operator/e2e/conformance/internal/model"
	"github.com/jawaracloud/pubsub-operator/e2e/conformance/kedaclient"
)

// The table of package contract's tests, with KEDA's own client.
func TestEveryFaultIsFoundWithKEDAsClient(t *testing.T) {
	t.Parallel()
	judged := model.RunFaults(t.Context(), kedaclient.New)
	for name, fault := range model.Faults() {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, judged[name].Err)
			var failed []string
			for _, r := range judged[name].Results {
				if r.Status == contract.Fail {
					failed = append(failed, r.Name)
				}
			}
			assert.Equal(t, []string{fault.Fails}, failed)
		})
	}
}

func TestKEDAsClientReadsAScalerBehindAPortForward(t *testing.T) {
	t.Parallel()
	s := model.New()
	s.TLS = model.Certificates().Server(true)
	results, err := model.Run(t.Context(), s, kedaclient.New, func(c *contract.Config) { c.ServerName = model.Name })
	require.NoError(t, err)
	for _, r := range results {
		assert.Equal(t, contract.Pass, r.Status, "%s: %s %s", r.Name, r.Seen, r.Reason)
	}
}

// freeAddress is an address of the loopback interface that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// process starts a program, waits until it listens, and ends it with the test.
func process(t *testing.T, address, program string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(program, args...)
	var log bytes.Buffer // read once the process has ended
	cmd.Stdout, cmd.Stderr = &log, &log
	require.NoError(t, cmd.Start())
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		<-ended
		if t.Failed() {
			t.Logf("%s:\n%s", filepath.Base(program), log.String())
		}
	})
	require.Eventually(t, func() bool {
		connection, err := net.Dial("tcp", address)
		if err != nil {
			return false
		}
		return connection.Close() == nil
	}, 5*time.Minute, 20*time.Millisecond, "%s does not listen on %s", program, address)
	return cmd
}

// backend starts a redis-server with 500 messages in the list "orders", of type string in
// "text".
func backend(t *testing.T) string {
	t.Helper()
	address := freeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	program, err := exec.LookPath("redis-server")
	require.NoError(t, err, "redis-server is missing: make test-packages installs it")
	process(t, address, program, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir())
	connection, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer func() { _ = connection.Close() }()
	require.NoError(t, connection.SetDeadline(time.Now().Add(time.Minute)))
	for _, command := range []string{"RPUSH orders" + strings.Repeat(" message", 500), "SET text x"} {
		_, err := fmt.Fprintf(connection, "%s\r\n", command)
		require.NoError(t, err)
		reply, err := bufio.NewReader(connection).ReadString('\n')
		require.NoError(t, err)
		require.False(t, strings.HasPrefix(reply, "-"), reply)
	}
	return address
}

// silence is a server that accepts connections and never answers.
func silence(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			defer func() { _ = connection.Close() }()
		}
	}()
	return listener.Addr().String()
}

// scalerProgram builds the product's scaler.
func scalerProgram(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "scaler")
	// With GOFLAGS as they are, or nothing that is built already would be used.
	build := exec.Command("go", "build", "-C", "../..", "-trimpath", "-buildvcs=false", "-o", program, "./cmd/scaler")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	text, err := build.CombinedOutput()
	require.NoError(t, err, "%s", text)
	return program
}

// report runs the program and reads its report.
func report(t *testing.T, args ...string) (int, map[string]command.ReportLine) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := command.Run(t.Context(), keda, append(args, "--output", "json"), &stdout, &stderr)
	var doc command.Report
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &doc), "%s%s", &stdout, &stderr)
	lines := map[string]command.ReportLine{}
	for _, line := range doc.Checks {
		lines[line.Name] = line
	}
	return code, lines
}

// patience are limits for a scaler on a machine that does much else. The contract's own are for production, and what is wrong in kind, such as a call
// that never ends, is found by these, too; make bench measures how quick the scaler is.
var patience = []string{"--max-latency", "20s", "--timeout", "40s", "--open-time", "30s", "--shutdown-time", "2m"}

// The product's scaler keeps the contract, with a real backend.
func TestOurScalerKeepsTheContract(t *testing.T) {
	t.Parallel()
	program, redis := scalerProgram(t), backend(t)
	tests := map[string]struct {
		tls  bool
		dead func(*testing.T) string
		args []string
		skip []string
	}{
		// It repeats an active state every 15 s: here several times, late ones too.
		"all checks": {
			dead: freeAddress,
			args: []string{"--stream-time", "70s", "--repeat-min", "10s", "--repeat-max", "45s"},
			skip: []string{"transport.client-certificate"},
		},
		"mutual TLS": {
			tls: true, dead: freeAddress,
			args: []string{"--stream-time", "10s"}, // before it repeats anything
			skip: []string{"push.repeats", "keda.push"},
		},
		"a backend that never answers": {
			dead: silence,
			args: []string{"--stream-time", "10s"},
			skip: []string{"transport.client-certificate", "push.repeats", "keda.push"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := freeAddress(t)
			flags := []string{"--without-cluster", "--grpc-bind-address", address, "--metrics-bind-address", "0", "--health-probe-bind-address", "0"}
			args := append([]string{
				"--address", address,
				"--metadata", "channelName=orders", "--metadata", "redisAddress=" + redis, "--metadata", "currentReplicas=1", "--metadata", "minReplicas=0",
				"--dead-backend-metadata", "redisAddress=" + test.dead(t),
				"--broken-metadata", "channelName=", "--broken-metadata", "targetQueueDepth=0", "--broken-metadata", "targetQueuDepth=5",
				"--broken-metadata", "channelName=text",
			}, slices.Concat(patience, test.args)...)
			if test.tls {
				dir := certificateFiles(t)
				flags = append(flags, "--tls-cert-dir", filepath.Join(dir, "server"), "--keda-names", model.Name)
				args = append(args, "--tls-ca", filepath.Join(dir, "client", "ca.crt"), "--tls-cert", filepath.Join(dir, "client", "tls.crt"), "--tls-key", filepath.Join(dir, "client", "tls.key"))
			}
			scaler := process(t, address, program, flags...)
			code, lines := report(t, append(args, "--shutdown-pid", strconv.Itoa(scaler.Process.Pid))...)
			var skipped []string
			for _, check := range contract.Checks() {
				line := lines[check.Name]
				t.Logf("%s %s: %s %s", line.Status, check.Name, line.Seen, line.Reason)
				assert.NotEqual(t, contract.Fail, line.Status, "%s: %s; %s", check.Name, line.Seen, line.Reason)
				if line.Status == contract.Skip {
					skipped = append(skipped, check.Name)
				}
			}
			assert.Equal(t, test.skip, skipped)
			assert.Equal(t, command.ExitPassed, code)
		})
	}
}

// certificateFiles writes the folders server and client, each like a Kubernetes TLS Secret.
func certificateFiles(t *testing.T) string {
	t.Helper()
	dir, authority := t.TempDir(), model.Certificates()
	for name, pair := range map[string]model.Pair{"server": authority.ServerPair, "client": authority.ClientPair} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o700))
		for file, text := range map[string]string{"ca.crt": authority.CA, "tls.crt": pair.Certificate, "tls.key": pair.Key} {
			require.NoError(t, os.WriteFile(filepath.Join(dir, name, file), []byte(text), 0o600))
		}
	}
	return dir
}
