package cluster

import (
	"context"
	_ "embed"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

//go:embed manifests/coredns.yaml
var coreDNSManifest string

func (n *nodeProvider) installDNS(ctx context.Context) error {
	manifest := strings.NewReplacer("{{image}}", coreDNSImage, "{{address}}", dnsAddress).Replace(coreDNSManifest)
	if err := applyOnce(ctx, n.kubectl(), n.path("applied", "coredns.yaml"), manifest); err != nil {
		return err
	}
	return poll(ctx, 500*time.Millisecond, func(ctx context.Context) error {
		if err := n.kubectl().deploymentAvailable(ctx, "kube-system", "coredns"); err != nil {
			return err
		}
		return resolve(ctx)
	})
}

// resolve asks the cluster's DNS for the apiserver's Service. An answer has come through
// the pods' network and kube-proxy; a status might be from before a crash.
func resolve(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort(dnsAddress, "53"))
	}}
	addresses, err := resolver.LookupHost(ctx, "kubernetes.default.svc.cluster.local.")
	if err == nil && !slices.Contains(addresses, apiserverServiceAddress) {
		err = fmt.Errorf("the Service kubernetes resolves to %v", addresses)
	}
	return err
}
