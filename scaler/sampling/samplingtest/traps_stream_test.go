//go:build integration

package samplingtest

import (
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest/dragonflytest"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

// naiveLag is what a reader gets who takes go-redis's Lag for the depth: nil is -1 there,
// and no depth is negative.
func naiveLag(t *testing.T, client *redis.Client, key string) int64 {
	t.Helper()
	groups, err := client.XInfoGroups(t.Context(), key).Result()
	require.NoError(t, err)
	require.Len(t, groups, 1)
	return max(0, groups[0].Lag)
}

// streamTrap is a stream in whose group the lag misleads.
type streamTrap struct {
	traits   []dragonflytest.Trait // none: Redis 7.0 does so itself
	commands [][]any
	naive    int64
	ready    int64
	inFlight int64
}

func add(ids ...string) [][]any {
	var commands [][]any
	for _, id := range ids {
		commands = append(commands, []any{"XADD", "s", id, "a", "b"})
	}
	return commands
}

func group(id string) []any { return []any{"XGROUP", "CREATE", "s", "g", id, "MKSTREAM"} }

func deliver(count int) []any {
	return []any{"XREADGROUP", "GROUP", "g", "c", "COUNT", count, "NOACK", "STREAMS", "s", ">"}
}

func after(parts ...any) [][]any {
	var commands [][]any
	for _, part := range parts {
		switch part := part.(type) {
		case []any:
			commands = append(commands, part)
		case [][]any:
			commands = append(commands, part...)
		}
	}
	return commands
}

var streamTraps = map[string]streamTrap{
	"lag is nil for a group made at $, until its first read": {
		commands: after(add("1-0", "2-0"), group("$"), add("3-0", "4-0", "5-0")),
		naive:    0, ready: 3,
	},
	"lag is nil again on DragonFly for a group made at $ that has read all, when more comes": {
		traits:   []dragonflytest.Trait{dragonflytest.NilLag()},
		commands: after(add("1-0"), group("$"), add("2-0", "3-0"), deliver(2), add("4-0")),
		naive:    0, ready: 1,
	},
	"lag is nil for a group made at an arbitrary id": {
		commands: after(add("1-0", "2-0", "3-0", "4-0"), group("2-0")),
		naive:    0, ready: 2,
	},
	"lag is nil behind a tombstone": {
		commands: after(add("1-0", "2-0", "3-0", "4-0"), group("0"), deliver(1), []any{"XDEL", "s", "3-0"}),
		naive:    0, ready: 2,
	},
	"lag counts what XTRIM removed before it was delivered": {
		commands: after(add("1-0", "2-0", "3-0", "4-0", "5-0"), group("0"), deliver(1), []any{"XTRIM", "s", "MAXLEN", "2"}),
		naive:    4, ready: 2,
	},
	"lag counts what XTRIM removed, and nothing is left": {
		commands: after(add("1-0", "2-0", "3-0"), group("0"), deliver(1), []any{"XTRIM", "s", "MAXLEN", "0"}),
		naive:    2, ready: 0,
	},
	"lag is nil where XDEL removed what was to be delivered next": {
		commands: after(add("1-0", "2-0", "3-0", "4-0", "5-0"), group("0"), deliver(2), []any{"XDEL", "s", "3-0", "4-0"}),
		naive:    0, ready: 1,
	},
	"lag is stale on DragonFly after XGROUP SETID 0": {
		traits:   []dragonflytest.Trait{dragonflytest.StaleLag()},
		commands: after(add("1-0", "2-0", "3-0"), group("0"), deliver(3), []any{"XGROUP", "SETID", "s", "g", "0"}),
		naive:    0, ready: 3,
	},
	"lag is stale on DragonFly after XGROUP SETID to an id in the middle": {
		traits:   []dragonflytest.Trait{dragonflytest.StaleLag()},
		commands: after(add("1-0", "2-0", "3-0"), group("0"), deliver(3), []any{"XGROUP", "SETID", "s", "g", "1-0"}),
		naive:    0, ready: 2,
	},
	"lag leaves out what is in flight": {
		commands: after(add("1-0", "2-0", "3-0"), group("0"), []any{"XREADGROUP", "GROUP", "g", "c", "COUNT", 2, "STREAMS", "s", ">"}),
		naive:    1, ready: 1, inFlight: 2,
	},
}

// Each would scale wrongly by the lag alone, and mostly to zero.
func TestTrapsOfAStreamsLag(t *testing.T) {
	t.Parallel()
	for name, trap := range streamTraps {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := deploy(t, broker.Standalone, false, false)
			model := dragonflytest.Front(t, d.nodes[0], trap.traits...)
			run(t, model.Client(), trap.commands...)
			assert.Equal(t, trap.naive, naiveLag(t, model.Client(), "s"), "the naive reading")
			assert.NotEqual(t, trap.naive, trap.ready+trap.inFlight, "the naive reading is wrong")
			for _, q := range []queue.Queue{
				{Key: "s", Kind: queue.Stream, Group: "g"}, {Key: "s", Kind: queue.Stream}, {Key: "s", Kind: queue.Auto},
			} {
				sample := depth(t, d.pool(t, sampling.Options{}), broker.Server{Address: model.Addr}, q)
				assert.Equal(t, trap.ready, sample.Ready, "ready of %+v", q)
				assert.Equal(t, trap.inFlight, sample.InFlight, "in flight of %+v", q)
				assert.False(t, sample.LowerBound)
			}
		})
	}
}

// A stream without the group, or no stream at all: XPENDING and XINFO answer with errors,
// which are no reason to fail, nor always a depth of 0.
func TestTrapOfAMissingGroup(t *testing.T) {
	t.Parallel()
	d := deploy(t, broker.Standalone, false, false)
	client := d.nodes[0].Client()
	pool := d.pool(t, sampling.Options{})
	run(t, client, add("1-0", "2-0")...)
	assert.True(t, redis.HasErrorPrefix(client.XPending(t.Context(), "s", "g").Err(), "NOGROUP"))
	assert.EqualValues(t, 2, depth(t, pool, d.server, queue.Queue{Key: "s", Kind: queue.Stream, Group: "g"}).Total(), "all of it waits")

	assert.ErrorContains(t, client.XInfoGroups(t.Context(), "none").Err(), "no such key")
	sample := depth(t, pool, d.server, queue.Queue{Key: "none", Kind: queue.Stream, Group: "g"})
	assert.Zero(t, sample.Total())
	assert.Equal(t, queue.None, sample.Kind)
}

// Where thousands of entries must be counted, each is read once, over as many reads as that
// takes; until then, what was counted is told as a lower bound.
func TestTrapOfCountingForEver(t *testing.T) {
	t.Parallel()
	d := deploy(t, broker.Standalone, false, false)
	run(t, d.client, append(add("1-0", "2-0"), group("$"))...)
	_, err := d.client.Pipelined(t.Context(), func(pipe redis.Pipeliner) error {
		for range 3000 {
			pipe.XAdd(t.Context(), &redis.XAddArgs{Stream: "s", Values: []any{"a", "b"}})
		}
		return nil
	})
	require.NoError(t, err)
	q := queue.Queue{Key: "s", Kind: queue.Stream, Group: "g"}
	sample := depth(t, d.pool(t, sampling.Options{Tick: time.Hour}), d.server, q) // the first read alone, however late the test looks at it
	assert.True(t, sample.LowerBound)
	assert.Greater(t, sample.Ready, int64(500))
	assert.Less(t, sample.Ready, int64(3000))
	monitor := d.nodes[0].Monitor(t)
	pool := d.pool(t, sampling.Options{})
	require.Eventually(t, func() bool {
		sample = depth(t, pool, d.server, q)
		return !sample.LowerBound
	}, deadline, 10*time.Millisecond)
	assert.EqualValues(t, 3000, sample.Ready)
	begins := map[string]bool{}
	for _, command := range monitor.Commands() {
		if command.Args[0] == "xrange" {
			assert.False(t, begins[command.Args[2]], "once: %v", command.Args)
			begins[command.Args[2]] = true
			count, err := strconv.Atoi(command.Args[5])
			require.NoError(t, err)
			assert.LessOrEqual(t, count, 256)
		}
	}
	assert.Greater(t, len(begins), 3000/256)
}
