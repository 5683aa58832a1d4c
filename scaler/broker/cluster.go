package broker

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// maxNodes bounds the nodes of a cluster, replicas included: Redis's own bound (Redis
// Cluster specification, "Main properties and rationales of the design": up to 1,000
// nodes). go-redis keeps a client for each, and a goroutine for each that it can't reach.
const maxNodes = 1000

// NodesError is a cluster that names more nodes than one can have.
type NodesError struct {
	Address string // of the node that names them
	Nodes   int
}

func (e *NodesError) Error() string {
	return fmt.Sprintf("the node at %s names a cluster of %d nodes; a cluster has at most %d: correct redisAddress, or look at its CLUSTER NODES", e.Address, e.Nodes, maxNodes)
}

// slotsHook is between go-redis and a node's answer about the slots. It bounds the time:
// go-redis asks one node after the other, and one that is silent must not take the time of
// all. And it bounds the nodes.
type slotsHook struct {
	timeout time.Duration
	address string
}

func (slotsHook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (slotsHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (h slotsHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, command redis.Cmder) error {
		if command.Name() != clusterCommand {
			return next(ctx, command)
		}
		bounded, cancel := context.WithTimeout(ctx, h.timeout)
		defer cancel()
		err := next(bounded, command)
		if slots, ok := command.(*redis.ClusterSlotsCmd); ok && err == nil {
			if err = h.check(slots.Val()); err != nil {
				slots.SetVal(nil)
				slots.SetErr(err)
			}
		}
		return err
	}
}

func (h slotsHook) check(slots []redis.ClusterSlot) error {
	nodes := map[string]bool{}
	for _, slot := range slots {
		for _, node := range slot.Nodes {
			nodes[node.Addr] = true
		}
	}
	if len(nodes) > maxNodes {
		return &NodesError{Address: h.address, Nodes: len(nodes)}
	}
	return nil
}

// outgrown reports whether a cluster has named so many nodes, one after the other, that its
// connections are better made anew: go-redis never forgets an address.
func (l *Link) outgrown() bool { return l.made.Load() > 2*maxNodes }

// IsCluster reports whether the link is to a cluster: then Client is nil, and Master has the clients.
func (l *Link) IsCluster() bool { return l.cluster != nil }

// Client is that of the server; nil in mode Cluster.
func (l *Link) Client() *redis.Client { return l.client }

// Master is the client of the cluster's node that has a key. Only the first look asks the
// cluster; later ones are answered from memory.
func (l *Link) Master(ctx context.Context, key string) (*redis.Client, error) {
	master, err := l.cluster.MasterForKey(ctx, key)
	return master, l.redactor.safe(err)
}

// ReloadSlots has a cluster asked which node has which slots, in the background.
func (l *Link) ReloadSlots(ctx context.Context) {
	if l.cluster != nil {
		l.cluster.ReloadState(ctx)
	}
}

// redirect sends the commands whose slot is or goes elsewhere to where the node says, once.
// err is that of the first pipeline.
func redirect(ctx context.Context, cluster *redis.ClusterClient, commands []redis.Cmder, err error) error {
	var elsewhere []redis.Cmder
	for _, command := range commands {
		if err := command.Err(); err != nil && (redis.HasErrorPrefix(err, "MOVED") || redis.HasErrorPrefix(err, "ASK")) {
			elsewhere = append(elsewhere, command)
		}
	}
	if elsewhere == nil {
		return err
	}
	cluster.ReloadState(ctx)
	pipe := cluster.Pipeline()
	_ = pipe.BatchProcess(ctx, elsewhere...) // it only queues
	_, err = pipe.Exec(ctx)
	if !answered(err) {
		return nil // the commands have the error; this node answered
	}
	return err
}

// address is that of the server that a client reads, as far as it is known.
func (l *Link) address(client *redis.Client) string {
	switch l.server.Mode {
	case Cluster:
		return client.Options().Addr
	case Sentinel:
		return l.server.SentinelMaster + " (by " + l.server.Address + ")"
	case Standalone:
	}
	return l.server.Address
}
