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

// run runs a program to its end and returns its standard output. Its error holds what the
// program said on standard error.
func run(ctx context.Context, stdin string, program string, args ...string) (string, error) {
	path := program
	if !filepath.IsAbs(path) {
		if path = lookPath(program); path == "" {
			return "", fmt.Errorf("%s: no such program in %s", program, programPath)
		}
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = environment(os.TempDir())
	cmd.WaitDelay = 5 * time.Second
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s %s: %w: %s", filepath.Base(program), strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}
