//go:build cluster

package cluster

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// machine is what a test may not change: each entry is a thing that a cluster makes.
func machine(t *testing.T) map[string]bool {
	t.Helper()
	state := map[string]bool{}
	for _, command := range [][]string{
		{"ip", "-brief", "link"}, {"ip", "-4", "route"}, {"ip", "netns"}, {"iptables-save"}, {"iptables-save", "--table", "nat"},
	} {
		out, err := run(t.Context(), "", command[0], command[1:]...)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out) {
			if !strings.HasPrefix(line, "#") { // a time and a version
				state[strings.Join(command, " ")+": "+strings.Join(strings.Fields(line), " ")] = true
			}
		}
	}
	all, err := mounts()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		state["mount: "+m.path] = true
	}
	values, err := readSysctls()
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range values {
		state["sysctl: "+name+"="+value] = true
	}
	for _, root := range []string{"/sys/fs/cgroup", "/var/lib", "/var/log", "/usr/libexec", "/opt", "/etc", "/run"} {
		addFolders(t, state, root)
	}
	return state
}

// addFolders adds the folders three levels deep. Deeper ones may come and go by others.
func addFolders(t *testing.T, state map[string]bool, root string) {
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // it is gone, which is no failure
		}
		if entry.IsDir() {
			state["folder: "+path] = true
			if strings.Count(path, "/")-strings.Count(root, "/") >= 3 {
				return filepath.SkipDir
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestUpDown takes about four minutes. It needs root, the programs of TOOLS_DIR and a
// machine that runs no test cluster.
func TestUpDown(t *testing.T) {
	tools := os.Getenv("TOOLS_DIR")
	if tools == "" {
		t.Skip("TOOLS_DIR is not set")
	}
	dir := filepath.Join(os.TempDir(), "pubsub-e2e-test")
	c, err := New(Options{Dir: dir, Tools: tools, Provider: ProviderNode, KEDA: true, Out: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	before := machine(t)
	t.Cleanup(func() {
		if err := c.Down(context.Background()); err != nil {
			t.Error(err)
		}
	})
	up(t, c)
	start := time.Now()
	up(t, c)
	if took := time.Since(start); took > 15*time.Second {
		t.Errorf("up of a cluster that is up took %s", took)
	}
	use(t, c)

	crash(t, c)
	up(t, c)
	use(t, c)

	if _, err := run(t.Context(), "", "ip", "link", "delete", hostLink); err != nil {
		t.Fatal(err)
	}
	up(t, c)
	use(t, c)

	for range 2 {
		if err := c.Down(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	left, err := c.Leftovers(t.Context())
	if err != nil || len(left) > 0 {
		t.Errorf("left on the machine: %v, %v", left, err)
	}
	after := machine(t)
	for _, what := range slices.Sorted(maps.Keys(after)) {
		if !before[what] {
			t.Errorf("new on the machine: %s", what)
		}
	}
	for _, what := range slices.Sorted(maps.Keys(before)) {
		if !after[what] {
			t.Errorf("gone from the machine: %s", what)
		}
	}
}

func up(t *testing.T, c *Cluster) {
	t.Helper()
	if err := c.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	components, err := c.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, component := range components {
		if !component.Healthy {
			t.Errorf("%s: %s", component.Name, component.Detail)
		}
	}
}

// use runs what goes through each of the node's parts: the kubelet's API and its image
// store, the pods' network and kube-proxy.
func use(t *testing.T, c *Cluster) {
	t.Helper()
	n := &nodeProvider{Cluster: c, dir: c.opts.Dir}
	for _, args := range [][]string{
		{"logs", "--namespace=kube-system", "deployment/coredns"},
		{"exec", "--namespace=kube-system", "deployment/coredns", "--", "/coredns", "-version"},
		{"get", "--raw", "/apis/external.metrics.k8s.io/v1beta1"},
	} {
		if out, err := n.kubectl().run(t.Context(), "", args...); err != nil || out == "" {
			t.Errorf("%v: %q, %v", args, out, err)
		}
	}
	// By the route to Services, from the machine.
	url := "https://" + apiserverServiceAddress + "/readyz"
	if err := healthy(t.Context(), url); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("GET %s: %v", url, err)
	}
}

// crash ends all processes of the cluster at once and takes its network away, as a reboot
// does.
func crash(t *testing.T, c *Cluster) {
	t.Helper()
	n := &nodeProvider{Cluster: c, dir: c.opts.Dir}
	strays, err := n.processes()
	if err != nil {
		t.Fatal(err)
	}
	pods, err := cgroupProcesses()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range strays {
		pods = append(pods, p.process)
	}
	var errs []error
	for _, p := range pods {
		errs = append(errs, p.stop(t.Context(), 0))
	}
	if _, err := run(t.Context(), "", "ip", "link", "delete", hostLink); err != nil {
		errs = append(errs, err)
	}
	errs = append(errs, syscall.Unmount(n.network().netns(), 0))
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}
