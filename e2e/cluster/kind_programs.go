package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

func docker(ctx context.Context, args ...string) (string, error) {
	return runIn(ctx, os.Environ(), "", "docker", args...)
}

// engineMissing names what keeps Docker from running a node. It pulls the node image, since
// only that shows that Docker can.
func (k *kindProvider) engineMissing(ctx context.Context) []string {
	if _, err := exec.LookPath("docker"); err != nil {
		return []string{"no program docker"}
	}
	info, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if _, err := docker(info, "info"); err != nil {
		return []string{"docker info: the Docker engine does not answer"}
	}
	if _, err := docker(ctx, "image", "inspect", k.opts.KindImage); err == nil {
		return nil
	}
	err := k.progress.step(ctx, 10*time.Minute, "kind: pulling the node image", func(ctx context.Context) error {
		_, err := docker(ctx, "pull", "--quiet", k.opts.KindImage)
		return err
	})
	if err != nil {
		return []string{err.Error()}
	}
	return nil
}

// program is kind of the pinned version. One on the PATH may be older, and then refuses
// the configuration of a newer one.
func (k *kindProvider) program() string {
	return filepath.Join(k.opts.Tools, "kind-"+kindVersion, "kind")
}

// kind runs kind, which needs the user's own environment to find Docker.
func (k *kindProvider) kind(ctx context.Context, stdin string, args ...string) (string, error) {
	return runIn(ctx, os.Environ(), stdin, k.program(), args...)
}

// install builds kind if it is not in the tools folder. It gets its name last: go install
// writes in place, and an interrupted build must leave nothing that looks finished.
func (k *kindProvider) install(ctx context.Context) error {
	if _, err := os.Stat(k.program()); err == nil {
		return nil
	}
	return k.progress.step(ctx, 5*time.Minute, "kind: building "+kindVersion, func(ctx context.Context) (err error) {
		if err := os.MkdirAll(filepath.Dir(k.program()), 0o755); err != nil {
			return fmt.Errorf("tools folder: %w", err)
		}
		folder, err := os.MkdirTemp(filepath.Dir(k.program()), "build-")
		if err != nil {
			return fmt.Errorf("tools folder: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
		env := append(os.Environ(), "GOBIN="+folder, "CGO_ENABLED=0")
		if _, err := runIn(ctx, env, "", "go", "install", "sigs.k8s.io/kind@"+kindVersion); err != nil {
			return err
		}
		return os.Rename(filepath.Join(folder, "kind"), k.program())
	})
}
