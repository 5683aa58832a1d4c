package broker

import (
	"context"
	"net/netip"
	"os"
	"strings"
	"sync"
)

// A name that the Allowlist has may lead anywhere: whoever may create a Service in a
// namespace can make it an alias of any other name (type ExternalName), and the owner of a
// domain can give it any address. So the name at the end of the aliases must be allowed as
// well, and no name leads to the scaler's own host or its link, where a cloud's metadata
// are. Between that look and the connection the name is resolved once more; what it leads to
// could change meanwhile, for which there is no remedy but networks in the list.

// maxAliases bounds how many aliases are followed, as resolvers do (BIND's is 16).
const maxAliases = 16

// leadsToAllowed reports whether a name that is allowed leads to one that is, too, by its
// aliases. led is the last of these, where it is not.
func (d *dialer) leadsToAllowed(ctx context.Context, host string) (led string, err error) {
	name := canonical(host)
	if name == localhost {
		return "", nil // it is no alias, whatever a hosts file says (RFC 6761, section 6.3)
	}
	for range maxAliases {
		next, err := d.resolver.LookupCNAME(ctx, host)
		if err != nil {
			return "", err
		}
		// What is returned is the first alias's name, not the last one's (net, Go 1.26).
		host, next = next, canonical(next)
		if next == name || d.completes(name, next) {
			name = next
			break
		}
		name = next
	}
	if d.allowsAlias(name) {
		return "", nil
	}
	return name, nil
}

// completes reports whether a name is another with a search domain at its end.
func (d *dialer) completes(name, by string) bool {
	rest, ok := strings.CutPrefix(by, name+".")
	if !ok {
		return false
	}
	for _, domain := range d.search {
		if rest == canonical(domain) {
			return true
		}
	}
	return false
}

// allowsAlias is allowsName, also for a name that the resolver completed: *.svc allows
// redis.shop.svc.cluster.local where redis.shop.svc leads there.
func (d *dialer) allowsAlias(name string) bool {
	if d.allowed.allowsName(name) {
		return true
	}
	for _, domain := range d.search {
		if short, ok := strings.CutSuffix(name, "."+canonical(domain)); ok && d.allowed.allowsName(short) {
			return true
		}
	}
	return false
}

const localhost = "localhost"

// isLocal reports whether an address is the host's own, of its link, or of no single host: no
// name alone allows these.
func isLocal(ip netip.Addr) bool {
	ip = ip.Unmap()
	return ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsUnspecified() || ip.IsMulticast()
}

// systemSearchDomains are those of the system's resolver, which Kubernetes writes once for
// each pod.
var systemSearchDomains = sync.OnceValue(func() []string {
	text, err := os.ReadFile("/etc/resolv.conf")
	if err != nil {
		return nil // Go's resolver goes on without, too
	}
	return searchDomains(string(text))
})

// searchDomains are the domains with which a resolver completes names (resolv.conf(5)): the
// last search or domain counts.
func searchDomains(resolvConf string) []string {
	var domains []string
	for line := range strings.Lines(resolvConf) {
		fields := strings.Fields(line)
		if len(fields) > 1 && (fields[0] == "search" || fields[0] == "domain") {
			domains = fields[1:]
		}
	}
	return domains
}
