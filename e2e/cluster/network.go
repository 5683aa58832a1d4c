package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// The networks of the local node. They exist on this machine only; a process on it reaches
// the apiserver, pods and Services directly, by three routes through one link.
const (
	// NodeName is the name of the only node, and of everything that the node provider
	// makes outside of its state folder: the machine's link and the cgroup.
	NodeName = "pubsub-e2e"

	nodeNetwork = "10.243.0.0/24"
	// NodeAddress is the node's address: that of the apiserver (port 6443) and of
	// NodePorts. The kubelet refuses a loopback address.
	NodeAddress = "10.243.0.1"
	// HostAddress is this machine's address on the node's network: pods reach what
	// listens on it, for example a Redis outside of the cluster.
	HostAddress = "10.243.0.2"

	// PodCIDR is the network of the pods.
	PodCIDR = "10.244.0.0/24"

	// ServiceCIDR is the network of the Services.
	ServiceCIDR = "10.0.0.0/24"
	// apiserverServiceAddress is the first address of ServiceCIDR: the Service "kubernetes".
	apiserverServiceAddress = "10.0.0.1"
	// dnsAddress is the Service "kube-dns".
	dnsAddress = "10.0.0.10"

	hostLink = NodeName // at most 15 bytes
	nodeLink = "eth0"   // in the node's network namespace
)

// An ipLink is what `ip -json link` says of a link.
type ipLink struct {
	Name  string `json:"ifname"`
	Alias string `json:"ifalias"`
}

// An ipRoute is what `ip -json route` says of a route.
type ipRoute struct {
	Destination string `json:"dst"`
	Device      string `json:"dev"`
}

// networkOwner returns the state folder that the machine's link belongs to, which it
// carries as its alias; empty without a link.
func networkOwner(ctx context.Context) (string, error) {
	// Not by its name, which is an error where there is no such link: it may go at any
	// moment, since the kernel takes it down some time after its network namespace.
	out, err := run(ctx, "", "ip", "-json", "link", "show", "type", "veth")
	if err != nil {
		return "", err
	}
	var links []ipLink
	if strings.TrimSpace(out) != "" { // it prints nothing for no links
		if err := json.Unmarshal([]byte(out), &links); err != nil {
			return "", fmt.Errorf("unexpected answer of ip link: %w", err)
		}
	}
	for _, link := range links {
		if link.Name != hostLink {
			continue
		}
		if link.Alias == "" {
			return "", fmt.Errorf("link %s exists and is not a test cluster's: delete it (ip link delete %s)", hostLink, hostLink)
		}
		return link.Alias, nil
	}
	return "", nil
}

// checkClash returns an error if one of the machine's own routes overlaps with the
// networks of the node: ours would take those addresses away from it.
func checkClash(ctx context.Context) error {
	out, err := run(ctx, "", "ip", "-json", "-4", "route", "show")
	if err != nil {
		return err
	}
	var routes []ipRoute
	if err := json.Unmarshal([]byte(out), &routes); err != nil {
		return fmt.Errorf("unexpected answer of ip route: %w", err)
	}
	return clash(routes)
}

func clash(routes []ipRoute) error {
	for _, cidr := range []string{nodeNetwork, PodCIDR, ServiceCIDR} {
		ours := netip.MustParsePrefix(cidr)
		for _, route := range routes {
			if route.Destination == "default" || route.Device == hostLink {
				continue
			}
			theirs, err := netip.ParsePrefix(route.Destination)
			if err != nil { // a single address has no length
				address, err := netip.ParseAddr(route.Destination)
				if err != nil {
					return fmt.Errorf("route to %q: %w", route.Destination, err)
				}
				theirs = netip.PrefixFrom(address, address.BitLen())
			}
			if ours.Overlaps(theirs) {
				return fmt.Errorf("this machine has a route to %s by %s, which overlaps with the test cluster's network %s; change that one in e2e/cluster/network.go",
					route.Destination, route.Device, cidr)
			}
		}
	}
	return nil
}

// A network is the network namespace of the node and its link to the machine.
type network struct {
	// dir is the state folder.
	dir string
}

// netns is the file that keeps the network namespace. It is in the state folder and not
// in /run/netns, where `ip netns` would leave a mount of its own behind for ever.
func (n network) netns() string { return filepath.Join(n.dir, "netns") }

// inside runs a program in the network namespace. By nsenter, because `ip netns exec` also
// makes a mount namespace, whose mounts nobody else would see.
func (n network) inside(ctx context.Context, program string, args ...string) error {
	_, err := run(ctx, "", "nsenter", append([]string{"--net=" + n.netns(), program}, args...)...)
	return err
}

// up makes what is missing of the network.
func (n network) up(ctx context.Context) error {
	intact, err := n.intact(ctx)
	if err != nil {
		return err
	}
	if !intact {
		if err := n.make(ctx); err != nil {
			return err
		}
	}
	return n.configure(ctx)
}

// intact reports whether the namespace and the link are there; a reboot takes both. It is
// an error if the machine's networks are not free for us.
func (n network) intact(ctx context.Context) (bool, error) {
	owner, err := networkOwner(ctx)
	if err != nil {
		return false, err
	}
	if owner != "" && owner != n.dir {
		return false, fmt.Errorf("this machine already runs the cluster of %s: take that down first (cluster down --dir %s)", owner, owner)
	}
	return owner == n.dir && isNamespace(n.netns()), checkClash(ctx)
}

// make makes the namespace and the link, in place of what is left of earlier ones.
func (n network) make(ctx context.Context) error {
	if err := n.down(ctx); err != nil {
		return err
	}
	if err := os.WriteFile(n.netns(), nil, 0o444); err != nil {
		return err
	}
	if _, err := run(ctx, "", "unshare", "--net="+n.netns(), "true"); err != nil {
		return err
	}
	// Made under another name first, so that under its own it always has its alias.
	// ip takes a path for a namespace's name as long as it has a slash.
	const unnamed = hostLink + "-new"
	for _, args := range [][]string{
		{"link", "add", unnamed, "type", "veth", "peer", "name", nodeLink, "netns", n.netns()},
		{"link", "set", "dev", unnamed, "alias", n.dir},
		{"link", "set", "dev", unnamed, "name", hostLink},
	} {
		if _, err := run(ctx, "", "ip", args...); err != nil {
			return err
		}
	}
	return nil
}

// configure sets addresses and routes; each command may be repeated.
func (n network) configure(ctx context.Context) error {
	for _, args := range [][]string{
		{"ip", "link", "set", "dev", "lo", "up"},
		{"ip", "link", "set", "dev", nodeLink, "up"},
		{"ip", "address", "replace", NodeAddress + "/24", "dev", nodeLink},
		// The node itself needs a route to Services, or a connection to one fails before
		// kube-proxy's rules see it. The machine never answers for these addresses, so
		// what is no Service ends here and can't go round in circles.
		{"ip", "route", "replace", ServiceCIDR, "dev", nodeLink, "src", NodeAddress},
		// A setting of the network namespace, not of the machine.
		{"sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"},
	} {
		if err := n.inside(ctx, args[0], args[1:]...); err != nil {
			return err
		}
	}
	for _, args := range [][]string{
		{"link", "set", "dev", hostLink, "up"},
		{"address", "replace", HostAddress + "/24", "dev", hostLink},
		{"route", "replace", PodCIDR, "via", NodeAddress, "dev", hostLink},
		{"route", "replace", ServiceCIDR, "via", NodeAddress, "dev", hostLink},
	} {
		if _, err := run(ctx, "", "ip", args...); err != nil {
			return err
		}
	}
	return nil
}

// down deletes the link, which takes its peer and the routes with it, and the namespace.
func (n network) down(ctx context.Context) error {
	owner, err := networkOwner(ctx)
	if err != nil {
		return err
	}
	if owner == n.dir {
		if _, err := run(ctx, "", "ip", "link", "delete", hostLink); err != nil {
			if owner, again := networkOwner(ctx); again != nil || owner != "" {
				return err
			}
		}
	}
	if isNamespace(n.netns()) {
		if err := unmount(n.netns()); err != nil {
			return fmt.Errorf("unmount %s: %w", n.netns(), err)
		}
	}
	if err := os.Remove(n.netns()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// isNamespace tells a namespace that is mounted on a file from the plain file that is
// left of it after a reboot.
func isNamespace(path string) bool {
	const nsfsMagic = 0x6e736673
	return fsMagic(path) == nsfsMagic
}

// cniConfig is the pods' network. ptp and not bridge: it routes every packet, so that
// kube-proxy's rules also see those between two pods of the node, without the kernel
// module br_netfilter.
func cniConfig(dir string) string {
	return strings.NewReplacer("{{dir}}", dir, "{{name}}", NodeName, "{{subnet}}", PodCIDR).Replace(`{
  "cniVersion": "0.4.0",
  "name": "{{name}}",
  "plugins": [
    {
      "type": "ptp",
      "ipMasq": false,
      "ipam": {
        "type": "host-local",
        "dataDir": "{{dir}}/cni/addresses",
        "ranges": [[{"subnet": "{{subnet}}"}]],
        "routes": [{"dst": "0.0.0.0/0"}]
      }
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
`)
}
