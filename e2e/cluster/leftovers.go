package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
)

// Leftovers names everything of a node cluster of this state folder that is on the
// machine: processes, mounts, the link, routes, cgroups, iptables chains and files. After
// Down there must be nothing. It changes nothing.
func (c *Cluster) Leftovers(ctx context.Context) ([]string, error) {
	n := &nodeProvider{Cluster: c, dir: c.opts.Dir}
	var found []string
	for _, look := range []func(context.Context) ([]string, error){
		n.leftProcesses, n.leftMounts, n.leftNetwork, n.leftCgroups, n.leftChains, n.leftFiles,
	} {
		more, err := look(ctx)
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
	}
	return found, nil
}

func (n *nodeProvider) leftProcesses(context.Context) ([]string, error) {
	var found []string
	strays, err := n.processes()
	if err != nil {
		return nil, err
	}
	for _, p := range strays {
		found = append(found, fmt.Sprintf("process %d (%s)", p.PID, p.command))
	}
	pods, err := cgroupProcesses()
	for _, p := range pods {
		found = append(found, fmt.Sprintf("process %d of a pod", p.PID))
	}
	return found, err
}

func (n *nodeProvider) leftMounts(context.Context) ([]string, error) {
	var found []string
	all, err := mounts()
	for _, m := range all {
		if within(m.path, n.dir) {
			found = append(found, "mount "+m.path)
		}
	}
	return found, err
}

func (n *nodeProvider) leftNetwork(ctx context.Context) ([]string, error) {
	var found []string
	if _, err := os.Stat("/sys/class/net/" + hostLink); err == nil {
		found = append(found, "link "+hostLink)
	}
	out, err := run(ctx, "", "ip", "-4", "route", "show")
	for line := range strings.Lines(out) {
		for _, network := range []string{nodeNetwork, PodCIDR, ServiceCIDR} {
			if strings.HasPrefix(line, network+" ") {
				found = append(found, "route "+strings.TrimSpace(line))
			}
		}
	}
	return found, err
}

func (n *nodeProvider) leftCgroups(context.Context) ([]string, error) {
	dirs, err := existingCgroups()
	var found []string
	for _, dir := range dirs {
		found = append(found, "cgroup "+dir)
	}
	return found, err
}

// leftChains looks at the machine's own network namespace, where ours has no business: a
// rule of ours names an address or a link of the cluster.
func (n *nodeProvider) leftChains(ctx context.Context) ([]string, error) {
	out, err := run(ctx, "", "iptables-save")
	var found []string
	for line := range strings.Lines(out) {
		for _, ours := range []string{PodCIDR, nodeNetwork, ServiceCIDR, NodeAddress + "/", dnsAddress + "/", apiserverServiceAddress + "/", hostLink} {
			if strings.Contains(line, ours) {
				found = append(found, "iptables rule "+strings.TrimSpace(line))
				break
			}
		}
	}
	return found, err
}

func (n *nodeProvider) leftFiles(context.Context) ([]string, error) {
	var found []string
	for _, path := range ourFiles(n.dir) {
		found = append(found, "file "+path)
	}
	if _, err := os.Stat(n.dir); !errors.Is(err, os.ErrNotExist) {
		found = append(found, "state folder "+n.dir)
	}
	return found, nil
}
