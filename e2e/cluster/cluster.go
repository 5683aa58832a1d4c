// Package cluster brings up a Kubernetes cluster with KEDA for the end-to-end tests and
// takes it down again without a trace.
//
// Two providers do so. "kind" runs the cluster in Docker. "node" needs neither Docker nor
// an image registry: it runs etcd, the control plane, containerd, kubelet and kube-proxy
// as processes of this machine, inside a network namespace of their own, and makes the
// images of CoreDNS and KEDA out of binaries that were built from Go modules.
//
// All state is in one folder. Everything else that the node provider makes on the machine
// (a link, three routes, one cgroup subtree) has a fixed name, see network.go, so there
// can be one such cluster on a machine at a time.
package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// The names of the providers.
const (
	ProviderAuto = "auto" // kind where it can work, else node
	ProviderKind = "kind"
	ProviderNode = "node"
)

// DefaultHPASyncPeriod is kube-controller-manager's own default.
const DefaultHPASyncPeriod = 15 * time.Second

// ErrNotUp is the error of what needs a cluster when there is none in the state folder.
var ErrNotUp = errors.New("no cluster here: run `cluster up` first")

// Options say which cluster is meant and how to make it.
type Options struct {
	// Dir is the state folder, an absolute path of at most 60 bytes: it holds Unix
	// sockets, whose paths may not exceed 107.
	Dir string
	// Tools is the folder of the built programs; see binaries.mk.
	Tools string
	// Provider is one of the Provider constants; default ProviderAuto. A cluster that is
	// up keeps the provider that it has.
	Provider string
	// HPASyncPeriod is how often the horizontal pod autoscaler runs; default
	// DefaultHPASyncPeriod. With kind it is fixed when the cluster is created: another one is
	// then an error.
	HPASyncPeriod time.Duration
	// KindImage is a node image of kind's pinned release, with its digest; default: the one of
	// the newest Kubernetes. It is fixed when the cluster is created.
	KindImage string
	// KEDA installs KEDA too.
	KEDA bool
	// Out receives progress lines; default io.Discard.
	Out io.Writer
}

// A Cluster is the cluster of one state folder, up or not.
type Cluster struct {
	opts     Options
	progress *progress
}

// A Component is one part of a cluster, as Status reports it.
type Component struct {
	Name    string
	Healthy bool
	// Detail is a process id, a count or the reason for not being healthy.
	Detail string
}

// A provider is one way to run a cluster.
type provider interface {
	up(ctx context.Context) error
	down(ctx context.Context) error
	status(ctx context.Context) []Component
	load(ctx context.Context, tar string) error
	// missing names each thing that keeps the provider from working here.
	missing(ctx context.Context) []string
}

// New returns the cluster of a state folder. It touches nothing.
func New(opts Options) (*Cluster, error) {
	if opts.HPASyncPeriod == 0 {
		opts.HPASyncPeriod = DefaultHPASyncPeriod
	}
	if opts.Provider == "" {
		opts.Provider = ProviderAuto
	}
	if opts.KindImage == "" {
		opts.KindImage = kindImage
	}
	if opts.Out == nil {
		opts.Out = io.Discard
	}
	switch opts.Provider {
	case ProviderAuto, ProviderKind, ProviderNode:
	default:
		return nil, fmt.Errorf("unknown provider %q: use auto, kind or node", opts.Provider)
	}
	if opts.HPASyncPeriod < time.Second {
		return nil, fmt.Errorf("HPA sync period %s: must be at least 1s", opts.HPASyncPeriod)
	}
	if !filepath.IsAbs(opts.Dir) || filepath.Clean(opts.Dir) != opts.Dir || opts.Dir == "/" {
		return nil, fmt.Errorf("state folder %q: must be a clean absolute path", opts.Dir)
	}
	return &Cluster{opts: opts, progress: newProgress(opts.Out)}, nil
}

// Kubeconfig is the path of the administrator's kubeconfig, which `up` writes.
func (c *Cluster) Kubeconfig() string { return filepath.Join(c.opts.Dir, "kubeconfig") }

// Up brings the cluster up, or what is missing of it, and returns when the node, DNS and
// KEDA are ready. It can be repeated at any time; also after a crash or a reboot.
func (c *Cluster) Up(ctx context.Context) error {
	unlock, err := c.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	m, err := readMarker(c.opts.Dir)
	if errors.Is(err, ErrNotUp) {
		m.Provider, err = c.choose(ctx)
	}
	if err != nil {
		return err
	}
	if c.opts.Provider != ProviderAuto && c.opts.Provider != m.Provider {
		return fmt.Errorf("the cluster in %s is of provider %s: take it down first", c.opts.Dir, m.Provider)
	}
	if err := c.provider(m.Provider).up(ctx); err != nil {
		return err
	}
	c.progress.say("the cluster is ready: export KUBECONFIG=%s", c.Kubeconfig())
	return nil
}

// Down ends the cluster and deletes its state folder. It may be repeated.
func (c *Cluster) Down(ctx context.Context) error {
	unlock, err := c.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	m, err := readMarker(c.opts.Dir)
	if errors.Is(err, ErrNotUp) {
		return nil
	}
	if err != nil {
		return err
	}
	return c.provider(m.Provider).down(ctx)
}

// Status reports on each part of the cluster; ErrNotUp without one.
func (c *Cluster) Status(ctx context.Context) ([]Component, error) {
	m, err := readMarker(c.opts.Dir)
	if err != nil {
		return nil, err
	}
	return c.provider(m.Provider).status(ctx), nil
}

// Load makes the images of tar files in the form of `docker save` known to the node.
// Pods need imagePullPolicy IfNotPresent or Never to use them.
func (c *Cluster) Load(ctx context.Context, tars ...string) error {
	m, err := readMarker(c.opts.Dir)
	if err != nil {
		return err
	}
	p := c.provider(m.Provider)
	for _, tar := range tars {
		err := c.progress.step(ctx, 5*time.Minute, "loading "+tar, func(ctx context.Context) error {
			return p.load(ctx, tar)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) provider(name string) provider {
	if name == ProviderKind {
		return &kindProvider{Cluster: c}
	}
	return &nodeProvider{Cluster: c, dir: c.opts.Dir}
}

// Provider returns the name of the provider that `up` uses: that of the cluster which is up,
// the one that Options names, or kind if Docker can run it and else node. It does not ask for
// the built programs, so that only that provider's need be built.
func (c *Cluster) Provider(ctx context.Context) (string, error) {
	m, err := readMarker(c.opts.Dir)
	switch {
	case err == nil:
		return m.Provider, nil
	case !errors.Is(err, ErrNotUp):
		return "", err
	case c.opts.Provider != ProviderAuto:
		return c.opts.Provider, nil
	case len((&kindProvider{Cluster: c}).engineMissing(ctx)) == 0:
		return ProviderKind, nil
	}
	return ProviderNode, nil
}

// choose returns the name of the provider to use for a new cluster.
func (c *Cluster) choose(ctx context.Context) (string, error) {
	names := []string{c.opts.Provider}
	if c.opts.Provider == ProviderAuto {
		names = []string{ProviderKind, ProviderNode}
	}
	var errs []error
	for _, name := range names {
		missing := c.provider(name).missing(ctx)
		if len(missing) == 0 {
			return name, nil
		}
		for _, what := range missing {
			errs = append(errs, fmt.Errorf("provider %s: %s", name, what))
		}
	}
	return "", fmt.Errorf("a cluster can't run here:\n%w", errors.Join(errs...))
}

// lock keeps a second `up` or `down` of the same state folder waiting. It locks the folder
// above, because the state folder itself comes and goes.
func (c *Cluster) lock(ctx context.Context) (unlock func(), err error) {
	parent := filepath.Dir(c.opts.Dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	f, err := os.Open(parent)
	if err != nil {
		return nil, fmt.Errorf("state folder: %w", err)
	}
	err = c.progress.step(ctx, 10*time.Minute, "waiting for another run to finish", func(ctx context.Context) error {
		return poll(ctx, 200*time.Millisecond, func(context.Context) error {
			return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		})
	})
	if err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

// A marker is the file that makes a folder a state folder. Without it `down` deletes
// nothing, whatever folder it is given.
type marker struct {
	Provider string `json:"provider"`
	// Sysctls are the kernel settings of the machine that the kubelet changes, as they
	// were before, by their path in /proc/sys.
	Sysctls map[string]string `json:"sysctls,omitempty"`
	// CreatedPaths are the folders at fixed places that did not exist before.
	CreatedPaths []string `json:"createdPaths,omitempty"`
	// Kind is of the provider kind.
	Kind kindMarker `json:"kind,omitzero"`
}

// A kindMarker is what the provider kind must know of its cluster later.
type kindMarker struct {
	// Created is false until the creation has succeeded.
	Created bool `json:"created,omitempty"`
	// HPASyncPeriod is the one that the cluster was created with.
	HPASyncPeriod string `json:"hpaSyncPeriod,omitempty"`
	// Image is the node image that it was created from.
	Image string `json:"image,omitempty"`
	// CreatedNetwork is true if Docker had no network of kind's before.
	CreatedNetwork bool `json:"createdNetwork,omitempty"`
}

func markerPath(dir string) string { return filepath.Join(dir, "cluster.json") }

// readMarker returns ErrNotUp where there is no state folder, or an empty one.
func readMarker(dir string) (marker, error) {
	var m marker
	data, err := os.ReadFile(markerPath(dir))
	if errors.Is(err, os.ErrNotExist) {
		entries, err := os.ReadDir(dir)
		if len(entries) > 0 {
			return m, fmt.Errorf("%s is not a cluster's state folder and is not empty", dir)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return m, fmt.Errorf("state folder: %w", err)
		}
		return m, fmt.Errorf("%s: %w", dir, ErrNotUp)
	}
	if err != nil {
		return m, fmt.Errorf("state folder: %w", err)
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("%s: %w", markerPath(dir), err)
	}
	return m, nil
}

func (m marker) write(dir string) error {
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("state folder: %w", err)
	}
	return writeFile(markerPath(dir), data, 0o644)
}

// writeFile writes a file whole or not at all.
func writeFile(path string, data []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, data, mode); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
