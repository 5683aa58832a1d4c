package broker

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/jawaracloud/pubsub-operator/scaler/address"
)

// Allowlist is the servers that may be connected to. The zero value allows all. Another
// allows a server by its name, where what that is an alias of is allowed as well and it does
// not lead to an address of the host or its link; or by its address, which must be in one of
// the networks.
type Allowlist struct {
	hosts    map[string]bool // by their exact names, in lower case
	suffixes []string        // of names, with the dot before them
	networks []netip.Prefix
}

// ParseAllowlist reads a list that is separated by commas: host names (dragonfly.team-a.svc),
// suffixes of names (*.team-a.svc), IP addresses and CIDRs (10.0.0.0/8). An empty list
// allows every server.
func ParseAllowlist(text string) (Allowlist, error) {
	var list Allowlist
	for entry := range strings.SplitSeq(text, ",") {
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		if err := list.add(entry); err != nil {
			return Allowlist{}, fmt.Errorf("%q in the list of allowed servers: %w", entry, err)
		}
	}
	return list, nil
}

func (a *Allowlist) add(entry string) error {
	if network, err := netip.ParsePrefix(entry); err == nil {
		a.networks = append(a.networks, network.Masked())
		return nil
	}
	if ip, err := netip.ParseAddr(strings.Trim(entry, "[]")); err == nil {
		ip = ip.Unmap().WithZone("")
		a.networks = append(a.networks, netip.PrefixFrom(ip, ip.BitLen()))
		return nil
	}
	name, isSuffix := strings.CutPrefix(canonical(entry), "*.")
	if name == "" || strings.ContainsAny(name, "*/: @[]") || strings.HasPrefix(name, ".") {
		return fmt.Errorf("it must be a host name, a suffix like *.team-a.svc, an IP address or a CIDR like 10.0.0.0/8, all without a port")
	}
	if isSuffix {
		a.suffixes = append(a.suffixes, "."+name)
		return nil
	}
	if a.hosts == nil {
		a.hosts = map[string]bool{}
	}
	a.hosts[name] = true
	return nil
}

// canonical is a host name as it is compared: DNS knows no case, and a last dot says only
// that no search domain is to be tried.
func canonical(host string) string {
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

func (a Allowlist) empty() bool {
	return len(a.hosts) == 0 && len(a.suffixes) == 0 && len(a.networks) == 0
}

// allowsName reports whether a host may be connected to by its name. What that leads to is
// looked at when it is dialled.
func (a Allowlist) allowsName(host string) bool {
	if a.empty() {
		return true
	}
	host = canonical(host)
	if a.hosts[host] {
		return true
	}
	for _, suffix := range a.suffixes {
		if strings.HasSuffix(host, suffix) && len(host) > len(suffix) {
			return true
		}
	}
	return false
}

// allowsIP reports whether an IP address may be connected to under any name.
func (a Allowlist) allowsIP(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("") // networks have neither
	for _, network := range a.networks {
		if network.Contains(ip) {
			return true
		}
	}
	return a.empty()
}

// Refuses tells what is certain before a name is resolved: a *NotAllowedError where no
// connection to a server will be allowed. The rest is checked when it is dialled.
func (a Allowlist) Refuses(server Server) error {
	if a.empty() {
		return nil
	}
	addresses, err := address.ParseList(server.Address)
	if err != nil {
		return nil //nolint:nilerr // connecting tells what is wrong with it
	}
	for _, addr := range addresses {
		host, _, _ := net.SplitHostPort(addr)
		if a.allowsName(host) {
			continue
		}
		ip, err := netip.ParseAddr(host)
		isName := err != nil
		if isName && len(a.networks) > 0 {
			continue // its address may be in one of them
		}
		if isName || !a.allowsIP(ip) {
			return &NotAllowedError{Address: addr}
		}
	}
	return nil
}

// NotAllowedError is a server that Options.Allowed does not name.
type NotAllowedError struct {
	Address string // host:port as it was asked for
	IP      string // that it resolved to; empty where that was not looked at
	Alias   string // of what its name is an alias, where that is what is not allowed; else empty
}

func (e *NotAllowedError) Error() string {
	if e.Alias != "" {
		return fmt.Sprintf("a connection to %s, which is an alias of %s, is not allowed", e.Address, e.Alias)
	}
	if e.IP != "" && !strings.HasPrefix(e.Address, e.IP) && !strings.HasPrefix(e.Address, "["+e.IP) {
		return fmt.Sprintf("a connection to %s (%s) is not allowed", e.Address, e.IP)
	}
	return fmt.Sprintf("a connection to %s is not allowed", e.Address)
}
