package dragonflytest_test

import (
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/internal/redistest/dragonflytest"
)

// lag is that of the stream's only group; nil where it is not known.
func lag(t *testing.T, client *redis.Client) any {
	t.Helper()
	groups, err := client.Do(t.Context(), "XINFO", "GROUPS", "s").Slice()
	require.NoError(t, err)
	group, ok := groups[0].(map[any]any)
	require.True(t, ok, "%T", groups[0])
	return group["lag"]
}

func do(t *testing.T, client *redis.Client, commands ...string) {
	t.Helper()
	for _, command := range commands {
		var args []any
		for arg := range strings.FieldsSeq(command) {
			args = append(args, arg)
		}
		require.NoError(t, client.Do(t.Context(), args...).Err(), command)
	}
}

// Each trait alters what Redis says; without it, the model says what Redis does.
func TestLag(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		trait     dragonflytest.Trait
		commands  []string
		redis     any
		dragonfly any
	}{
		"of a group at $, before anything came": {
			dragonflytest.NilLag(), []string{"XADD s 1-0 a b", "XGROUP CREATE s g $"}, int64(0), int64(0),
		},
		"of a group at $, after something came": {
			dragonflytest.NilLag(), []string{"XADD s 1-0 a b", "XADD s 2-0 a b", "XGROUP CREATE s g $", "XADD s 3-0 a b"}, nil, nil,
		},
		"of a group at the first entry, after something came": {
			dragonflytest.NilLag(), []string{"XADD s 1-0 a b", "XGROUP CREATE s g $", "XADD s 2-0 a b"}, int64(1), nil,
		},
		"of a group at $ that has read all, after something came": {
			dragonflytest.NilLag(),
			[]string{"XADD s 1-0 a b", "XGROUP CREATE s g $", "XADD s 2-0 a b", "XREADGROUP GROUP g c STREAMS s >", "XADD s 3-0 a b"},
			int64(1), nil,
		},
		"of a group at 0": {
			dragonflytest.NilLag(), []string{"XADD s 1-0 a b", "XGROUP CREATE s g 0", "XADD s 2-0 a b"}, int64(2), int64(2),
		},
		"after XDEL of what was not delivered": {
			dragonflytest.ZeroLag(),
			[]string{"XADD s 1-0 a b", "XADD s 2-0 a b", "XADD s 3-0 a b", "XGROUP CREATE s g 0", "XREADGROUP GROUP g c COUNT 1 STREAMS s >", "XDEL s 2-0"},
			nil, nil,
		},
		"after XTRIM of what was not delivered": {
			dragonflytest.ZeroLag(),
			[]string{"XADD s 1-0 a b", "XADD s 2-0 a b", "XADD s 3-0 a b", "XADD s 4-0 a b", "XADD s 5-0 a b", "XGROUP CREATE s g 0", "XREADGROUP GROUP g c COUNT 1 STREAMS s >", "XTRIM s MAXLEN 2"},
			int64(4), int64(4),
		},
		"after XDEL of all": {
			dragonflytest.ZeroLag(),
			[]string{"XADD s 1-0 a b", "XADD s 2-0 a b", "XGROUP CREATE s g 0", "XREADGROUP GROUP g c COUNT 1 STREAMS s >", "XDEL s 1-0 2-0"},
			int64(1), int64(0),
		},
		"after SETID": {
			dragonflytest.StaleLag(),
			[]string{"XADD s 1-0 a b", "XADD s 2-0 a b", "XGROUP CREATE s g 0", "XREADGROUP GROUP g c STREAMS s >", "XGROUP SETID s g 0"},
			int64(2), int64(0),
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := dragonflytest.Start(t, test.trait)
			do(t, server.Client(), test.commands...)
			assert.Equal(t, test.redis, lag(t, server.Redis.Client()), "Redis")
			assert.Equal(t, test.dragonfly, lag(t, server.Client()), "the model")
			assert.Equal(t, test.redis, lag(t, dragonflytest.Front(t, server.Redis).Client()), "a model without traits")
		})
	}
}

func TestStaleLagEndsWithARead(t *testing.T) {
	t.Parallel()
	server := dragonflytest.Start(t, dragonflytest.StaleLag())
	do(t, server.Client(), "XADD s 1-0 a b", "XGROUP CREATE s g 0", "XREADGROUP GROUP g c STREAMS s >", "XGROUP SETID s g 0", "XADD s 2-0 a b")
	assert.EqualValues(t, 0, lag(t, server.Client()))
	do(t, server.Client(), "XREADGROUP GROUP g c COUNT 1 STREAMS s >")
	assert.EqualValues(t, 1, lag(t, server.Client()))
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		trait   dragonflytest.Trait
		command []any
		error   string
	}{
		"a filter of CLIENT LIST":                {dragonflytest.OldClientList(), []any{"CLIENT", "LIST", "TYPE", "pubsub"}, "syntax error"},
		"OBJECT":                                 {dragonflytest.UnknownCommands(), []any{"OBJECT", "HELP"}, "unknown command"},
		"CLIENT MAINT_NOTIFICATIONS":             {dragonflytest.UnknownCommands(), []any{"client", "maint_notifications", "on"}, "Unknown subcommand"},
		"an undeclared key":                      {dragonflytest.DeclaredKeysOnly(), []any{"EVAL", "return redis.call('get', 'k')", 0}, "undeclared key"},
		"the rule reset":                         {dragonflytest.FlatACL(), []any{"ACL", "SETUSER", "u", "reset"}, "reset"},
		"a key before the cluster is configured": {dragonflytest.Unconfigured(), []any{"XLEN", "s"}, "ERR Cluster is not yet configured"},
		"XINFO before the cluster is configured": {dragonflytest.Unconfigured(), []any{"XINFO", "STREAM", "s"}, "ERR no such key"},
		"a rule for a subcommand":                {dragonflytest.FlatACL(), []any{"ACL", "SETUSER", "u", "+client|list"}, "+client|list"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := dragonflytest.Start(t, test.trait)
			assert.ErrorContains(t, server.Client().Do(t.Context(), test.command...).Err(), test.error)
			assert.NoError(t, server.Client().Do(t.Context(), "CLIENT", "LIST").Err())
		})
	}
}

func TestReplies(t *testing.T) {
	t.Parallel()
	server := dragonflytest.Start(t, dragonflytest.All(0)...)
	client := server.Client()
	info, err := client.Info(t.Context()).Result()
	require.NoError(t, err)
	assert.Contains(t, info, "\r\ndragonfly_version:df-v1.40.1\r\n")
	assert.Contains(t, info, "\r\nredis_version:7.4.0\r\n")
	assert.Contains(t, info, "\r\ndispatch_queue_subscriber_bytes:0\r\n")

	clients, err := client.ClientList(t.Context()).Result()
	require.NoError(t, err)
	assert.Contains(t, clients, " addr=")
	assert.NotContains(t, clients, "omem=")
	assert.NotContains(t, clients, "tot-mem=")
	assert.Contains(t, clients, " send-wait-time=0\n")
	assert.NoError(t, client.Do(t.Context(), "CLIENT", "SETINFO", "lib-name", "x").Err())

	patterns := server.Redis.Client().PSubscribe(t.Context(), "c*")
	defer patterns.Close()
	_, err = patterns.Receive(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, 1, client.PubSubNumSub(t.Context(), "c1").Val()["c1"])
	assert.EqualValues(t, 0, server.Redis.Client().PubSubNumSub(t.Context(), "c1").Val()["c1"])
}

func TestRoleAndLoading(t *testing.T) {
	t.Parallel()
	server := dragonflytest.Start(t, dragonflytest.ShortRole())
	role := func() []any {
		reply, err := server.Client().Do(t.Context(), "ROLE").Slice()
		require.NoError(t, err)
		return reply
	}
	assert.Equal(t, "master", role()[0])
	server.Demote("127.0.0.1:1")
	assert.Equal(t, []any{"slave", "127.0.0.1", "1", "online"}, role())
	server.Promote()
	assert.Equal(t, "master", role()[0])
	do(t, server.Redis.Client(), "REPLICAOF 127.0.0.1 1")
	assert.Equal(t, []any{"slave", "127.0.0.1", "1", "full_sync"}, role())

	server.SetLoading(true)
	assert.True(t, redis.HasErrorPrefix(server.Client().LLen(t.Context(), "q").Err(), "LOADING"))
	server.SetLoading(false)
	assert.NoError(t, server.Client().LLen(t.Context(), "q").Err())
}

func TestPlainHello(t *testing.T) {
	t.Parallel()
	server := dragonflytest.Start(t, dragonflytest.PlainHello())
	connection := server.Client().Conn() // which begins with HELLO 3
	defer connection.Close()
	hello, err := connection.Do(t.Context(), "HELLO").Result()
	require.NoError(t, err)
	assert.IsType(t, []any{}, hello, "a map in RESP3")
}

func TestXInfoInACluster(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3)
	owner := cluster.Owner("s")
	do(t, owner.Client(), "XADD s 1-0 a b")
	for _, node := range cluster.Nodes {
		err := dragonflytest.Front(t, node, dragonflytest.KeylessXInfo()).Client().Do(t.Context(), "XINFO", "STREAM", "s").Err()
		if node == owner {
			assert.NoError(t, err)
			continue
		}
		assert.EqualError(t, err, "ERR no such key")
		assert.True(t, redis.HasErrorPrefix(node.Client().Do(t.Context(), "XINFO", "STREAM", "s").Err(), "MOVED"), "Redis")
	}
}
