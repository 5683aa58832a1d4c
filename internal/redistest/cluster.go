package redistest

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	slotCount       = 16384
	clusterDeadline = 60 * time.Second // a node stays closed for 2 s at least after its start
	migratedAtOnce  = 100              // keys of one MIGRATE
	migrateTimeout  = 5000             // ms, of one MIGRATE
)

// Cluster is a Redis Cluster that ends with the test.
type Cluster struct {
	// Nodes are the masters of the start, then the replicas.
	Nodes []*Server

	t         testing.TB
	masters   int
	announced map[*Server]string // the addresses that they tell, where those are others
}

// StartCluster runs a cluster of so many masters, which share all slots evenly, and waits
// until each of them says cluster_state:ok. args are those of each redis-server, as of
// Start.
func StartCluster(t testing.TB, masters int, args ...string) *Cluster {
	t.Helper()
	return StartClusterWithReplicas(t, masters, 0, args...)
}

// StartClusterWithReplicas runs a cluster whose masters have so many replicas each. They
// are in step when it returns.
func StartClusterWithReplicas(t testing.TB, masters, replicas int, args ...string) *Cluster {
	t.Helper()
	c := &Cluster{t: t, masters: masters}
	for range masters * (1 + replicas) {
		c.Nodes = append(c.Nodes, start(t, &Server{args: args, cluster: true}))
	}
	for i, node := range c.Nodes {
		client := node.Client()
		c.must(client.Do(t.Context(), "CLUSTER", "SET-CONFIG-EPOCH", i+1).Err())
		if i < masters {
			c.must(client.ClusterAddSlotsRange(t.Context(), i*slotCount/masters, (i+1)*slotCount/masters-1).Err())
		}
		host, port, _ := net.SplitHostPort(node.Addr)
		c.must(c.Nodes[0].Client().Do(t.Context(), "CLUSTER", "MEET", host, port, node.busPort).Err())
	}
	c.awaitNodes(c.agreed)
	for i, node := range c.Nodes[masters:] {
		c.must(node.Client().ClusterReplicate(t.Context(), c.ID(c.Nodes[i%masters])).Err())
	}
	if replicas > 0 {
		c.awaitNodes(c.agreed)
		c.awaitNodes(c.inStep)
	}
	return c
}

// Addrs are the masters' addresses at the start, in the order of their slots.
func (c *Cluster) Addrs() []string {
	return addrs(c.Nodes[:c.masters])
}

// Client returns a client of the whole cluster, with all rights, that is closed when the
// test ends.
func (c *Cluster) Client() *redis.ClusterClient {
	c.t.Helper()
	options := c.Nodes[0].options()
	client := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: c.Addrs(), Username: options.Username, Password: options.Password, TLSConfig: options.TLSConfig,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	c.t.Cleanup(func() { _ = client.Close() })
	return client
}

// ID is the name of a node within the cluster.
func (c *Cluster) ID(node *Server) string {
	c.t.Helper()
	id, err := node.Client().Do(c.t.Context(), "CLUSTER", "MYID").Text()
	c.must(err)
	return id
}

// Owner is the master of the key's slot, as that slot's own node says.
func (c *Cluster) Owner(key string) *Server {
	c.t.Helper()
	master, err := c.Client().MasterForKey(c.t.Context(), key)
	c.must(err)
	return c.node(master.Options().Addr)
}

// Keys is a key for each master, in their order.
func (c *Cluster) Keys() []string {
	c.t.Helper()
	client := c.Client()
	keys := make([]string, len(c.Addrs()))
	for missing, i := len(keys), 0; missing > 0; i++ {
		key := fmt.Sprint("q", i)
		master, err := client.MasterForKey(c.t.Context(), key)
		c.must(err)
		for n, address := range c.Addrs() {
			if master.Options().Addr == address && keys[n] == "" {
				keys[n] = key
				missing--
			}
		}
	}
	return keys
}

// Announce has the nodes tell clients other ports, as those of proxies before them, and
// returns when all nodes know. proxy is a node's new address on 127.0.0.1.
func (c *Cluster) Announce(proxy func(node *Server) string) {
	c.t.Helper()
	c.announced = map[*Server]string{}
	for _, node := range c.Nodes {
		c.announced[node] = proxy(node)
		_, port, _ := net.SplitHostPort(c.announced[node])
		c.must(node.Client().ConfigSet(c.t.Context(), "cluster-announce-port", port).Err())
	}
	c.awaitNodes(c.agreed)
}

// address is what clients are told of a node.
func (c *Cluster) address(node *Server) string {
	if proxy, ok := c.announced[node]; ok {
		return proxy
	}
	return node.Addr
}

func (c *Cluster) node(addr string) *Server {
	c.t.Helper()
	for _, node := range c.Nodes {
		if c.address(node) == addr {
			return node
		}
	}
	c.t.Fatalf("the cluster has no node %s", addr)
	return nil
}

// MigrateSlot moves the slot of that key, with all keys in it, to another master, in the
// way that Redis's documentation of CLUSTER SETSLOT tells. Clients that don't know are
// told MOVED from then on. It returns when all nodes know.
func (c *Cluster) MigrateSlot(t testing.TB, key string, to *Server) {
	t.Helper()
	c.MigrateSlotWith(t, key, to, func() {})
}

// MigrateSlotWith calls during once in the middle: the keys have moved and the slot has
// not. The old node answers ASK then.
func (c *Cluster) MigrateSlotWith(t testing.TB, key string, to *Server, during func()) {
	t.Helper()
	from := c.Owner(key)
	if from == to {
		return
	}
	source, target := from.Client(), to.Client()
	slot, err := source.ClusterKeySlot(t.Context(), key).Result()
	c.must(err)
	c.must(target.Do(t.Context(), "CLUSTER", "SETSLOT", slot, "IMPORTING", c.ID(from)).Err())
	c.must(source.Do(t.Context(), "CLUSTER", "SETSLOT", slot, "MIGRATING", c.ID(to)).Err())
	for c.moveKeys(source, to, int(slot)) {
	}
	during()
	// The target first: it must own the slot before the source forgets it.
	c.must(target.Do(t.Context(), "CLUSTER", "SETSLOT", slot, "NODE", c.ID(to)).Err())
	c.must(source.Do(t.Context(), "CLUSTER", "SETSLOT", slot, "NODE", c.ID(to)).Err())
	c.awaitNodes(func(ctx context.Context, node *Server, client *redis.Client) error {
		return owns(ctx, client, int(slot), c.address(to))
	})
}

// moveKeys moves some keys of the slot; false where there are none left.
func (c *Cluster) moveKeys(source *redis.Client, to *Server, slot int) bool {
	c.t.Helper()
	keys, err := source.ClusterGetKeysInSlot(c.t.Context(), slot, migratedAtOnce).Result()
	c.must(err)
	if len(keys) == 0 {
		return false
	}
	host, port, _ := net.SplitHostPort(to.Addr)
	args := []any{"MIGRATE", host, port, "", 0, migrateTimeout}
	switch user, password := to.args.credentials(); {
	case user != "":
		args = append(args, "AUTH2", user, password)
	case password != "":
		args = append(args, "AUTH", password)
	}
	args = append(args, "KEYS")
	for _, key := range keys {
		args = append(args, key)
	}
	c.must(source.Do(c.t.Context(), args...).Err())
	return true
}

// agreed says what is amiss in a node's view of the cluster.
func (c *Cluster) agreed(ctx context.Context, _ *Server, client *redis.Client) error {
	info, err := client.ClusterInfo(ctx).Result()
	if err != nil {
		return err
	}
	for _, want := range []string{"cluster_state:ok", fmt.Sprint("cluster_known_nodes:", len(c.Nodes)), fmt.Sprint("cluster_size:", c.masters)} {
		if !strings.Contains(info, want+"\r") {
			return fmt.Errorf("it doesn't say %s:\n%s", want, info)
		}
	}
	for i, master := range c.Nodes[:c.masters] {
		if err := owns(ctx, client, i*slotCount/c.masters, c.address(master)); err != nil {
			return err
		}
	}
	return nil
}

// inStep says whether a replica follows its master.
func (c *Cluster) inStep(ctx context.Context, node *Server, client *redis.Client) error {
	for _, master := range c.Nodes[:c.masters] {
		if node == master {
			return nil
		}
	}
	return linked(ctx, client)
}

func linked(ctx context.Context, client *redis.Client) error {
	info, err := client.Info(ctx, "replication").Result()
	if err == nil && !strings.Contains(info, "master_link_status:up") {
		err = fmt.Errorf("it does not follow its master:\n%s", info)
	}
	return err
}

// owns asks a node whether that address serves the slot.
func owns(ctx context.Context, client *redis.Client, slot int, addr string) error {
	ranges, err := client.ClusterSlots(ctx).Result() //nolint:staticcheck // it is what clients of clusters ask
	if err != nil {
		return err
	}
	for _, r := range ranges {
		if r.Start <= slot && slot <= r.End && len(r.Nodes) > 0 && r.Nodes[0].Addr == addr {
			return nil
		}
	}
	return fmt.Errorf("slot %d is not at %s: %v", slot, addr, ranges)
}

// awaitNodes waits until each node fulfils the condition.
func (c *Cluster) awaitNodes(condition func(context.Context, *Server, *redis.Client) error) {
	c.t.Helper()
	for _, node := range c.Nodes {
		client := node.Client()
		err := await(clusterDeadline, func(ctx context.Context) error { return condition(ctx, node, client) })
		if err != nil {
			c.t.Fatalf("the cluster's node %s: %v", node.Addr, err)
		}
	}
}

func (c *Cluster) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatalf("redis cluster: %v", err)
	}
}
