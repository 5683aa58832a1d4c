package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// kindVersion and kindImage belong together: a release of kind names the node image that
// it was made for, so that the cluster's Kubernetes is that image's and not the one of the
// tools folder.
const (
	kindVersion = "v0.33.0"
	kindImage   = "kindest/node:v1.37.0@sha256:a1ed56cfb0e7b93589bdf97c8cd566405a265939e3620fc4f5de89adff580ae5"
)

// A kindProvider runs the cluster in Docker. It is written after kind's documentation and
// source, and no test has run it yet: expect to find something to mend at the first use.
type kindProvider struct{ *Cluster }

// kind runs kind, which needs the user's own environment to find Docker. If it isn't on
// the PATH it is in the tools folder, see install.
func (k *kindProvider) kind(ctx context.Context, stdin string, args ...string) (string, error) {
	path, err := exec.LookPath("kind")
	if err != nil {
		path = filepath.Join(k.opts.Tools, "kind")
	}
	return runIn(ctx, os.Environ(), stdin, path, args...)
}

func docker(ctx context.Context, args ...string) (string, error) {
	return runIn(ctx, os.Environ(), "", "docker", args...)
}

// kindName is the name of the cluster, which kind also gives to its node container.
const kindName = NodeName

func (k *kindProvider) kubectl() kubectl {
	return kubectl{path: filepath.Join(k.opts.Tools, "kubectl"), kubeconfig: k.Kubeconfig(), cacheDir: filepath.Join(k.opts.Dir, "kubectl")}
}

func (k *kindProvider) missing(ctx context.Context) []string {
	if _, err := exec.LookPath("docker"); err != nil {
		return []string{"no program docker"}
	}
	info, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if _, err := docker(info, "info"); err != nil {
		return []string{"docker info: the Docker engine does not answer"}
	}
	var missing []string
	needed := []string{"kubectl"}
	if k.opts.KEDA {
		needed = append(needed, "keda.yaml")
	}
	for _, tool := range needed {
		if _, err := os.Stat(filepath.Join(k.opts.Tools, tool)); err != nil {
			missing = append(missing, fmt.Sprintf("no %s in %s (make cluster-binaries)", tool, k.opts.Tools))
		}
	}
	if err := k.install(ctx); err != nil {
		missing = append(missing, err.Error())
	}
	if _, err := docker(ctx, "image", "inspect", kindImage); err == nil {
		return missing
	}
	err := k.progress.step(ctx, 10*time.Minute, "kind: pulling the node image", func(ctx context.Context) error {
		_, err := docker(ctx, "pull", "--quiet", kindImage)
		return err
	})
	if err != nil {
		missing = append(missing, err.Error())
	}
	return missing
}

// install builds kind into the tools folder where there is none.
func (k *kindProvider) install(ctx context.Context) error {
	if _, err := exec.LookPath("kind"); err == nil {
		return nil
	}
	if _, err := os.Stat(filepath.Join(k.opts.Tools, "kind")); err == nil {
		return nil
	}
	return k.progress.step(ctx, 5*time.Minute, "kind: building "+kindVersion, func(ctx context.Context) error {
		env := append(os.Environ(), "GOBIN="+k.opts.Tools, "CGO_ENABLED=0")
		_, err := runIn(ctx, env, "", "go", "install", "sigs.k8s.io/kind@"+kindVersion)
		return err
	})
}

// kindConfig patches the one flag that the tests need. kubeadm's API v1beta4 has a list
// there, which a patch replaces as a whole: so it repeats kind's own entry.
func kindConfig(hpaSyncPeriod time.Duration) string {
	return `kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
- role: control-plane
kubeadmConfigPatches:
- |
  kind: ClusterConfiguration
  controllerManager:
    extraArgs:
    - name: enable-hostpath-provisioner
      value: "true"
    - name: horizontal-pod-autoscaler-sync-period
      value: "` + hpaSyncPeriod.String() + `"
`
}

func (k *kindProvider) up(ctx context.Context) error {
	if missing := k.missing(ctx); len(missing) > 0 {
		return fmt.Errorf("provider kind: %s", strings.Join(missing, "; "))
	}
	if err := (marker{Provider: ProviderKind}).write(k.opts.Dir); err != nil {
		return err
	}
	exists, err := k.exists(ctx)
	if err != nil {
		return err
	}
	err = k.progress.step(ctx, 10*time.Minute, "kind: creating the cluster", func(ctx context.Context) error {
		if exists {
			// After a reboot of the machine the container is there, but does not run.
			if _, err := docker(ctx, "start", kindName+"-control-plane"); err != nil {
				return err
			}
			_, err := k.kind(ctx, "", "export", "kubeconfig", "--name", kindName, "--kubeconfig", k.Kubeconfig())
			return err
		}
		_, err := k.kind(ctx, kindConfig(k.opts.HPASyncPeriod), "create", "cluster", "--name", kindName,
			"--image", kindImage, "--config", "-", "--kubeconfig", k.Kubeconfig(), "--wait", "3m")
		return err
	})
	if err != nil {
		return err
	}
	err = k.progress.step(ctx, 3*time.Minute, "kind: waiting for the node to be Ready", func(ctx context.Context) error {
		return poll(ctx, time.Second, func(ctx context.Context) error {
			return errors.Join(
				k.kubectl().nodeReady(ctx, kindName+"-control-plane"),
				k.kubectl().deploymentAvailable(ctx, "kube-system", "coredns"),
			)
		})
	})
	if err != nil || !k.opts.KEDA {
		return err
	}
	return installKEDA(ctx, k.progress, k.kubectl(), filepath.Join(k.opts.Tools, "keda.yaml"), k.opts.Dir)
}

func (k *kindProvider) exists(ctx context.Context) (bool, error) {
	out, err := k.kind(ctx, "", "get", "clusters")
	return strings.Contains("\n"+out, "\n"+kindName+"\n"), err
}

func (k *kindProvider) down(ctx context.Context) error {
	err := k.progress.step(ctx, 3*time.Minute, "kind: deleting the cluster", func(ctx context.Context) error {
		_, err := k.kind(ctx, "", "delete", "cluster", "--name", kindName, "--kubeconfig", k.Kubeconfig())
		return err
	})
	if err != nil {
		return err
	}
	return os.RemoveAll(k.opts.Dir)
}

func (k *kindProvider) status(ctx context.Context) []Component {
	node := Component{Name: "node", Healthy: true, Detail: "Ready"}
	if err := k.kubectl().nodeReady(ctx, kindName+"-control-plane"); err != nil {
		node.Healthy, node.Detail = false, err.Error()
	}
	return append([]Component{node}, k.kubectl().workloads(ctx, k.opts.KEDA)...)
}

func (k *kindProvider) load(ctx context.Context, tar string) error {
	_, err := k.kind(ctx, "", "load", "image-archive", "--name", kindName, tar)
	return err
}
