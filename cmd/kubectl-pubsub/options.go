package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/channels"
	"github.com/jawaracloud/pubsub-operator/cmd/kubectl-pubsub/internal/connect"
)

// completionTimeout is how long a shell is kept waiting for names.
const completionTimeout = 3 * time.Second

// connection says which cluster and which scaler.
type connection struct {
	cluster *connect.ClusterFlags // of the root command
	scaler  connect.ScalerFlags
}

// open prepares the way to the scaler and to the cluster. Where there is no cluster, an
// address of the scaler will do: noCluster then tells why there is none.
func (c *connection) open() (scaler *connect.Scaler, cluster *connect.Cluster, noCluster, err error) {
	if err := c.scaler.Check(); err != nil {
		return nil, nil, nil, err
	}
	cluster, noCluster = c.cluster.Connect()
	if noCluster != nil && c.scaler.Address == "" {
		return nil, nil, nil, noCluster
	}
	scaler, err = connect.Open(c.scaler, cluster)
	return scaler, cluster, noCluster, err
}

// onlyLive refuses the flags that say how the scaler is reached, unless it is asked.
func (c *connection) onlyLive(live bool) error {
	if live {
		return c.scaler.Check()
	}
	if given := c.scaler.Given(); len(given) > 0 {
		return fmt.Errorf("%s says how the scaler is reached, and without --live it is not asked: add --live, or leave %[1]s out", given[0])
	}
	return nil
}

// names are those of the channels in the namespace, for completion: none where the cluster
// does not tell.
func (c *connection) names(ctx context.Context) []string {
	namespace, err := c.cluster.Namespace()
	if err != nil {
		return nil
	}
	cluster, err := c.cluster.Connect()
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, completionTimeout)
	defer cancel()
	names, err := channels.Names(ctx, cluster, namespace)
	if err != nil {
		return nil
	}
	return names
}

// Values of --output.
const (
	outputJSON = "json"
	outputYAML = "yaml"
)

// checkOutput lets through what a command knows, and none.
func checkOutput(output string, known ...string) error {
	if output == "" || slices.Contains(known, output) {
		return nil
	}
	return fmt.Errorf("--output is %q: it must be %s, or left out", output, strings.Join(known, " or "))
}
