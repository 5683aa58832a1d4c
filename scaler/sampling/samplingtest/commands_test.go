//go:build integration

package samplingtest

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/internal/redistest/dragonflytest"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

// anotherPassword is what the Secret changes to, and back.
const anotherPassword = "another"

// moving is a list whose slot is on its way to another node of a cluster.
const moving = "moving"

// everything is queues of all kinds that a deployment can have, with and without ages.
func (d *deployment) everything(t *testing.T) []queue.Queue {
	var all []queue.Queue
	for _, fixture := range fixtures(t) {
		if d.server.Mode == broker.Cluster && fixture.alone != "" {
			continue
		}
		for _, q := range fixture.queues {
			aged := q
			aged.Age = true
			all = append(all, q, aged)
		}
	}
	if d.server.Mode == broker.Cluster {
		all = append(all, queue.Queue{Key: moving, Kind: queue.List})
	}
	// Nobody knows the lag of this one's group: its entries must be counted.
	return append(all, queue.Queue{Key: "late", Kind: queue.Stream, Group: "g"})
}

func (d *deployment) fillEverything(t *testing.T) {
	t.Helper()
	for _, fixture := range fixtures(t) {
		if d.server.Mode == broker.Cluster && fixture.alone != "" {
			continue
		}
		fixture.fill(t, d)
	}
	run(t, d.client, []any{"XGROUP", "CREATE", "late", "g", "$", "MKSTREAM"}, []any{"XADD", "late", "1-0", "a", "b"},
		[]any{"XADD", "late", "2-0", "a", "b"}, []any{"XDEL", "late", "1-0"}, []any{"XGROUP", "SETID", "late", "g", "0-1"},
		[]any{"XADD", "late", "3-0", "a", "b"}, []any{"XGROUP", "SETID", "late", "g", "2-0"})
}

// allowed are the commands that a reader may send, and what must hold of their arguments.
var allowed = map[string]func(args []string) bool{
	"auth": anyArgs, "hello": anyArgs, "ping": anyArgs, "select": anyArgs, "role": anyArgs, "asking": anyArgs,
	"type": one, "llen": one, "zcard": one, "hlen": one, "xlen": one, "get": one,
	"exists":  func(args []string) bool { return len(args) <= 300 },
	"lindex":  func(args []string) bool { return slices.Contains([]string{"0", "-1", "-2"}, args[1]) },
	"zcount":  func(args []string) bool { return len(args) == 3 },
	"hexists": func(args []string) bool { return len(args) == 2 },
	"hget":    func(args []string) bool { return len(args) == 2 },
	"hstrlen": func(args []string) bool { return len(args) == 2 && strings.HasSuffix(args[0], "unacked") },
	"hmget": func(args []string) bool {
		return len(args) <= 4 || strings.HasSuffix(args[0], "unacked") && len(args) <= 257
	},
	"smembers": func(args []string) bool { return strings.HasSuffix(args[0], "processes") || args[0] == "paused" },
	"zrange": func(args []string) bool {
		return args[1] == "0" && (args[2] == "0" || args[2] == "-1" && strings.HasSuffix(args[0], ":consumers") ||
			args[2] == "4095" && strings.HasSuffix(args[0], "unacked_index"))
	},
	"xinfo":    func(args []string) bool { return len(args) == 2 && (args[0] == "stream" || args[0] == "groups") },
	"xpending": func(args []string) bool { return len(args) == 2 },
	"xrange": func(args []string) bool {
		if len(args) != 5 || args[3] != "count" {
			return false
		}
		count, err := strconv.Atoi(args[4])
		return err == nil && count <= 1000
	},
	"pubsub":  func(args []string) bool { return args[0] == "numsub" && len(args) == 2 },
	"client":  func(args []string) bool { return slices.Equal(args, []string{"list", "type", "pubsub"}) },
	"info":    func(args []string) bool { return slices.Equal(args, []string{"memory"}) },
	"cluster": func(args []string) bool { return slices.Equal(args, []string{"slots"}) },
}

func anyArgs([]string) bool { return true }

func one(args []string) bool { return len(args) == 1 }

// What the servers saw: no script, nothing that walks through keys or through a queue.
func TestCommandsSeen(t *testing.T) {
	t.Parallel()
	for _, mode := range []broker.Mode{broker.Standalone, broker.Sentinel, broker.Cluster} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			d := deploy(t, mode, false, true)
			d.fillEverything(t)
			var monitors []*redistest.Monitor
			for _, node := range d.nodes {
				monitors = append(monitors, node.Monitor(t))
			}
			d.readEverything(t, d.pool(t, sampling.Options{}), deadline)
			seen := map[string]int{}
			for _, monitor := range monitors {
				for _, command := range monitor.Of(redistest.ReaderUser) {
					name := strings.ToLower(command.Args[0])
					seen[name]++
					args := make([]string, 0, len(command.Args))
					for _, arg := range command.Args[1:] {
						args = append(args, strings.ToLower(arg))
					}
					check, ok := allowed[name]
					assert.True(t, ok && check(args), "%q", command.Args)
				}
			}
			for _, name := range []string{"role", "type", "llen", "zcard", "zcount", "xinfo", "xrange", "hget", "lindex", "exists"} {
				assert.Positive(t, seen[name], name)
			}
			t.Logf("%s: %v", mode, seen)
		})
	}
}

// readEverything reads all queues twice, however that ends.
func (d *deployment) readEverything(t *testing.T, pool *sampling.Pool, wait time.Duration) {
	t.Helper()
	for range 2 {
		for _, q := range d.everything(t) {
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			_, _ = pool.Depth(ctx, d.server, q) // a queue's own error is of no interest here
			cancel()
		}
	}
}

// denials are the commands that servers refused the reader, since they were reset.
func denials(t *testing.T, servers []*redistest.Server) map[string]int {
	t.Helper()
	denied := map[string]int{}
	for _, server := range servers {
		entries, err := server.Client().ACLLog(t.Context(), 1000).Result()
		require.NoError(t, err)
		for _, entry := range entries {
			if entry.Username == redistest.ReaderUser {
				denied["+"+strings.ToLower(entry.Object)]++
			}
		}
	}
	return denied
}

// granted changes the reader's rights everywhere, and forgets what was refused.
func granted(t *testing.T, servers []*redistest.Server, rules ...string) {
	t.Helper()
	args := []any{"ACL", "SETUSER", redistest.ReaderUser}
	for _, rule := range rules {
		args = append(args, rule)
	}
	for _, server := range servers {
		client := server.Client()
		run(t, client, args, []any{"ACL", "LOG", "RESET"})
	}
}

// exercise has a new pool do all that it ever does with these servers: the kinds of queues,
// another database, a slot that is about to move; and where it goes on for some more reads, a
// password that changes.
func (d *deployment) exercise(t *testing.T, reads int) {
	t.Helper()
	pool := sampling.NewPool(sampling.Options{Tick: tick, Options: broker.Options{Secrets: d.secrets, SecretInterval: tick}})
	defer pool.Close()
	d.readEverything(t, pool, refusedWait)
	if d.server.Mode != broker.Cluster {
		other := d.server
		other.Database = 1
		ctx, cancel := context.WithTimeout(t.Context(), refusedWait)
		defer cancel()
		_, _ = pool.Depth(ctx, other, queue.Queue{Key: "jobs", Kind: queue.List})
	}
	if reads == 0 {
		return
	}
	next := map[string]string{redistest.ReaderPassword: anotherPassword, anotherPassword: redistest.ReaderPassword}
	data, err := d.secrets.Secret(t.Context(), namespace, authSecret)
	require.NoError(t, err)
	d.secrets.set(authSecret, "password", next[string(data["password"])])
	subscription, err := pool.Subscribe(d.server, queue.Queue{Key: "jobs", Kind: queue.List})
	require.NoError(t, err)
	defer subscription.Close()
	for range reads {
		select {
		case <-subscription.Updates():
		case <-time.After(deadline):
			t.Fatal("the servers are not read any more")
		}
	}
}

// rule is the commands of a rule.
func rule(text string) (commands []string) {
	for command := range strings.FieldsSeq(text) {
		if strings.HasPrefix(command, "+") {
			commands = append(commands, command)
		}
	}
	return commands
}

// revoke takes away each command of the rule in turn, and returns those that were missed
// then: that the servers refused.
func (d *deployment) revoke(t *testing.T, servers []*redistest.Server, text string, pingReads int) map[string]bool {
	t.Helper()
	missed := map[string]bool{}
	for _, command := range rule(text) {
		granted(t, servers, "-"+command[1:])
		reads := 0
		if command == "+ping" {
			reads = pingReads
		}
		d.exercise(t, reads)
		denied := denials(t, servers)
		missed[command] = denied[command] > 0
		delete(denied, command)
		if command == "+client|list" {
			delete(denied, "+info") // which is tried instead
		}
		assert.Empty(t, denied, "without %s", command)
		granted(t, servers, command)
	}
	return missed
}

const (
	grantedReads = 100                    // connections to a sentinel's master live 2 s, 40 ticks
	renewedReads = 20                     // for a changed password to be noticed
	refusedWait  = 500 * time.Millisecond // for one queue, where the server may be out of reach
)

// ReadOnlyRule has all that is needed, and nothing else: with it no command is refused, and
// without any part of it one is.
func TestReadOnlyRule(t *testing.T) {
	t.Parallel()
	needed := map[string][]broker.Mode{}
	for _, mode := range []broker.Mode{broker.Standalone, broker.Sentinel, broker.Cluster} {
		d := deploy(t, mode, false, true)
		d.fillEverything(t)
		servers := d.nodes
		if d.sentinel != nil {
			servers = slices.Concat(servers, d.sentinel.Sentinels)
		}
		granted(t, servers, ">"+anotherPassword)
		prove := func() {
			granted(t, d.nodes)
			d.exercise(t, grantedReads)
			assert.Empty(t, denials(t, d.nodes), "%s: ReadOnlyRule lacks something", mode)
			for command, missed := range d.revoke(t, d.nodes, redistest.ReadOnlyRule, renewedReads) {
				if missed {
					needed[command] = append(needed[command], mode)
				}
			}
		}
		if d.cluster == nil {
			prove()
			continue
		}
		run(t, d.client, []any{"LPUSH", moving, "x"})
		to := d.cluster.Nodes[0]
		if to == d.cluster.Owner(moving) {
			to = d.cluster.Nodes[1]
		}
		d.cluster.MigrateSlotWith(t, moving, to, prove)
	}
	for _, command := range rule(redistest.ReadOnlyRule) {
		assert.NotEmpty(t, needed[command], "ReadOnlyRule has %s, and nothing needs it", command)
		t.Logf("%-16s %v", command, needed[command])
	}
}

// The same for sentinels.
func TestSentinelReadOnlyRule(t *testing.T) {
	t.Parallel()
	d := deploy(t, broker.Sentinel, false, true)
	granted(t, slices.Concat(d.nodes, d.sentinel.Sentinels), ">"+anotherPassword)
	d.exercise(t, grantedReads)
	assert.Empty(t, denials(t, d.sentinel.Sentinels), "SentinelReadOnlyRule lacks something")
	for command, missed := range d.revoke(t, d.sentinel.Sentinels, redistest.SentinelReadOnlyRule, grantedReads) {
		assert.True(t, missed, "SentinelReadOnlyRule has %s, and nothing needs it", command)
	}
}

// DragonFly takes no rules for subcommands. Its own rule is enough for all kinds.
func TestDragonflyReadOnlyRule(t *testing.T) {
	t.Parallel()
	d := deploy(t, broker.Standalone, false, true)
	model := dragonflytest.Front(t, d.nodes[0], dragonflytest.All(queue.BytesPerMessage)...)
	admin := redis.NewClient(&redis.Options{Addr: model.Addr, Username: redistest.AdminUser, Password: redistest.AdminPassword})
	defer admin.Close()
	setUser := func(rule string) error { // DragonFly takes no reset
		require.NoError(t, admin.Do(t.Context(), "ACL", "DELUSER", redistest.ReaderUser).Err())
		args := []any{"ACL", "SETUSER", redistest.ReaderUser, "on", ">" + redistest.ReaderPassword}
		for part := range strings.FieldsSeq(rule) {
			args = append(args, part)
		}
		return admin.Do(t.Context(), args...).Err()
	}
	assert.Error(t, setUser(redistest.ReadOnlyRule), "the naive rule")
	require.NoError(t, setUser(redistest.DragonflyReadOnlyRule))
	d.server.Address = model.Addr
	pool := d.pool(t, sampling.Options{})
	for _, fixture := range fixtures(t) {
		t.Run(fixture.name, func(t *testing.T) { fixture.check(t, d, pool) })
	}
	assert.Empty(t, denials(t, d.nodes))
}
