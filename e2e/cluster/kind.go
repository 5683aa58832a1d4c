package cluster

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
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

// kindNetwork is the network in Docker that all of kind's clusters share. kind makes it
// and never removes it.
const kindNetwork = "kind"

// A kindProvider runs the cluster in Docker. Tests run it against stand-ins for docker, kind
// and kubectl; with the real ones it was run by hand.
type kindProvider struct{ *Cluster }

// name is the name of the cluster, from which kind makes that of its node's container. It
// has the state folder in it: two checkouts have two clusters, and neither takes the other's
// for its own.
func (k *kindProvider) name() string {
	return fmt.Sprintf("%s-%08x", NodeName, crc32.ChecksumIEEE([]byte(k.opts.Dir)))
}

func (k *kindProvider) node() string { return k.name() + "-control-plane" }

func (k *kindProvider) kubectl() kubectl {
	return kubectl{path: filepath.Join(k.opts.Tools, "kubectl"), kubeconfig: k.Kubeconfig(), cacheDir: filepath.Join(k.opts.Dir, "kubectl")}
}

func (k *kindProvider) missing(ctx context.Context) []string {
	missing := k.engineMissing(ctx)
	if len(missing) > 0 {
		return missing
	}
	needed := []string{"kubectl"}
	if k.opts.KEDA {
		needed = append(needed, "keda.yaml")
	}
	for _, tool := range needed {
		if _, err := os.Stat(filepath.Join(k.opts.Tools, tool)); err != nil {
			missing = append(missing, fmt.Sprintf("no %s in %s (make cluster-binaries-kind)", tool, k.opts.Tools))
		}
	}
	if err := k.install(ctx); err != nil {
		missing = append(missing, err.Error())
	}
	return missing
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
	m, err := readMarker(k.opts.Dir)
	if err != nil && !errors.Is(err, ErrNotUp) {
		return err
	}
	exists, err := k.exists(ctx)
	if err != nil {
		return err
	}
	if m.Kind.Created && exists {
		err = k.resume(ctx, m)
	} else {
		err = k.create(ctx, m, exists)
	}
	if err != nil {
		return err
	}
	err = k.progress.step(ctx, 3*time.Minute, "kind: waiting for the node to be Ready", func(ctx context.Context) error {
		return poll(ctx, time.Second, func(ctx context.Context) error {
			return errors.Join(
				k.kubectl().nodeReady(ctx, k.node()),
				k.kubectl().deploymentAvailable(ctx, "kube-system", "coredns"),
			)
		})
	})
	if err != nil || !k.opts.KEDA {
		return err
	}
	return installKEDA(ctx, k.progress, k.kubectl(), filepath.Join(k.opts.Tools, "keda.yaml"), k.opts.Dir)
}

// create makes the cluster. A container from before is of a creation that was interrupted:
// its node may lack anything, so it goes first.
func (k *kindProvider) create(ctx context.Context, m marker, exists bool) error {
	if m.Provider == "" {
		_, err := docker(ctx, "network", "inspect", kindNetwork)
		m = marker{Provider: ProviderKind, Kind: kindMarker{CreatedNetwork: err != nil}}
	}
	m.Kind.Created, m.Kind.HPASyncPeriod, m.Kind.Image = false, k.opts.HPASyncPeriod.String(), k.opts.KindImage
	if err := m.write(k.opts.Dir); err != nil {
		return err
	}
	// What was applied to an earlier cluster is not in this one.
	if err := os.RemoveAll(filepath.Join(k.opts.Dir, "applied")); err != nil {
		return err
	}
	if exists {
		k.progress.say("kind: an earlier creation of %s was interrupted: making it anew", k.name())
		if err := k.remove(ctx); err != nil {
			return err
		}
	}
	err := k.progress.step(ctx, 10*time.Minute, "kind: creating the cluster", func(ctx context.Context) error {
		_, err := k.kind(ctx, kindConfig(k.opts.HPASyncPeriod), "create", "cluster", "--name", k.name(),
			"--image", k.opts.KindImage, "--config", "-", "--kubeconfig", k.Kubeconfig(), "--wait", "3m")
		return err
	})
	if err != nil {
		return err
	}
	m.Kind.Created = true
	return m.write(k.opts.Dir)
}

// resume goes on with the cluster that is there. After a reboot of the machine the container
// is there, but does not run.
func (k *kindProvider) resume(ctx context.Context, m marker) error {
	if has, want := m.Kind.HPASyncPeriod, k.opts.HPASyncPeriod.String(); has != want {
		return fmt.Errorf("the HPA sync period of the cluster in %s is %s, and not the %s that is asked for: kind sets it at creation only, so take the cluster down first (make cluster-down), or ask for %s (HPA_SYNC_PERIOD=%s)",
			k.opts.Dir, has, want, has, has)
	}
	if m.Kind.Image != k.opts.KindImage {
		return fmt.Errorf("the node image of the cluster in %s is %s, and not the %s that is asked for: take the cluster down first (make cluster-down), or ask for that image (KIND_IMAGE)",
			k.opts.Dir, m.Kind.Image, k.opts.KindImage)
	}
	return k.progress.step(ctx, 3*time.Minute, "kind: starting the node", func(ctx context.Context) error {
		if _, err := docker(ctx, "start", k.node()); err != nil {
			return err
		}
		_, err := k.kind(ctx, "", "export", "kubeconfig", "--name", k.name(), "--kubeconfig", k.Kubeconfig())
		return err
	})
}

func (k *kindProvider) exists(ctx context.Context) (bool, error) {
	out, err := k.kind(ctx, "", "get", "clusters")
	return slices.Contains(strings.Fields(out), k.name()), err
}

func (k *kindProvider) remove(ctx context.Context) error {
	return k.progress.step(ctx, 3*time.Minute, "kind: deleting the cluster", func(ctx context.Context) error {
		_, err := k.kind(ctx, "", "delete", "cluster", "--name", k.name(), "--kubeconfig", k.Kubeconfig())
		return err
	})
}

func (k *kindProvider) down(ctx context.Context) error {
	m, err := readMarker(k.opts.Dir)
	if err != nil {
		return err
	}
	if err := k.install(ctx); err != nil {
		return err
	}
	if err := k.remove(ctx); err != nil {
		return err
	}
	if m.Kind.CreatedNetwork {
		// Docker refuses if a cluster of somebody else uses it by now.
		if _, err := docker(ctx, "network", "rm", kindNetwork); err != nil {
			k.progress.say("left in Docker: the network %q (%v)", kindNetwork, err)
		}
	}
	k.progress.say("kept in Docker, for the next time: the node image (docker rmi %s)", m.Kind.Image)
	return os.RemoveAll(k.opts.Dir)
}

func (k *kindProvider) status(ctx context.Context) []Component {
	node := Component{Name: "node", Healthy: true, Detail: "Ready"}
	if err := k.kubectl().nodeReady(ctx, k.node()); err != nil {
		node.Healthy, node.Detail = false, err.Error()
	}
	return append([]Component{node}, k.kubectl().workloads(ctx, k.opts.KEDA)...)
}

func (k *kindProvider) load(ctx context.Context, tar string) error {
	_, err := k.kind(ctx, "", "load", "image-archive", "--name", k.name(), tar)
	return err
}
