package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// asController makes the test binary run main in place of the tests, with its value as further
// arguments.
const asController = "CONTROLLER_TEST_RUN_MAIN"

func TestMain(m *testing.M) {
	if arguments := os.Getenv(asController); arguments != "" {
		os.Args = append(os.Args[:1], "--scaler-address=127.0.0.1:1", "--metrics-bind-address=0", "--health-probe-bind-address=0")
		os.Args = append(os.Args, strings.Fields(arguments)...)
		main()
		return
	}
	os.Exit(m.Run())
}

// A controller that waits for an API server which does not answer takes no note of a first
// signal. A second one ends it at once, as it does every program.
func TestASecondSignalEndsTheController(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = silent.Close() })
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	require.NoError(t, os.WriteFile(kubeconfig, fmt.Appendf(nil, `{apiVersion: v1, kind: Config, current-context: a,
clusters: [{name: a, cluster: {server: "http://%s"}}], contexts: [{name: a, context: {cluster: a}}]}`, silent.Addr()), 0o600))
	var out bytes.Buffer
	controller := exec.Command(os.Args[0])
	controller.Env = append(os.Environ(), asController+"=--log-level=info", "KUBECONFIG="+kubeconfig)
	controller.Stdout, controller.Stderr = &out, &out
	require.NoError(t, controller.Start())
	ended := make(chan struct{})
	go func() {
		_ = controller.Wait() // its state tells
		close(ended)
	}()
	t.Cleanup(func() { _ = controller.Process.Kill(); <-ended }) // it may have ended
	asked := make(chan error, 1)
	go func() {
		connection, err := silent.Accept()
		if err == nil {
			t.Cleanup(func() { _ = connection.Close() })
		}
		asked <- err
	}()
	select {
	case err := <-asked:
		require.NoError(t, err)
	case <-ended:
		require.FailNow(t, "it ended by itself", out.String())
	case <-time.After(30 * time.Second):
		require.FailNow(t, "it asked for nothing")
	}
	again := time.NewTicker(10 * time.Millisecond) // until the first is noted, the second is the same one
	defer again.Stop()
	deadline := time.After(30 * time.Second) // client-go gives up after 32 s
	for {
		select {
		case <-again.C:
			_ = controller.Process.Signal(syscall.SIGTERM) // it may have ended
		case <-ended:
			assert.Equal(t, syscall.SIGTERM, controller.ProcessState.Sys().(syscall.WaitStatus).Signal(), out.String()) //nolint:forcetypeassert // as on every Unix
			return
		case <-deadline:
			require.FailNow(t, "a second signal does not end it")
		}
	}
}
