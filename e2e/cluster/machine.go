package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// sysctls are the settings of the whole machine that the kubelet changes as it starts, and
// has no way to leave alone. `down` puts them back.
var sysctls = []string{
	"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
	"kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
}

func readSysctls() (map[string]string, error) {
	values := map[string]string{}
	for _, name := range sysctls {
		data, err := os.ReadFile(filepath.Join("/proc/sys", name))
		if err != nil {
			return nil, fmt.Errorf("sysctl: %w", err)
		}
		values[name] = strings.TrimSpace(string(data))
	}
	return values, nil
}

func restoreSysctls(values map[string]string) error {
	now, err := readSysctls()
	if err != nil {
		return err
	}
	for name, value := range values {
		if now[name] == value {
			continue
		}
		if err := os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0o644); err != nil {
			return fmt.Errorf("sysctl: %w", err)
		}
	}
	return nil
}

// fixedPaths are the folders outside of the state folder that containerd, the network
// plugins and the kubelet use whatever their configuration says, a folder after its content.
var fixedPaths = []string{
	"/run/containerd/fifo",
	shimSockets,
	"/run/containerd/runc",
	"/run/containerd",
	"/var/lib/cni/results",
	"/var/lib/cni/networks",
	"/var/lib/cni",
	devicePlugins,
	"/var/lib/kubelet",
	"/var/log/containers",
	"/var/log/pods",
	"/run/mount", // of the program mount, which the kubelet runs
}

// shimSockets is where containerd's shims listen.
const shimSockets = "/run/containerd/s"

// devicePlugins is where the kubelet listens for device plugins.
const devicePlugins = "/var/lib/kubelet/device-plugins"

// ourFiles returns the files in fixedPaths that belong to the cluster of a state folder.
func ourFiles(dir string) []string {
	var ours []string
	// The kubelet's links to the containers' logs.
	links, _ := filepath.Glob("/var/log/containers/*.log")
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && within(target, dir) {
			ours = append(ours, link)
		}
	}
	// What libcni remembers of pods whose network was never taken down in order, by the
	// ids of their sandboxes.
	sandboxes, _ := filepath.Glob(filepath.Join(dir, "containerd/root/io.containerd.grpc.v1.cri/sandboxes/*"))
	for _, sandbox := range sandboxes {
		results, _ := filepath.Glob("/var/lib/cni/results/*-" + filepath.Base(sandbox) + "-*")
		ours = append(ours, results...)
	}
	// The sockets of containerd's shims.
	addresses, _ := filepath.Glob(filepath.Join(dir, "containerd/state/io.containerd.runtime.v2.task/k8s.io/*/address"))
	for _, path := range addresses {
		address, err := os.ReadFile(path)
		socket := strings.TrimPrefix(strings.TrimSpace(string(address)), "unix://")
		if err == nil && within(socket, shimSockets) {
			ours = append(ours, socket)
		}
	}
	return ours
}

// removeFixed removes our files at fixed places, and those folders there that are empty
// and did not exist before the cluster.
func removeFixed(files, created []string) error {
	var errs []error
	for _, path := range files {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	for _, path := range fixedPaths {
		if !slices.Contains(created, path) {
			continue
		}
		errs = append(errs, removeDeadSockets(path))
		err := syscall.Rmdir(path)
		if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ENOTEMPTY) {
			errs = append(errs, fmt.Errorf("folder %s: %w", path, err))
		}
	}
	return errors.Join(errs...)
}

// removeDeadSockets removes what processes that were killed have left in a folder that did
// not exist before the cluster: the kubelet's socket, and those of shims, which containerd
// forgets when it starts anew after a crash.
func removeDeadSockets(dir string) error {
	if dir != shimSockets && dir != devicePlugins {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	var errs []error
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		if entry.Type() == fs.ModeSocket && errors.Is(dialUnix(context.Background(), path), syscall.ECONNREFUSED) {
			errs = append(errs, os.Remove(path))
		}
	}
	return errors.Join(errs...)
}

// within reports whether a path is a folder or in it.
func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, dir+"/")
}

// dialUnix is nil as soon as something listens on the socket.
func dialUnix(ctx context.Context, path string) error {
	connection, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return err
	}
	return connection.Close()
}
