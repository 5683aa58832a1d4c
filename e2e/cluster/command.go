package cluster

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// programPath is where programs are looked up. A fixed list, because the PATH of an
// ordinary login often lacks the sbin folders that iptables, ip and runc are in.
const programPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// environment is all that a started program sees of ours. Above all no proxy settings:
// with them the apiserver would call KEDA's metrics adapter, and kubectl the apiserver,
// through a proxy that knows nothing of the cluster's networks.
func environment(home string) []string {
	return []string{"PATH=" + programPath, "HOME=" + home, "LANG=C.UTF-8", "TMPDIR=" + os.TempDir()}
}

// lookPath finds a program of the machine; empty if there is none.
func lookPath(program string) string {
	for _, dir := range filepath.SplitList(programPath) {
		path := filepath.Join(dir, program)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path
		}
	}
	return ""
}

// run runs a program of the machine, or one given by its path, to its end and returns its
// standard output. Its error holds what the program said on standard error.
func run(ctx context.Context, stdin string, program string, args ...string) (string, error) {
	path := program
	if !filepath.IsAbs(path) {
		if path = lookPath(program); path == "" {
			return "", fmt.Errorf("%s: no such program in %s", program, programPath)
		}
	}
	return runIn(ctx, environment(os.TempDir()), stdin, path, args...)
}

// runIn is run in a given environment.
func runIn(ctx context.Context, env []string, stdin string, path string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = env
	cmd.WaitDelay = 5 * time.Second
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if err == nil {
		return stdout.String(), nil
	}
	if said := strings.TrimSpace(stderr.String()); said != "" {
		err = fmt.Errorf("%w: %s", err, said)
	}
	return stdout.String(), fmt.Errorf("%s %s: %w", filepath.Base(path), strings.Join(args, " "), err)
}
