//go:build e2e

package suite

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// commandTimeout bounds a program that has nothing to wait for.
const commandTimeout = time.Minute

// commandError is a program that failed, with what it printed.
type commandError struct {
	command string
	err     error
	stdout  string
	stderr  string
}

func (e *commandError) Error() string {
	return fmt.Sprintf("%s: %v: %s", e.command, e.err, strings.TrimSpace(e.stderr+"\n"+e.stdout))
}

func (e *commandError) Unwrap() error { return e.err }

// run runs a program and returns its standard output.
func run(ctx context.Context, program string, args ...string) (string, error) {
	return runWith(ctx, nil, program, args...)
}

func runWith(ctx context.Context, stdin io.Reader, program string, args ...string) (string, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, commandTimeout)
		defer cancel()
	}
	command := exec.CommandContext(ctx, program, args...)
	// A child that outlives its parent may keep the pipes open.
	command.WaitDelay = 5 * time.Second
	var stdout, stderr bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = stdin, &stdout, &stderr
	if err := command.Run(); err != nil {
		shown := append([]string{program}, args...)
		return stdout.String(), &commandError{command: strings.Join(shown, " "), err: err, stdout: stdout.String(), stderr: stderr.String()}
	}
	return stdout.String(), nil
}

// kubectl runs kubectl in the test's namespace and returns what it printed.
func (s *space) kubectl(args ...string) string {
	s.t.Helper()
	out, err := run(s.t.Context(), "kubectl", append([]string{"-n", s.name}, args...)...)
	require.NoError(s.t, err)
	return out
}

// apply applies a manifest in the test's namespace, as a user would.
func (s *space) apply(manifest string) error {
	_, err := runWith(s.t.Context(), strings.NewReader(manifest), "kubectl", "-n", s.name, "apply", "-f", "-")
	return err
}

// rows splits a table that kubectl printed into its fields.
func rows(table string) [][]string {
	var all [][]string
	for line := range strings.Lines(table) {
		if fields := strings.Fields(line); len(fields) > 0 {
			all = append(all, fields)
		}
	}
	return all
}

// requireRow returns the row whose first field is name.
func requireRow(t testing.TB, table, name string) []string {
	t.Helper()
	for _, row := range rows(table) {
		if row[0] == name {
			return row
		}
	}
	require.Failf(t, "row missing", "no row %q in:\n%s", name, table)
	return nil
}
