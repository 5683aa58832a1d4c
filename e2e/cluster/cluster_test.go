package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestClash(t *testing.T) {
	free := []ipRoute{
		{"default", "eth0"}, {"192.0.2.0/24", "eth0"}, {"172.17.0.1", "docker0"},
		{nodeNetwork, hostLink}, {PodCIDR, hostLink}, // our own
	}
	if err := clash(free); err != nil {
		t.Error(err)
	}
	for _, taken := range []string{"10.0.0.0/8", "10.244.0.128/25", "10.0.0.7", PodCIDR} {
		err := clash(append(free, ipRoute{taken, "tun0"}))
		if err == nil || !strings.Contains(err.Error(), "tun0") {
			t.Errorf("%s: %v", taken, err)
		}
	}
}

func TestReadMarkerSparesForeignFolders(t *testing.T) {
	dir := t.TempDir()
	if _, err := readMarker(dir); !errors.Is(err, ErrNotUp) {
		t.Errorf("empty folder: %v", err)
	}
	if _, err := readMarker(filepath.Join(dir, "missing")); !errors.Is(err, ErrNotUp) {
		t.Errorf("missing folder: %v", err)
	}
	want := marker{Provider: ProviderNode, Sysctls: map[string]string{"kernel/panic": "0"}}
	if err := want.write(filepath.Join(dir, "state")); err != nil {
		t.Fatal(err)
	}
	if got, err := readMarker(filepath.Join(dir, "state")); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := readMarker(dir); err == nil || errors.Is(err, ErrNotUp) {
		t.Errorf("a folder of something else: %v", err)
	}
}

func TestDownOfForeignFolderDeletesNothing(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "precious")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := New(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Down(t.Context()); err == nil {
		t.Error("no error")
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}

func TestParseMountinfo(t *testing.T) {
	got, err := parseMountinfo(`24 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw
25 24 0:22 / /a\040b\134c rw - tmpfs none rw
26 24 0:23 net:[4026532] /state/netns rw - nsfs nsfs rw
`)
	want := []mount{{"/", "ext4"}, {`/a b\c`, "tmpfs"}, {"/state/netns", "nsfs"}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestNamesDir(t *testing.T) {
	n := nodeProvider{dir: "/home/u/.cluster"}
	for arg, want := range map[string]bool{
		"/home/u/.cluster/config/containerd.toml":   true,
		"--data-dir=/home/u/.cluster/etcd":          true,
		"/home/u/.cluster-2/config/containerd.toml": false,
		"--data-dir=/home/u/.cluster-2/etcd":        false,
		"--":                                        false,
	} {
		if got := n.namesDir(arg); got != want {
			t.Errorf("%s: got %v", arg, got)
		}
	}
}

// The version is pinned by the go.mod that KEDA's programs are built with.
func TestKEDAVersionIsTheOneBuilt(t *testing.T) {
	data, err := os.ReadFile("../binaries/keda/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if want := "github.com/kedacore/keda/v2 v" + kedaVersion; !slices.Contains(strings.Fields(string(data)), "v"+kedaVersion) || !strings.Contains(string(data), want) {
		t.Errorf("go.mod does not require %s", want)
	}
}

func TestKEDAManifest(t *testing.T) {
	var source string
	for _, image := range kedaImages {
		source += "        image: " + image.repository + ":main\n        imagePullPolicy: Always\n"
	}
	got, err := kedaManifest(source)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(got, ":main") || strings.Contains(got, "Always") {
		t.Errorf("left as it was:\n%s", got)
	}
	for _, image := range kedaImages {
		if !strings.Contains(got, "image: "+image.name()+"\n") {
			t.Errorf("no image %s in\n%s", image.name(), got)
		}
	}
	if _, err := kedaManifest(strings.Replace(source, ":main", ":next", 1)); err == nil {
		t.Error("a manifest with other images was accepted")
	}
}

func TestHasCondition(t *testing.T) {
	const ready = `{"status":{"conditions":[{"type":"Other","status":"True"},{"type":"Ready","status":"True"}]}}`
	const unready = `{"status":{"conditions":[{"type":"Ready","status":"False","message":"no network"}]}}`
	if err := hasCondition([]byte(ready), "node", "Ready"); err != nil {
		t.Error(err)
	}
	if err := hasCondition([]byte(unready), "node", "Ready"); err == nil || !strings.Contains(err.Error(), "no network") {
		t.Errorf("not ready: %v", err)
	}
	if err := hasCondition([]byte(`{}`), "node", "Ready"); err == nil {
		t.Error("a missing condition counts as met")
	}
}
