package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// tools runs the built programs against the cluster.
type tools struct {
	dir, kubeconfig string
}

// command prepares a program of the tools folder.
func (t tools) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(t.dir, program), args...)
	cmd.Env = append(withoutProxies(os.Environ()), "KUBECONFIG="+t.kubeconfig)
	// helm marks its release as failed when it is asked to end, and as pending for ever
	// when it is killed.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// withoutProxies drops proxy settings: a proxy knows nothing of the cluster's networks.
func withoutProxies(env []string) []string {
	return slices.DeleteFunc(env, func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return slices.Contains([]string{"http_proxy", "https_proxy", "all_proxy"}, strings.ToLower(name)) || name == "KUBECONFIG"
	})
}

// run runs a program to its end and returns its standard output. Its error holds what the
// program said on standard error.
func (t tools) run(ctx context.Context, stdin, program string, args ...string) (string, error) {
	cmd := t.command(ctx, program, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s %s: %w", program, strings.Join(args, " "), withWords(err, stderr.String()))
	}
	return stdout.String(), nil
}

// withWords puts what a program said in the place of a mere exit status.
func withWords(err error, said string) error {
	said = strings.TrimSpace(said)
	if exit := (*exec.ExitError)(nil); said != "" && errors.As(err, &exit) {
		return errors.New(said)
	}
	return err
}
