package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/deadletter"
	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// keysOnEachNode returns a key with that prefix on each of a cluster's masters.
func keysOnEachNode(cluster *redistest.Cluster, prefix string) []string {
	var keys []string
	taken := map[*redistest.Server]bool{}
	for i := 0; len(keys) < len(cluster.Addrs()); i++ {
		key := fmt.Sprint(prefix, i)
		if owner := cluster.Owner(key); !taken[owner] {
			taken[owner] = true
			keys = append(keys, key)
		}
	}
	return keys
}

// leftInCluster is how many messages of a list wait or are held.
func leftInCluster(t *testing.T, client *redis.ClusterClient, key string) int64 {
	t.Helper()
	left := client.LLen(t.Context(), key).Val() + client.LLen(t.Context(), queue.NextKey(key)).Val() + client.ZCard(t.Context(), queue.TakenKey(key)).Val()
	node, err := client.MasterForKey(t.Context(), key)
	require.NoError(t, err)
	for _, processing := range node.Keys(t.Context(), queue.ProcessingKey(key, "*")).Val() {
		left += node.LLen(t.Context(), processing).Val()
	}
	return left
}

func unread(t *testing.T, client *redis.ClusterClient, key string) int64 {
	t.Helper()
	groups, err := client.XInfoGroups(t.Context(), key).Result()
	if err != nil || len(groups) == 0 {
		return -1
	}
	return groups[0].Lag + groups[0].Pending
}

func quoted(keys []string) string { return `["` + strings.Join(keys, `","`) + `"]` }

// A worker is killed and a slot moves to another node meanwhile.
func TestClusterLosesNothing(t *testing.T) {
	const messages = 40
	cluster := redistest.StartCluster(t, 3)
	client := cluster.Client()
	lists, streams := keysOnEachNode(cluster, "list"), keysOnEachNode(cluster, "stream")
	for i := range messages {
		for _, key := range lists {
			require.NoError(t, client.LPush(t.Context(), key, ofQueue(key, i)).Err())
		}
		for _, key := range streams {
			require.NoError(t, client.XAdd(t.Context(), &redis.XAddArgs{Stream: key, Values: []any{"payload", ofQueue(key, i)}}).Err())
		}
	}
	all := append(append([]string{}, lists...), streams...)
	env := []string{"REDIS_MODE=Cluster", "QUEUE_KEYS=" + quoted(all), "MAX_DELIVERIES=50"}
	stuck := handleNever(t)
	victim := start(t, cluster.Addrs()[0], "victim", append(env, "CONCURRENCY=6", "HANDLER_URL="+stuck.URL)...)
	require.Eventually(t, func() bool { return stuck.received() == 6 }, patient, often)
	victim.kill()

	half := make(chan struct{})
	done := handle(t, func(payload string, n int) int {
		if payload > ofQueue(payload[:strings.IndexByte(payload, '/')], messages/2) {
			<-half
		}
		return http.StatusOK
	})
	worker := start(t, strings.Join(cluster.Addrs(), ","), "victim", append(env, "CONCURRENCY=8", "HANDLER_URL="+done.URL)...)
	require.Eventually(t, func() bool { return done.received() > 20 }, patient, often)
	to := cluster.Nodes[0]
	if cluster.Owner(lists[0]) == to {
		to = cluster.Nodes[1]
	}
	cluster.MigrateSlot(t, lists[0], to)
	close(half)
	require.Eventually(t, func() bool { return done.received() == messages*len(all) }, patient, often)
	for _, key := range lists {
		require.Eventually(t, func() bool { return leftInCluster(t, client, key) == 0 }, patient, often, key)
		require.InDelta(t, messages, client.ZScore(t.Context(), queue.DoneKey(key), queue.DoneMember).Val(), 0, "counted once each")
	}
	for _, key := range streams {
		require.Eventually(t, func() bool { return unread(t, client, key) == 0 }, patient, often, key)
	}
	worker.terminate()
	require.Zero(t, worker.exitCode())
	for _, key := range lists {
		require.Zero(t, client.Exists(t.Context(), queue.ConsumersKey(key)).Val())
	}
}

func TestClusterDeadLetters(t *testing.T) {
	cluster := redistest.StartCluster(t, 3)
	client := cluster.Client()
	require.NoError(t, client.LPush(t.Context(), "list", "list/bad").Err())
	require.NoError(t, client.XAdd(t.Context(), &redis.XAddArgs{Stream: "stream", Values: []any{"payload", "stream/bad"}}).Err())
	h := handle(t, func(string, int) int { return http.StatusInternalServerError })
	start(t, cluster.Addrs()[0], "pod", "REDIS_MODE=Cluster", `QUEUE_KEYS=["list","stream"]`, "MAX_DELIVERIES=1", "HANDLER_URL="+h.URL)
	require.Eventually(t, func() bool {
		return client.ZCard(t.Context(), queue.DeadLettersKey("list", "")).Val() == 1 &&
			client.ZCard(t.Context(), queue.DeadLettersKey("stream", queue.DefaultConsumerGroup)).Val() == 1
	}, patient, often)
	require.Zero(t, leftInCluster(t, client, "list"))
	require.InDelta(t, 1, client.ZScore(t.Context(), queue.DoneKey("list"), queue.DoneMember).Val(), 0)
	for _, box := range []deadletter.Box{{Key: "list"}, {Key: "stream", Group: queue.DefaultConsumerGroup}} {
		ids, err := box.IDs(t.Context(), client, 0)
		require.NoError(t, err)
		require.NoError(t, box.Requeue(t.Context(), client, ids[0]), "all that a letter needs is in one slot")
		require.Eventually(t, func() bool {
			again, err := box.IDs(t.Context(), client, 0)
			return err == nil && len(again) == 1 && again[0] == ids[0]
		}, patient, often, "it is delivered again, and fails again")
	}
}

// consumeBySentinel starts a worker on a list and a stream.
func consumeBySentinel(t *testing.T, sentinel *redistest.Sentinel, env ...string) *subscriber {
	t.Helper()
	return start(t, strings.Join(sentinel.SentinelAddrs(), ","), "pod", append([]string{
		"REDIS_MODE=Sentinel", "REDIS_SENTINEL_MASTER=" + sentinel.MasterName, `QUEUE_KEYS=["list","stream"]`, "MESSAGE_TIMEOUT=5",
	}, env...)...)
}

// publishToBoth publishes the messages of those numbers, until a replica has them.
func publishToBoth(t *testing.T, client *redis.Client, from, to, replicas int) {
	t.Helper()
	require.Eventually(t, func() bool {
		conn := client.Conn() // WAIT is for what one connection sent
		defer conn.Close()
		for i := from; i < to; i++ {
			if conn.LPush(t.Context(), "list", ofQueue("list", i)).Err() != nil ||
				conn.XAdd(t.Context(), &redis.XAddArgs{Stream: "stream", Values: []any{"payload", ofQueue("stream", i)}}).Err() != nil {
				return false
			}
		}
		return conn.Do(t.Context(), "WAIT", replicas, 5000).Val() == int64(replicas)
	}, patient, often)
}

// settled waits until nothing waits and nothing is held.
func settled(t *testing.T, client *redis.Client) {
	t.Helper()
	require.Eventually(t, func() bool {
		groups, err := client.XInfoGroups(t.Context(), "stream").Result()
		return err == nil && len(groups) > 0 && groups[0].Lag+groups[0].Pending == 0 &&
			client.LLen(t.Context(), "list").Val() == 0 && client.Exists(t.Context(), queue.NextKey("list"), queue.TakenKey("list")).Val() == 0
	}, 2*patient, often)
}

// The master dies under the load; all that its replicas had is delivered.
func TestSentinelFailoverLosesNothing(t *testing.T) {
	const messages = 200
	sentinel := redistest.StartSentinel(t)
	publishToBoth(t, sentinel.Client(), 0, messages, 2)
	h := handle(t, ok)
	worker := consumeBySentinel(t, sentinel, "WORK_TIME=20ms", "CONCURRENCY=4", "HANDLER_URL="+h.URL)
	require.Eventually(t, func() bool { return h.received() > 20 }, patient, often)
	old := sentinel.Master()
	old.Kill()
	sentinel.AwaitMaster(t, old)
	require.Eventually(t, func() bool { return h.received() == 2*messages }, patient, often)
	worker.awaitLog("the server answers again")
	settled(t, sentinel.Client())
	worker.terminate()
	require.Zero(t, worker.exitCode())
}

// A failover in order, of which an idle worker need not see any error.
func TestSentinelFailoverOfAnIdleWorker(t *testing.T) {
	sentinel := redistest.StartSentinel(t)
	publishToBoth(t, sentinel.Client(), 0, 1, 2)
	h := handle(t, ok)
	worker := consumeBySentinel(t, sentinel, "HANDLER_URL="+h.URL)
	require.Eventually(t, func() bool { return h.received() == 2 }, patient, often)
	sentinel.Failover(t)
	publishToBoth(t, sentinel.Client(), 1, 10, 1)
	require.Eventually(t, func() bool { return h.received() == 20 }, patient, often)
	settled(t, sentinel.Client())
	worker.terminate()
	require.Zero(t, worker.exitCode())
}

// Secrets that are mounted as files may come late and change: no restart.
func TestMountedSecretsChangeUnderTheWorker(t *testing.T) {
	authority, other := redistest.TLS(t), redistest.TLS(t)
	server := redistest.Start(t, append(authority.Args(), redistest.ACLArgs()...)...)
	client := server.Client()
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	require.NoError(t, client.LPush(t.Context(), key, "m").Err())
	h := handle(t, ok)
	worker := start(t, server.Addr, "pod", "REDIS_TLS=true", "REDIS_TLS_CA_FILE="+write("ca.crt", string(other.CA)),
		"REDIS_TLS_CERT_FILE="+authority.ClientCertFile, "REDIS_TLS_KEY_FILE="+authority.ClientKeyFile,
		"REDIS_USERNAME="+redistest.AdminUser, "REDIS_PASSWORD_FILE="+write("password", "wrong"), "HANDLER_URL="+h.URL, "LOG_LEVEL=debug")
	worker.awaitLog("certificate signed by unknown authority")
	write("ca.crt", string(authority.CA))
	require.Eventually(t, func() bool {
		return strings.Contains(client.Do(t.Context(), "ACL", "LOG").String(), "auth")
	}, patient, often, "it gets as far as AUTH")
	write("password", redistest.AdminPassword)
	require.Eventually(t, func() bool { return h.count("m") == 1 }, patient, often)
	require.NotContains(t, worker.log.String(), redistest.AdminPassword)

	// A connection that is needed anew takes what the files hold by then.
	require.NoError(t, client.Do(t.Context(), "ACL", "SETUSER", redistest.AdminUser, "resetpass", ">renewed").Err())
	write("password", "renewed\n")
	require.NoError(t, client.ClientKillByFilter(t.Context(), "TYPE", "normal", "SKIPME", "yes").Err())
	require.NoError(t, client.LPush(t.Context(), key, "after").Err())
	require.Eventually(t, func() bool { return h.count("after") == 1 }, patient, often)
	worker.terminate()
	require.Zero(t, worker.exitCode())
}
