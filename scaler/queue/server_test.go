package queue_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/framework"
	"github.com/jawaracloud/pubsub-operator/scaler/framework/frameworktest"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// everyKind is queues of each kind that are not empty, as set up by everyKey.
func everyKind(t *testing.T, age bool) []queue.Queue {
	t.Helper()
	queues := []queue.Queue{
		{Key: "{k}auto", Kind: queue.Auto}, {Key: "{k}none", Kind: queue.Auto}, {Key: "{k}list", Kind: queue.List}, {Key: "{k}busy", Kind: queue.List},
		{Key: "{k}stream", Kind: queue.Stream, Group: "g", Age: age}, {Key: "{k}zset", Kind: queue.SortedSet},
		{Key: "{k}due", Kind: queue.SortedSet, Score: queue.UnixSeconds, Age: age}, {Key: "{k}channel", Kind: queue.PubSub},
	}
	for _, f := range framework.All() {
		names := frameworktest.Of(t, f, now).Queues
		queues = append(queues, queue.OfPreset(f, "", names, age && f.HasAges())...)
	}
	return append(queues, owned("celery"))
}

// fillEveryKey fills what everyKind names.
func fillEveryKey(t *testing.T, client *redis.Client) {
	t.Helper()
	for _, step := range everyKey {
		step(t, client)
	}
	for _, f := range framework.All() {
		for _, command := range frameworktest.Of(t, f, now).Commands {
			do(command...)(t, client)
		}
	}
}

var everyKey = steps{
	push(2, "{k}auto"), push(3, "{k}list"), push(3, "{k}busy"), do("ZADD", queue.ConsumersKey("{k}busy"), 1, "a"),
	do("LMOVE", "{k}busy", queue.ProcessingKey("{k}busy", "a"), "RIGHT", "LEFT"), do("SET", queue.FinishedKey("{k}busy"), 5),
	do("XADD", "{k}stream", ms(-3), "a", "1"), do("XADD", "{k}stream", ms(-2), "a", "1"), do("XADD", "{k}stream", ms(-1), "a", "1"),
	do("XGROUP", "CREATE", "{k}stream", "g", ms(-3)), // its lag is not known
	readGroup(1, "{k}stream", "g"),                   // and one is pending
	do("ZADD", "{k}zset", 1, "a"), do("ZADD", "{k}due", seconds(-9), "a")}

// aclRule is all that a user of the scaler needs, on Redis 7.
const aclRule = "+type +exists +llen +zrange +get +xlen +xinfo +xpending +xrange +zcard +zcount +pubsub +client|list +info +lindex +smembers +hmget +hlen +hget +hstrlen +hexists"

// A user who may read, and nothing else, can read each kind; and each command is needed.
// None of them costs the server more with the number of messages: no KEYS, SCAN or EVAL.
func TestAReadOnlyUserCanReadEveryKind(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	fillEveryKey(t, client)
	subscribe(t, client, "{k}channel")
	require.NoError(t, client.Do(t.Context(), anys(strings.Fields("ACL SETUSER reader on >pw resetkeys %R~* resetchannels -@all +ping +hello +auth +select "+aclRule))...).Err())
	reader := redis.NewClient(&redis.Options{Addr: server.Addr, Username: "reader", Password: "pw", Protocol: 2, DisableIdentity: true})
	t.Cleanup(func() { _ = reader.Close() })
	used := map[string]bool{}
	for _, make := range []func([]*queue.Reader) *queue.Batch{queue.NewBatch, queue.NewClusterBatch} {
		readers := readersOf(everyKind(t, true))
		batch := make(readers)
		readWith(t, batch, func(commands []redis.Cmder) {
			for _, command := range commands {
				name := command.Name()
				if name == "client" {
					name = "client|list"
				}
				used["+"+name] = true
			}
			pipe := reader.Pipeline()
			_ = pipe.BatchProcess(t.Context(), commands...)
			_, err := pipe.Exec(t.Context())
			batch.Answer(err)
		})
		for _, r := range readers {
			depth, err := r.Result()
			require.NoError(t, err, "%v", r.Queue())
			if r.Queue().Kind != queue.PubSub && depth.Kind != queue.None {
				assert.Positive(t, depth.Total(), "%v", r.Queue())
			}
		}
	}
	used["+info"] = true // on DragonFly
	assert.ElementsMatch(t, strings.Fields(aclRule), slices.Collect(maps.Keys(used)))
}

// Whichever command of a read fails, and however: the queue has that error, and no depth.
func TestNoErrorReadsAsADepth(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	fillEveryKey(t, client)
	subscribe(t, client, "{k}channel")
	for _, problem := range []string{"LOADING Redis is loading the dataset in memory", "MOVED 7 127.0.0.1:1", "ASK 7 127.0.0.1:1",
		"CLUSTERDOWN The cluster is down", "MASTERDOWN Link with MASTER is down", "READONLY x", "BUSY x", "NOAUTH x"} {
		for _, make := range []func([]*queue.Reader) *queue.Batch{queue.NewBatch, queue.NewClusterBatch} {
			for _, q := range everyKind(t, true) {
				for failing, n := 0, 1; failing < n; failing++ {
					reader := newReader(q)
					batch := make([]*queue.Reader{reader})
					n = 0
					readWith(t, batch, func(commands []redis.Cmder) {
						for _, command := range commands {
							_ = client.Process(t.Context(), command)
							if n == failing {
								command.SetErr(replyError(problem))
							}
							n++
						}
						batch.Answer(nil)
					})
					depth, err := reader.Result()
					require.EqualError(t, err, problem, "%v, command %d", q, failing)
					require.Zero(t, depth)
				}
			}
		}
	}
}

// A client of a cluster finds the node of each command by itself.
func TestAClusterClientRoutesEveryCommand(t *testing.T) {
	server := redistest.Start(t, "--cluster-enabled", "yes")
	client := server.Client()
	do("CLUSTER", "ADDSLOTSRANGE", 0, 16383)(t, client)
	require.Eventually(t, func() bool { return client.LPush(t.Context(), "x", "x").Err() == nil }, deadline, poll)
	fillEveryKey(t, client)
	cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{server.Addr}, Protocol: 2, DisableIdentity: true})
	t.Cleanup(func() { _ = cluster.Close() })
	require.NoError(t, cluster.Ping(t.Context()).Err())
	require.NoError(t, client.ConfigResetStat(t.Context()).Err())
	readers := readersOf(everyKind(t, true))
	batch := queue.NewClusterBatch(readers)
	readWith(t, batch, func(commands []redis.Cmder) {
		for _, command := range commands {
			if command.Name() == "exists" && len(command.Args()) > 2 {
				assert.Len(t, command.Args(), 4, "the keys of one list, which have one slot")
				assert.Contains(t, command.Args()[1], ":consumers")
			}
		}
		pipe := cluster.Pipeline()
		_ = pipe.BatchProcess(t.Context(), commands...)
		_, err := pipe.Exec(t.Context())
		batch.Answer(err)
	})
	for _, r := range readers {
		_, err := r.Result()
		assert.NoError(t, err, "%v", r.Queue())
	}
	stats := client.Info(t.Context(), "commandstats").Val()
	assert.NotContains(t, stats, "cmdstat_command", "which command has its key where is known")
}

// On a DragonFly cluster XINFO has no key, so a node says "no such key" of a stream that
// another has.
func TestAStreamOfAnotherNodeIsNotAbsent(t *testing.T) {
	const length, info, groups = "xlen q", "xinfo stream q", "xinfo groups q"
	absent := replyError("ERR no such key")
	moved := replyError("MOVED 7 127.0.0.1:1")
	tests := map[string]struct {
		script script
		want   string
	}{
		"trap: it is on another node":    {script{length: moved, info: absent, groups: absent}, moved.Error()},
		"trap: it moves, and has a part": {script{length: 3, info: absent, groups: absent}, `the node says that there is no stream "q", whose length is not 0: its depth is not known until the cluster's slots are asked for anew`},
		"it is absent":                   {script{length: 0, info: absent, groups: absent}, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			reader := newReader(queue.Queue{Key: "q", Kind: queue.Stream})
			asked := test.script.play(t, queue.NewClusterBatch([]*queue.Reader{reader}), now)
			assert.Equal(t, []string{length, info, groups}, asked)
			depth, err := reader.Result()
			if test.want == "" {
				require.NoError(t, err)
				assert.Equal(t, queue.Depth{Kind: queue.None, Added: -1}, depth)
				return
			}
			assert.EqualError(t, err, test.want)
			assert.Zero(t, depth)
		})
	}
}

func readersOf(queues []queue.Queue) []*queue.Reader {
	readers := make([]*queue.Reader, len(queues))
	for i, q := range queues {
		readers[i] = newReader(q)
	}
	return readers
}

// readWith reads once, at now. do executes the commands and lets the batch answer.
func readWith(t *testing.T, batch *queue.Batch, do func(commands []redis.Cmder)) {
	t.Helper()
	batch.Begin(now)
	for commands := batch.Ask(); len(commands) > 0; commands = batch.Ask() {
		do(commands)
	}
}

func subscribe(t *testing.T, client *redis.Client, channel string) {
	t.Helper()
	subscription := client.Subscribe(context.WithoutCancel(t.Context()), channel)
	t.Cleanup(func() { _ = subscription.Close() })
	_, err := subscription.Receive(t.Context())
	require.NoError(t, err)
}

func anys(fields []string) []any {
	all := make([]any, len(fields))
	for i, field := range fields {
		all[i] = fmt.Sprint(field)
	}
	return all
}
