package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// down takes everything down in an order in which nothing is started again: the daemons
// from last to first, the pods, their shims, then mounts, network and folders. It works on
// whatever is left of a cluster, and goes on after an error as far as that is safe.
func (n *nodeProvider) down(ctx context.Context) error {
	m, err := readMarker(n.dir)
	if err != nil {
		return err
	}
	files := ourFiles(n.dir)
	if err := n.end(ctx); err != nil {
		return err
	}
	return errors.Join(
		n.network().down(ctx),
		n.unmountAll(),
		restoreSysctls(m.Sysctls),
		removeFixed(append(files, ourFiles(n.dir)...), m.CreatedPaths),
		n.removeDir(),
	)
}

// end ends all processes of the cluster.
func (n *nodeProvider) end(ctx context.Context) error {
	owner, err := networkOwner(ctx)
	if err != nil {
		return err
	}
	err = n.progress.step(ctx, 2*time.Minute, "ending the node's processes", n.endDaemons)
	if err != nil {
		return err
	}
	if owner == "" || owner == n.dir { // else the cgroup is that of another cluster
		err = n.progress.step(ctx, time.Minute, "ending the pods", endPods)
	}
	if err != nil {
		return err
	}
	return n.progress.step(ctx, time.Minute, "ending the containers' shims", n.endStrays)
}

// endDaemons ends each daemon that was recorded.
func (n *nodeProvider) endDaemons(ctx context.Context) error {
	// The kubelet goes first, or it would start pods again; etcd last, after its clients.
	names := []string{kubeletName, proxyName, managerName, schedulerName, apiserverName, containerdName, etcdName}
	var errs []error
	for _, name := range names {
		grace := 10 * time.Second
		if name == apiserverName {
			grace = time.Second // it would wait for watches to end, and etcd keeps all it knows
		}
		errs = append(errs, n.daemons().stop(ctx, name, grace))
	}
	return errors.Join(errs...)
}

// endPods ends the processes in our cgroups until there are none, and removes the cgroups.
func endPods(ctx context.Context) error {
	return poll(ctx, 50*time.Millisecond, func(ctx context.Context) error {
		pods, err := cgroupProcesses()
		if err != nil {
			return err
		}
		var errs []error
		for _, p := range pods {
			errs = append(errs, p.stop(ctx, 0))
		}
		// A cgroup stays busy until the kernel is done with the last process in it.
		return errors.Join(append(errs, removeCgroups())...)
	})
}

// endStrays ends the processes that belong to the cluster without being recorded: the
// shims, which containerd leaves running on purpose, and daemons whose record was lost.
func (n *nodeProvider) endStrays(ctx context.Context) error {
	strays, err := n.processes()
	if err != nil {
		return err
	}
	var errs []error
	for _, p := range strays {
		grace := time.Second
		if p.shim { // it heeds no SIGTERM while it has containers
			grace = 0
		}
		errs = append(errs, p.stop(ctx, grace))
	}
	return errors.Join(errs...)
}

// A stray is a process that is known to be ours by what it is rather than by a record.
type stray struct {
	process
	command string
	shim    bool
}

// processes returns the programs of the node and the shims that run for this state folder.
// Both name it in their arguments: a program is one of ours only if it is also one that we
// start, so that an editor with a file of ours open is not.
func (n *nodeProvider) processes() ([]stray, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var found []stray
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		data, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "cmdline"))
		if err != nil || len(data) == 0 {
			continue // it is gone, or is a kernel thread
		}
		args := strings.Split(string(bytes.TrimRight(data, "\x00")), "\x00")
		name := filepath.Base(args[0])
		shim := strings.HasPrefix(name, "containerd-shim")
		if !shim && !slices.Contains(daemonNames, name) || !slices.ContainsFunc(args[1:], n.namesDir) {
			continue
		}
		if p, err := identify(pid); err == nil {
			found = append(found, stray{process: p, command: name, shim: shim})
		}
	}
	return found, nil
}

// namesDir reports whether a program's argument is a path in the state folder, alone or
// after a flag's equals sign.
func (n *nodeProvider) namesDir(arg string) bool {
	if _, value, found := strings.Cut(arg, "="); found && strings.HasPrefix(arg, "-") {
		arg = value
	}
	return within(arg, n.dir)
}

// unmountAll unmounts everything in the state folder: the containers' root file systems,
// the pods' volumes and the network namespaces.
func (n *nodeProvider) unmountAll() error {
	all, err := mounts()
	if err != nil {
		return err
	}
	var errs []error
	for _, m := range slices.Backward(all) { // the last mounted is on top
		if within(m.path, n.dir) {
			if err := unmount(m.path); err != nil {
				errs = append(errs, fmt.Errorf("unmount %s: %w", m.path, err))
			}
		}
	}
	return errors.Join(errs...)
}

// removeDir deletes the state folder; never through a mount.
func (n *nodeProvider) removeDir() error {
	all, err := mounts()
	if err != nil {
		return err
	}
	for _, m := range all {
		if within(m.path, n.dir) {
			return fmt.Errorf("%s is still mounted: the state folder is left in place", m.path)
		}
	}
	// The marker goes last: what is left without it could not be taken down again.
	entries, err := os.ReadDir(n.dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if path := n.path(entry.Name()); path != markerPath(n.dir) {
			if err := os.RemoveAll(path); err != nil {
				return err
			}
		}
	}
	return os.RemoveAll(n.dir)
}
