package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// A mount is one line of /proc/self/mountinfo.
type mount struct{ path, fsType string }

// mounts returns the mounts of this process, in the order in which they were made.
func mounts() ([]mount, error) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	return parseMountinfo(string(data))
}

func parseMountinfo(data string) ([]mount, error) {
	var all []mount
	for line := range strings.Lines(data) {
		before, after, found := strings.Cut(line, " - ") // a varying number of fields comes before
		fields, rest := strings.Fields(before), strings.Fields(after)
		if !found || len(fields) < 5 || len(rest) < 1 {
			return nil, fmt.Errorf("unexpected line %q in mountinfo", line)
		}
		all = append(all, mount{path: unescape(fields[4]), fsType: rest[0]})
	}
	return all, nil
}

// unescape undoes the octal escapes of blanks and backslashes in a mount's path.
func unescape(s string) string {
	var out bytes.Buffer
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if code, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				out.WriteByte(byte(code))
				i += 3
				continue
			}
		}
		out.WriteByte(s[i])
	}
	return out.String()
}

// cgroups returns the place of our cgroup in each hierarchy, whether it exists or not.
// With cgroup v1 there is a hierarchy for each controller.
func cgroups() (v1, v2 []string, err error) {
	all, err := mounts()
	if err != nil {
		return nil, nil, err
	}
	for _, m := range all {
		path := filepath.Join(m.path, NodeName)
		if m.fsType == "cgroup" && !slices.Contains(v1, path) {
			v1 = append(v1, path)
		} else if m.fsType == "cgroup2" && !slices.Contains(v2, path) {
			v2 = append(v2, path)
		}
	}
	return v1, v2, nil
}

// makeCgroups makes the kubelet's root cgroup, which the kubelet wants to find. All that
// it and the pods make is below, and so can be told from what others make.
func makeCgroups() error {
	v1, v2, err := cgroups()
	if err != nil {
		return err
	}
	if len(v1) > 0 {
		for _, path := range v1 {
			if err := os.MkdirAll(path, 0o755); err != nil {
				return err
			}
		}
		return nil // a unified hierarchy next to them has no controllers
	}
	if len(v2) == 0 {
		return errors.New("no cgroup file system is mounted")
	}
	if err := enableControllers(filepath.Dir(v2[0])); err != nil {
		return err
	}
	if err := os.MkdirAll(v2[0], 0o755); err != nil {
		return err
	}
	return enableControllers(v2[0])
}

// enableControllers hands the controllers that the kubelet uses on to the cgroups below.
func enableControllers(dir string) error {
	available, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return err
	}
	for _, controller := range strings.Fields(string(available)) {
		switch controller {
		case "cpu", "cpuset", "memory", "pids", "io", "hugetlb":
			control := filepath.Join(dir, "cgroup.subtree_control")
			if err := os.WriteFile(control, []byte("+"+controller), 0o644); err != nil {
				return fmt.Errorf("controller %s: %w", controller, err)
			}
		}
	}
	return nil
}

// existingCgroups returns our cgroups and all below, a parent after its children.
func existingCgroups() ([]string, error) {
	v1, v2, err := cgroups()
	if err != nil {
		return nil, err
	}
	var found []string
	for _, root := range append(v1, v2...) {
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if errors.Is(err, os.ErrNotExist) {
				return nil
			}
			if err == nil && entry.IsDir() {
				found = append(found, path)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	slices.Reverse(found)
	return found, nil
}

// cgroupProcesses returns the processes in our cgroups: those of the pods.
func cgroupProcesses() ([]process, error) {
	dirs, err := existingCgroups()
	if err != nil {
		return nil, err
	}
	found := map[int]process{}
	for _, dir := range dirs {
		data, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ENODEV) {
			return nil, err
		}
		for field := range strings.FieldsSeq(string(data)) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				return nil, fmt.Errorf("%s/cgroup.procs: %w", dir, err)
			}
			if p, err := identify(pid); err == nil {
				found[pid] = p
			}
		}
	}
	all := make([]process, 0, len(found))
	for _, p := range found {
		all = append(all, p)
	}
	return all, nil
}

// removeCgroups removes our cgroups, which must be empty of processes.
func removeCgroups() error {
	dirs, err := existingCgroups()
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		if err := syscall.Rmdir(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("cgroup %s: %w", dir, err)
		}
	}
	return nil
}
