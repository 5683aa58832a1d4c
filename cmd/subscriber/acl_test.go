package main

import (
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/internal/redistest/dragonflytest"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// The rules of docs/subscriber.md, for the channel orders: what a worker may do with its
// keys, and what else it needs in a cluster.
const (
	workerRule = "~orders ~{orders}:* &orders +type +exists +time +watch +unwatch +multi +exec +ping +select" +
		" +llen +lindex +lrem +rpush +lmove +blmove +del +zadd +zrem +zscore +zrange +zrangebyscore +zcard +zunionstore +zincrby" +
		" +hset +xack +xreadgroup +xpending +xclaim +xautoclaim +xtrim +xinfo|groups +xgroup|create +xgroup|delconsumer +subscribe +client|setname"
	clusterRule = "+cluster|slots +asking +command"

	// DragonFly's rules know no subcommands.
	workerRuleOfDragonFly = "+hello +auth +client +xgroup +xinfo"

	workerUser, workerPassword = "orders-worker", "worker-secret"
)

var asWorker = []string{"REDIS_USERNAME=" + workerUser, "REDIS_PASSWORD=" + workerPassword}

// grant makes the worker's user.
func grant(t *testing.T, client *redis.Client, rule string) {
	t.Helper()
	args := []any{"ACL", "SETUSER", workerUser, "reset", "on", ">" + workerPassword}
	for part := range strings.FieldsSeq(rule) {
		args = append(args, part)
	}
	require.NoError(t, client.Do(t.Context(), args...).Err())
}

// refused are the commands that a server did not let the worker run.
func refused(t *testing.T, client *redis.Client) []string {
	t.Helper()
	entries, err := client.ACLLog(t.Context(), 1000).Result()
	require.NoError(t, err)
	var objects []string
	for _, entry := range entries {
		objects = append(objects, entry.Reason+" "+entry.Object)
	}
	return objects
}

// ran adds what the worker ran, as a rule names it.
func ran(commands map[string]bool, monitor *redistest.Monitor) {
	for _, command := range monitor.Of(workerUser) {
		name := strings.ToLower(command.Args[0])
		if name == "xgroup" || name == "client" || name == "cluster" || name == "xinfo" {
			name += "|" + strings.ToLower(command.Args[1])
		}
		commands["+"+name] = true
	}
}

// liveThrough leads workers through all that may happen to them with one kind of queue.
func liveThrough(t *testing.T, server *redistest.Server, kind kindOfQueue, monitor *redistest.Monitor) {
	client := server.Client()
	fail := handle(t, func(m string, _ int) int {
		if m == payload(0) {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	})
	settings := append([]string{"REDIS_DATABASE=0", "MAX_DELIVERIES=2", "TRIM=acknowledged"}, asWorker...)
	first := start(t, server.Addr, "first", append(settings, "HANDLER_URL="+fail.URL)...)
	first.awaitLog("waiting for the queue to exist")
	publish(t, client, kind, 3)
	require.Eventually(t, func() bool { return len(kind.dead(t, client)) > 0 && kind.left(t, client) == 0 }, patient, often)
	first.terminate()
	require.Zero(t, first.exitCode())

	publish(t, client, kind, 8)
	stuck := handleNever(t)
	victim := start(t, server.Addr, "victim", append(settings, "HANDLER_URL="+stuck.URL, "CONCURRENCY=2")...)
	require.Eventually(t, func() bool { return stuck.received() == 2 }, patient, often)
	victim.kill()
	kind.abandon(t, client, "victim")
	done := handle(t, ok)
	survivor := start(t, server.Addr, "survivor", append(settings, "HANDLER_URL="+done.URL)...)
	require.Eventually(t, func() bool { return done.received() == 8 && kind.left(t, client) == 0 }, patient, often)
	if kind.name == "List" {
		liveThroughMore(t, client, done)
		failATransaction(t, client, monitor)
	}
	survivor.terminate()
	require.Zero(t, survivor.exitCode())
}

// liveThroughMore is what happens to workers of lists alone: one of an older version is gone,
// and the server refuses to write for a while.
func liveThroughMore(t *testing.T, client *redis.Client, done *handler) {
	require.NoError(t, client.ZAdd(t.Context(), queue.ConsumersKey(key), redis.Z{Score: 1, Member: "ancient"}).Err())
	require.Eventually(t, func() bool {
		return client.ZScore(t.Context(), queue.ConsumersKey(key), "ancient").Err() != nil
	}, patient, often)
	before := client.ZScore(t.Context(), queue.DoneKey(key), queue.DoneMember).Val()
	_, err := client.TxPipelined(t.Context(), func(tx redis.Pipeliner) error {
		tx.LPush(t.Context(), key, "full-1", "full-2", "full-3")
		tx.ConfigSet(t.Context(), "maxmemory", "1")
		return nil
	})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		return done.received() == 11 && client.Exists(t.Context(), key, queue.NextKey(key)).Val() == 0
	}, patient, often)
	require.NoError(t, client.ConfigSet(t.Context(), "maxmemory", "0").Err())
	require.Eventually(t, func() bool {
		return client.ZScore(t.Context(), queue.DoneKey(key), queue.DoneMember).Val() == before+3
	}, patient, often)
}

// failATransaction has a transaction fail that watches a key: the counter is of another type while a spare element is missing. The
// connection no longer watches the key after that, or a transaction of another kind would be aborted on it.
func failATransaction(t *testing.T, client *redis.Client, monitor *redistest.Monitor) {
	t.Helper()
	aside := queue.DoneKey(key) + ":aside"
	require.NoError(t, client.Rename(t.Context(), queue.DoneKey(key), aside).Err())
	require.NoError(t, client.Set(t.Context(), queue.DoneKey(key), "no counter", 0).Err())
	require.NoError(t, client.RPop(t.Context(), queue.SpareKey(key)).Err())
	require.Eventually(t, func() bool {
		commands := map[string]bool{}
		ran(commands, monitor)
		return commands["+unwatch"]
	}, patient, often)
	require.NoError(t, client.Rename(t.Context(), aside, queue.DoneKey(key)).Err())
}

// With the rule of docs/subscriber.md no command of a worker's is refused, whatever
// happens to it, and every command in the rule is one that a worker runs.
func TestWorkerRule(t *testing.T) {
	page, err := os.ReadFile("../../docs/subscriber.md")
	require.NoError(t, err)
	for _, text := range []string{"ACL SETUSER " + workerUser + " on ><password> " + workerRule + "\n", "`" + clusterRule + "`"} {
		if !strings.Contains(string(page), text) {
			t.Errorf("docs/subscriber.md lacks %s", text)
		}
	}

	withoutSubcommands := slices.DeleteFunc(strings.Fields(workerRule), func(part string) bool { return strings.Contains(part, "|") })
	dragonFly := "ACL SETUSER " + workerUser + " ON ><password> " + strings.Join(withoutSubcommands, " ") + " " + workerRuleOfDragonFly + "\n"
	assert.Contains(t, string(page), dragonFly, "docs/subscriber.md: the rule for DragonFly")
	args := []any{"ACL", "SETUSER", workerUser, "on", ">" + workerPassword}
	for part := range strings.FieldsSeq(strings.Join(withoutSubcommands, " ") + " " + workerRuleOfDragonFly) {
		args = append(args, part)
	}
	require.NoError(t, dragonflytest.Start(t, dragonflytest.FlatACL()).Client().Do(t.Context(), args...).Err(), "DragonFly takes it")

	commands := map[string]bool{}
	for _, kind := range kinds {
		server := redistest.Start(t)
		grant(t, server.Client(), workerRule)
		monitor := server.Monitor(t)
		liveThrough(t, server, kind, monitor)
		assert.Empty(t, refused(t, server.Client()), kind.name)
		ran(commands, monitor)
	}
	server := redistest.Start(t)
	grant(t, server.Client(), workerRule)
	monitor := server.Monitor(t)
	h := handle(t, ok)
	start(t, server.Addr, "pod", append(asWorker, "QUEUE_TYPE=PubSub", "REDIS_DATABASE=1", "HANDLER_URL="+h.URL)...)
	require.Eventually(t, func() bool {
		return server.Client().Publish(t.Context(), key, "m").Val() == 1 && h.count("m") > 0
	}, patient, often)
	require.Eventually(t, func() bool { ran(commands, monitor); return commands["+ping"] }, patient, often, "a silent subscription is asked for a sign of life")
	assert.Empty(t, refused(t, server.Client()), "Pub/Sub")

	for part := range strings.FieldsSeq(workerRule) {
		if strings.HasPrefix(part, "+") && part != "+unwatch" { // which TestWorkerRuleAfterALookInVain has
			assert.True(t, commands[part], "the rule has %s, and no worker ran it", part)
		}
	}
}

// A worker that looks before a transaction, and finds that there is nothing to do, or is refused the look, ends the watch: the
// next transaction on that connection would otherwise fail for a key that it has nothing to do with.
func TestWorkerRuleAfterALookInVain(t *testing.T) {
	server := redistest.Start(t)
	grant(t, server.Client(), workerRule)
	monitor := server.Monitor(t)
	worker := redis.NewClient(&redis.Options{Addr: server.Addr, Username: workerUser, Password: workerPassword})
	t.Cleanup(func() { require.NoError(t, worker.Close()) })
	require.NoError(t, worker.Watch(t.Context(), func(*redis.Tx) error { return nil }, key))
	assert.NotContains(t, refused(t, server.Client()), "command unwatch")
	commands := map[string]bool{}
	ran(commands, monitor)
	assert.True(t, commands["+unwatch"], "the rule has it, and the client does not run it")
}

// The same in a cluster, while a slot moves.
func TestWorkerRuleInACluster(t *testing.T) {
	cluster := redistest.StartCluster(t, 3)
	var monitors []*redistest.Monitor
	for _, node := range cluster.Nodes {
		grant(t, node.Client(), workerRule+" "+clusterRule)
		monitors = append(monitors, node.Monitor(t))
	}
	client := cluster.Client()
	h := handle(t, ok)
	pod := start(t, cluster.Addrs()[0], "pod", append(asWorker, "REDIS_MODE=Cluster", "HANDLER_URL="+h.URL)...)
	push := func(m string) { require.NoError(t, client.LPush(t.Context(), key, m).Err()) }
	push("before")
	require.Eventually(t, func() bool { return h.count("before") == 1 }, patient, often)
	others := slices.DeleteFunc(slices.Clone(cluster.Nodes), func(node *redistest.Server) bool { return node == cluster.Owner(key) })
	cluster.MigrateSlotWith(t, key, others[0], func() {
		push("while")
		pod.awaitLog("TRYAGAIN") // of two keys the new node has one
	})
	push("after")
	require.Eventually(t, func() bool { return h.count("while") == 1 && h.count("after") == 1 }, patient, often)
	commands := map[string]bool{}
	for i, node := range cluster.Nodes {
		assert.Empty(t, refused(t, node.Client()))
		ran(commands, monitors[i])
	}
	for part := range strings.FieldsSeq(clusterRule) {
		assert.True(t, commands[part], "the rule has %s, and no worker ran it", part)
	}
}

// sentinelRule is what docs/subscriber.md has workers run on sentinels, beside what the
// scaler runs there.
const sentinelRule = "&+switch-master &+replica-reconf-done +ping +subscribe"

// On sentinels, for a failover too.
func TestWorkerRuleOnSentinels(t *testing.T) {
	sentinel := redistest.StartSentinel(t, redistest.ACLArgs()...)
	for _, server := range sentinel.Sentinels {
		arguments := []any{"acl", "setuser", redistest.ReaderUser}
		for part := range strings.FieldsSeq(sentinelRule) {
			arguments = append(arguments, part)
		}
		require.NoError(t, server.Client().Do(t.Context(), arguments...).Err())
	}
	for _, node := range sentinel.Data {
		grant(t, node.Client(), workerRule)
	}
	h := handle(t, ok)
	start(t, strings.Join(sentinel.SentinelAddrs(), ","), "pod", append(asWorker, "HANDLER_URL="+h.URL,
		"REDIS_MODE=Sentinel", "REDIS_SENTINEL_MASTER="+sentinel.MasterName,
		"REDIS_SENTINEL_USERNAME="+redistest.ReaderUser, "REDIS_SENTINEL_PASSWORD="+redistest.ReaderPassword)...)
	push := func(m string) { require.NoError(t, sentinel.Client().LPush(t.Context(), key, m).Err()) }
	push("before")
	require.Eventually(t, func() bool { return h.count("before") == 1 }, patient, often)
	sentinel.Failover(t)
	push("after")
	require.Eventually(t, func() bool { return h.count("after") == 1 }, patient, often)
	for _, server := range slices.Concat(sentinel.Data, sentinel.Sentinels) {
		assert.Empty(t, refused(t, server.Client()))
	}
}
