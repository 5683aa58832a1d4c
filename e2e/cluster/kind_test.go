package cluster

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// standIns are docker, kind and kubectl as far as the provider uses them. They keep what
// they made as files of $STATE, and write down each command in $STATE/calls.
var standIns = map[string]string{
	"docker": `
echo "docker $*" >> "$STATE/calls"
case "$1 $2" in
"network inspect") [ -e "$STATE/network" ] ;;
"network rm") [ ! -e "$STATE/in-use" ] && rm "$STATE/network" || { echo "network kind has active endpoints" >&2; exit 1; } ;;
"pull "*) [ ! -e "$STATE/no-registry" ] ;;
"image inspect") [ ! -e "$STATE/no-registry" ] ;;
esac`,
	"kind": `
echo "kind $*" >> "$STATE/calls"
case "$1 $2" in
"get clusters") ls "$STATE/clusters" ;;
"create cluster")
  touch "$STATE/network" "$STATE/clusters/$4"
  cat > "$STATE/config"
  [ ! -e "$STATE/interrupt" ] || { echo "signal: interrupt" >&2; exit 130; } ;;
"delete cluster") rm -f "$STATE/clusters/$4" ;;
esac`,
	"kubectl": `
echo '{"status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Available", "status": "True"}]}}'`,
}

// A machine with Docker, as the stand-ins play it.
type dockerMachine struct {
	t                  *testing.T
	path, state, tools string
	said               bytes.Buffer
}

func newDockerMachine(t *testing.T) *dockerMachine {
	t.Helper()
	m := &dockerMachine{t: t, path: t.TempDir(), state: t.TempDir(), tools: t.TempDir()}
	m.program(filepath.Join(m.path, "docker"), standIns["docker"])
	// A kind of another version, which must not be run.
	m.program(filepath.Join(m.path, "kind"), `echo "the kind on the PATH" >> "$STATE/calls"; exit 1`)
	m.program(filepath.Join(m.tools, "kind-"+kindVersion, "kind"), standIns["kind"])
	m.program(filepath.Join(m.tools, "kubectl"), standIns["kubectl"])
	if err := os.Mkdir(filepath.Join(m.state, "clusters"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("STATE", m.state)
	t.Setenv("PATH", m.path+":/usr/bin:/bin")
	return m
}

func (m *dockerMachine) program(path, script string) {
	m.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		m.t.Fatal(err)
	}
}

func (m *dockerMachine) set(name string) {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(m.state, name), nil, 0o644); err != nil {
		m.t.Fatal(err)
	}
}

func (m *dockerMachine) clear(name string) {
	m.t.Helper()
	if err := os.Remove(filepath.Join(m.state, name)); err != nil {
		m.t.Fatal(err)
	}
}

func (m *dockerMachine) has(name string) bool {
	_, err := os.Stat(filepath.Join(m.state, name))
	return err == nil
}

// calls returns the commands that begin so, and forgets all.
func (m *dockerMachine) calls(prefix string) []string {
	m.t.Helper()
	path := filepath.Join(m.state, "calls")
	data, err := os.ReadFile(path)
	if err != nil {
		m.t.Fatal(err)
	}
	m.clear("calls")
	calls := strings.Split(strings.TrimSpace(string(data)), "\n")
	if slices.Contains(calls, "the kind on the PATH") {
		m.t.Error("the kind on the PATH was run, whatever its version")
	}
	return slices.DeleteFunc(calls, func(call string) bool { return !strings.HasPrefix(call, prefix) })
}

func (m *dockerMachine) cluster(dir string, hpaSyncPeriod time.Duration) *Cluster {
	m.t.Helper()
	c, err := New(Options{Dir: dir, Tools: m.tools, HPASyncPeriod: hpaSyncPeriod, Out: &m.said})
	if err != nil {
		m.t.Fatal(err)
	}
	return c
}

func TestKindGoesOnWithACreatedCluster(t *testing.T) {
	m := newDockerMachine(t)
	c := m.cluster(filepath.Join(t.TempDir(), "state"), time.Second)
	for range 2 {
		if err := c.Up(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := m.calls("kind create"); len(got) != 1 {
		t.Errorf("created %d times: %v", len(got), got)
	}
	config, err := os.ReadFile(filepath.Join(m.state, "config"))
	if err != nil || !strings.Contains(string(config), "horizontal-pod-autoscaler-sync-period\n      value: \"1s\"") {
		t.Errorf("the configuration is %s (%v)", config, err)
	}
}

// An interrupted creation leaves a container, whose node may lack anything.
func TestKindMakesAnInterruptedClusterAnew(t *testing.T) {
	m := newDockerMachine(t)
	c := m.cluster(filepath.Join(t.TempDir(), "state"), time.Second)
	m.set("interrupt")
	if err := c.Up(t.Context()); err == nil || !strings.Contains(err.Error(), "signal: interrupt") {
		t.Fatalf("an interrupted creation: %v", err)
	}
	m.clear("interrupt")
	m.calls("")
	if err := c.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, call := range m.calls("kind ") {
		order = append(order, strings.Fields(call)[1])
	}
	if want := []string{"get", "delete", "create"}; !slices.Equal(order, want) {
		t.Errorf("kind was asked to %v, want %v", order, want)
	}
	if err := c.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	if m.has("network") {
		t.Error("Docker's network is left, which the first creation made")
	}
}

func TestKindRefusesAnotherHPASyncPeriod(t *testing.T) {
	m := newDockerMachine(t)
	dir := filepath.Join(t.TempDir(), "state")
	if err := m.cluster(dir, 15*time.Second).Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := m.cluster(dir, 5*time.Second).Up(t.Context())
	if err == nil {
		t.Fatal("another period was ignored")
	}
	for _, part := range []string{"15s", "5s", "make cluster-down", "HPA_SYNC_PERIOD=15s"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%v: lacks %q", err, part)
		}
	}
}

func TestKindRefusesAnotherNodeImage(t *testing.T) {
	m := newDockerMachine(t)
	dir := filepath.Join(t.TempDir(), "state")
	c := m.cluster(dir, time.Second)
	c.opts.KindImage = "kindest/node:v1.0.0"
	if err := c.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := m.calls("kind create"); len(got) != 1 || !strings.Contains(got[0], "--image kindest/node:v1.0.0 ") {
		t.Errorf("created by %v", got)
	}
	err := m.cluster(dir, time.Second).Up(t.Context())
	if err == nil || !strings.Contains(err.Error(), "kindest/node:v1.0.0") || !strings.Contains(err.Error(), kindImage) {
		t.Errorf("another image: %v", err)
	}
}

// Two checkouts have two clusters.
func TestKindLeavesOthersAlone(t *testing.T) {
	m := newDockerMachine(t)
	first, second := m.cluster(filepath.Join(t.TempDir(), "state"), time.Second), m.cluster(filepath.Join(t.TempDir(), "state"), time.Second)
	for _, c := range []*Cluster{first, second} {
		if err := c.Up(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := m.calls("kind create"); len(got) != 2 {
		t.Errorf("%d clusters of two checkouts: %v", len(got), got)
	}
	m.set("in-use") // by the second's node
	if err := first.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	other := &kindProvider{Cluster: second}
	if !m.has("clusters/"+other.name()) || !m.has("network") {
		t.Error("down took the other checkout's cluster, or its network")
	}
	for _, part := range []string{"left in Docker: the network", "active endpoints", "docker rmi " + kindImage} {
		if !strings.Contains(m.said.String(), part) {
			t.Errorf("down does not say %q:\n%s", part, m.said.String())
		}
	}
	m.clear("in-use")
	if err := second.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !m.has("network") {
		t.Error("the second removed a network that it had not made")
	}
}

func TestProviderAsksForNoBuiltProgram(t *testing.T) {
	m := newDockerMachine(t)
	m.tools = filepath.Join(t.TempDir(), "empty")
	c := m.cluster(filepath.Join(t.TempDir(), "state"), time.Second)
	if name, err := c.Provider(t.Context()); err != nil || name != ProviderKind {
		t.Errorf("where Docker can pull: %s, %v", name, err)
	}
	m.set("no-registry")
	if name, err := c.Provider(t.Context()); err != nil || name != ProviderNode {
		t.Errorf("where Docker can't pull: %s, %v", name, err)
	}
	if err := (marker{Provider: ProviderKind}).write(c.opts.Dir); err != nil {
		t.Fatal(err)
	}
	if name, err := c.Provider(t.Context()); err != nil || name != ProviderKind {
		t.Errorf("of a cluster that is up: %s, %v", name, err)
	}
}

// The version is in the folder's name, so that another one is built anew; and what an
// interrupted build leaves is not the program.
func TestKindIsBuiltAtItsVersion(t *testing.T) {
	m := newDockerMachine(t)
	m.tools = t.TempDir()
	m.program(filepath.Join(m.path, "go"), `
echo "go $*" >> "$STATE/calls"
[ ! -e "$STATE/interrupt" ] || { echo half > "$GOBIN/kind"; exit 1; }
echo whole > "$GOBIN/kind"`)
	k := &kindProvider{Cluster: m.cluster(filepath.Join(t.TempDir(), "state"), time.Second)}
	m.set("interrupt")
	if err := k.install(t.Context()); err == nil {
		t.Error("an interrupted build is no error")
	}
	if entries, err := os.ReadDir(filepath.Dir(k.program())); err != nil || len(entries) > 0 {
		t.Errorf("an interrupted build leaves %v (%v)", entries, err)
	}
	m.clear("interrupt")
	for range 2 {
		if err := k.install(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if content, err := os.ReadFile(k.program()); err != nil || string(content) != "whole\n" {
		t.Errorf("built %q (%v)", content, err)
	}
	if got, want := m.calls("go install"), "go install sigs.k8s.io/kind@"+kindVersion; len(got) != 2 || got[1] != want {
		t.Errorf("got %v", got)
	}
}
