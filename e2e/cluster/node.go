package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// maxDirLength leaves room for the sockets in a state folder, see Options.Dir.
const maxDirLength = 60

// The node's daemons, in the order in which they start.
const (
	etcdName       = "etcd"
	containerdName = "containerd"
	apiserverName  = "kube-apiserver"
	managerName    = "kube-controller-manager"
	schedulerName  = "kube-scheduler"
	kubeletName    = "kubelet"
	proxyName      = "kube-proxy"
)

var daemonNames = []string{etcdName, containerdName, apiserverName, managerName, schedulerName, kubeletName, proxyName}

// A nodeProvider runs the cluster as processes of this machine, which must be Linux and
// whose root we must be.
type nodeProvider struct {
	*Cluster
	// dir is the state folder.
	dir string
}

func (n *nodeProvider) daemons() daemons { return daemons{dir: n.dir} }
func (n *nodeProvider) network() network { return network{dir: n.dir} }
func (n *nodeProvider) pki() pki         { return pki{dir: n.path("pki")} }
func (n *nodeProvider) kubectl() kubectl {
	return kubectl{path: n.tool("kubectl"), kubeconfig: n.Kubeconfig(), cacheDir: n.path("kubectl")}
}

// path is a path in the state folder.
func (n *nodeProvider) path(elem ...string) string {
	return filepath.Join(append([]string{n.dir}, elem...)...)
}

func (n *nodeProvider) tool(name string) string { return filepath.Join(n.opts.Tools, name) }

// client is the kubeconfig of one of the node's own components.
func (n *nodeProvider) client(name string) string { return n.path("config", name+".kubeconfig") }

// cniFolders are where distributions put the network plugins.
var cniFolders = []string{"/usr/lib/cni", "/opt/cni/bin"}

// cniFolder is the folder that has every plugin we need; empty without one.
func cniFolder() string {
folders:
	for _, dir := range cniFolders {
		for _, plugin := range []string{"ptp", "host-local", "portmap", "loopback"} {
			if _, err := os.Stat(filepath.Join(dir, plugin)); err != nil {
				continue folders
			}
		}
		return dir
	}
	return ""
}

// packages are the Debian packages of the programs that a node needs.
var packages = [][2]string{
	{"containerd", "containerd"}, {"ctr", "containerd"}, {"containerd-shim-runc-v2", "containerd"}, {"runc", "runc"},
	{"iptables", "iptables"}, {"conntrack", "conntrack"}, {"nsenter", "util-linux"}, {"unshare", "util-linux"},
	{"mount", "mount"}, {"ip", "iproute2"},
}

func (n *nodeProvider) missing(context.Context) []string {
	if runtime.GOOS != "linux" {
		return []string{"needs Linux"}
	}
	var missing []string
	if os.Geteuid() != 0 {
		missing = append(missing, "needs root")
	}
	if len(n.dir) > maxDirLength {
		missing = append(missing, fmt.Sprintf("the path of the state folder %s is longer than %d bytes, too long for the sockets in it", n.dir, maxDirLength))
	}
	for _, p := range packages {
		if lookPath(p[0]) == "" {
			missing = append(missing, fmt.Sprintf("no program %s (Debian package %s; make cluster-packages)", p[0], p[1]))
		}
	}
	if cniFolder() == "" {
		missing = append(missing, fmt.Sprintf("no network plugins in %s (Debian package containernetworking-plugins; make cluster-packages)", strings.Join(cniFolders, " or ")))
	}
	if _, err := os.Stat("/dev/kmsg"); err != nil { // the kubelet's OOM watcher ends it otherwise
		missing = append(missing, "no /dev/kmsg, which the kubelet reads")
	}
	tools := []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl", "coredns", "pause"}
	if n.opts.KEDA {
		tools = append(tools, "keda-operator", "keda-adapter", "keda-webhooks", "keda.yaml")
	}
	for _, tool := range tools {
		if _, err := os.Stat(n.tool(tool)); err != nil {
			missing = append(missing, fmt.Sprintf("no %s in %s (make cluster-binaries)", tool, n.opts.Tools))
		}
	}
	return missing
}

func (n *nodeProvider) up(ctx context.Context) error {
	if missing := n.missing(ctx); len(missing) > 0 {
		return fmt.Errorf("provider node: %s", strings.Join(missing, "; "))
	}
	if err := n.prepare(ctx); err != nil {
		return err
	}
	steps := []struct {
		name  string
		limit time.Duration
		run   func(context.Context) error
	}{
		{"containerd: waiting for its socket", time.Minute, n.startContainerd},
		{"etcd: waiting for it to be healthy", time.Minute, n.startEtcd},
		{"kube-apiserver: waiting for it to be ready", 3 * time.Minute, n.startApiserver},
		{"kube-controller-manager, kube-scheduler: starting", time.Minute, n.startControllers},
		{"images: writing and importing", 5 * time.Minute, n.importImages},
		{"kubelet: waiting for the node to be Ready", 3 * time.Minute, n.startKubelet},
		{"CoreDNS: waiting for it to be Available", 3 * time.Minute, n.installDNS},
	}
	for _, s := range steps {
		if err := n.progress.step(ctx, s.limit, s.name, s.run); err != nil {
			return err
		}
	}
	if n.opts.KEDA {
		return installKEDA(ctx, n.progress, n.kubectl(), n.tool("keda.yaml"), n.dir)
	}
	return nil
}

// prepare makes everything that the daemons find when they start.
func (n *nodeProvider) prepare(ctx context.Context) error {
	if err := n.clearAbandoned(ctx); err != nil {
		return fmt.Errorf("an abandoned cluster: %w", err)
	}
	intact, err := n.network().intact(ctx)
	if err != nil {
		return fmt.Errorf("network: %w", err)
	}
	if err := n.claim(); err != nil {
		return err
	}
	if !intact { // whatever still runs is in network namespaces that nothing reaches
		if err := n.end(ctx); err != nil {
			return err
		}
	}
	if err := n.network().up(ctx); err != nil {
		return fmt.Errorf("network: %w", err)
	}
	if err := makeCgroups(); err != nil {
		return fmt.Errorf("cgroups: %w", err)
	}
	if err := n.pki().ensure(time.Now()); err != nil {
		return err
	}
	if err := n.pki().writeKubeconfigs(n.path("config")); err != nil {
		return err
	}
	admin, err := os.ReadFile(n.client("admin"))
	if err != nil {
		return err
	}
	if err := writeFile(n.Kubeconfig(), admin, 0o600); err != nil {
		return err
	}
	return n.writeConfigs()
}

// claim makes the state folder ours. Nothing may be changed on the machine before.
func (n *nodeProvider) claim() error {
	m, err := readMarker(n.dir)
	if !errors.Is(err, ErrNotUp) {
		return err
	}
	m.Provider = ProviderNode
	if m.Sysctls, err = readSysctls(); err != nil {
		return err
	}
	for _, path := range fixedPaths {
		if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
			m.CreatedPaths = append(m.CreatedPaths, path)
		}
	}
	return m.write(n.dir)
}

func (n *nodeProvider) ensure(ctx context.Context, name, path string, args ...string) error {
	return n.daemons().ensure(ctx, daemon{name: name, path: path, args: args, netns: n.network().netns()})
}

// await polls check until it succeeds, and fails at once if the daemon dies. The error has
// the end of the daemon's log.
func (n *nodeProvider) await(ctx context.Context, name string, check func(context.Context) error) error {
	err := poll(ctx, 250*time.Millisecond, func(ctx context.Context) error {
		if err := n.daemons().running(name); err != nil {
			return err
		}
		return check(ctx)
	})
	var permanent permanentError
	if err == nil || errors.As(err, &permanent) {
		return err
	}
	return fmt.Errorf("%w; %s", err, n.daemons().logTail(name))
}

func (n *nodeProvider) status(ctx context.Context) []Component {
	var components []Component
	for _, name := range daemonNames {
		c := Component{Name: name, Detail: "not running"}
		if r, err := n.daemons().record(name); err == nil && r.alive() {
			c.Healthy, c.Detail = true, fmt.Sprintf("process %d", r.PID)
		}
		components = append(components, c)
	}
	node := Component{Name: "node", Healthy: true, Detail: "Ready"}
	if err := n.kubectl().nodeReady(ctx, NodeName); err != nil {
		node.Healthy, node.Detail = false, err.Error()
	}
	components = append(components, node)
	return append(components, n.kubectl().workloads(ctx, n.opts.KEDA)...)
}

// snapshotter is how containerd keeps images in the state folder: overlayfs can't be on
// top of overlayfs, which is what the root of a container is.
func snapshotter(dir string) string {
	const overlayMagic = 0x794c7630
	if fsMagic(dir) == overlayMagic {
		return "native"
	}
	return "overlayfs"
}
