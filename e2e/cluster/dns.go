package cluster

import (
	"context"
	_ "embed"
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
		return n.kubectl().deploymentAvailable(ctx, "kube-system", "coredns")
	})
}
