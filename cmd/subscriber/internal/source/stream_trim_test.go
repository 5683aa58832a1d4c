package source

import (
	"bytes"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/internal/deadletter"
)

// smallNodes has trimming remove entries by fives, in place of hundreds.
func (b *testbed) smallNodes(t *testing.T) {
	t.Helper()
	require.NoError(t, b.client.ConfigSet(t.Context(), "stream-node-max-entries", "5").Err())
}

// needed are the IDs that some group has pending, or has not been given.
func (b *testbed) needed(t *testing.T, all []string) map[string]bool {
	t.Helper()
	needed := map[string]bool{}
	for _, group := range b.client.XInfoGroups(t.Context(), b.Key).Val() {
		pending, err := b.client.XPendingExt(t.Context(), &redis.XPendingExtArgs{Stream: b.Key, Group: group.Name, Start: "-", End: "+", Count: 10_000}).Result()
		require.NoError(t, err)
		for _, entry := range pending {
			needed[entry.ID] = true
		}
		position, err := parseEntryID(group.LastDeliveredID)
		require.NoError(t, err)
		for _, text := range all {
			id, err := parseEntryID(text)
			require.NoError(t, err)
			if position.before(id) {
				needed[text] = true
			}
		}
	}
	return needed
}

// Whatever groups read, acknowledge, leave and go back to, nothing is trimmed that one of them needs, and
// nearly all else is.
func TestTrimmingLeavesWhatAnyGroupNeeds(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	b := newTestbed(t)
	b.smallNodes(t)
	b.Trim = true
	s := b.stream(t)
	groups := []string{b.Group}
	var all []string
	pendingOf := map[string][]string{}
	for step := range 300 {
		group := groups[r.IntN(len(groups))]
		switch r.IntN(8) {
		case 0, 1:
			for range r.IntN(30) {
				all = append(all, b.client.XAdd(t.Context(), &redis.XAddArgs{Stream: b.Key, Values: []any{"payload", "p"}}).Val())
			}
		case 2, 3:
			streams, err := b.client.XReadGroup(t.Context(), &redis.XReadGroupArgs{
				Group: group, Consumer: "x", Streams: []string{b.Key, ">"}, Count: r.Int64N(40) + 1, Block: noBlock,
			}).Result()
			if err == nil {
				for _, entry := range streams[0].Messages {
					pendingOf[group] = append(pendingOf[group], entry.ID)
				}
			}
		case 4, 5, 6:
			ids := pendingOf[group]
			if r.IntN(2) == 0 { // all, and otherwise some of them
				pendingOf[group] = nil
			} else {
				r.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
				ids, pendingOf[group] = ids[len(ids)/2:], ids[:len(ids)/2]
			}
			if len(ids) > 0 {
				require.NoError(t, b.client.XAck(t.Context(), b.Key, group, ids...).Err())
			}
		case 7:
			if len(groups) < 3 && r.IntN(10) == 0 {
				name := "group " + strconv.Itoa(step)
				require.NoError(t, b.client.XGroupCreate(t.Context(), b.Key, name, "$").Err())
				groups = append(groups, name)
			}
		}
		before := b.client.XLen(t.Context(), b.Key).Val()
		needed := b.needed(t, all)
		require.NoError(t, s.trim(t.Context()))
		there := map[string]bool{}
		for _, entry := range b.client.XRange(t.Context(), b.Key, "-", "+").Val() {
			there[entry.ID] = true
		}
		for id := range needed {
			require.True(t, there[id], "step %d: %s was needed", step, id)
		}
		if len(needed) == 0 {
			require.Less(t, len(there), 5, "step %d: of %d", step, before)
		}
	}
}

// A worker trims after many entries, or after a while, and does not without being told to.
func TestWhenAStreamIsTrimmed(t *testing.T) {
	finish := func(t *testing.T, b *testbed, s *Stream, n int) {
		t.Helper()
		b.add(t, make([]string, n)...)
		for n > 0 {
			batch, err := s.Fetch(t.Context(), min(n, 100), true)
			require.NoError(t, err)
			for _, m := range batch {
				require.NoError(t, s.Ack(t.Context(), m))
			}
			n -= len(batch)
		}
	}
	t.Run("with TRIM=acknowledged", func(t *testing.T) {
		b := newTestbed(t)
		b.smallNodes(t)
		b.Trim = true
		removed := 0
		b.Event = func(event Event, n int) {
			if event == Trimmed {
				removed += n
			}
		}
		s := b.stream(t)
		finish(t, b, s, 100)
		require.NoError(t, s.trimIfDue(t.Context()))
		require.EqualValues(t, 100, b.client.XLen(t.Context(), b.Key).Val(), "not yet")
		b.clock.advance(trimInterval)
		require.NoError(t, s.trimIfDue(t.Context()))
		require.LessOrEqual(t, b.client.XLen(t.Context(), b.Key).Val(), int64(5))
		finish(t, b, s, trimAfter)
		require.NoError(t, s.trimIfDue(t.Context()))
		require.LessOrEqual(t, b.client.XLen(t.Context(), b.Key).Val(), int64(5), "at once")
		require.GreaterOrEqual(t, removed, trimAfter+90)
		trims := func() string {
			_, after, _ := strings.Cut(b.client.Info(t.Context(), "commandstats").Val(), "cmdstat_xtrim:calls=")
			return strings.SplitN(after, ",", 2)[0]
		}
		before := trims()
		b.clock.advance(10 * trimInterval)
		require.NoError(t, s.trimIfDue(t.Context()))
		require.Equal(t, before, trims(), "one that ended nothing asks nothing")
	})
	t.Run("by default", func(t *testing.T) {
		b := newTestbed(t)
		b.smallNodes(t)
		var log bytes.Buffer
		b.Log = slog.New(slog.NewTextHandler(&log, nil))
		s := b.stream(t)
		finish(t, b, s, 100)
		b.clock.advance(trimInterval)
		require.NoError(t, s.trimIfDue(t.Context()))
		require.EqualValues(t, 100, b.client.XLen(t.Context(), b.Key).Val())
		require.NoError(t, s.Recover(t.Context()))
		require.Equal(t, 1, strings.Count(log.String(), "set TRIM=acknowledged"), "it is said once")
	})
}

// A letter whose entry may be trimmed at any time does not rely on it.
func TestADeadLetterOfATrimmedStream(t *testing.T) {
	b := newTestbed(t)
	b.Trim = true
	b.add(t, "m")
	s := b.stream(t)
	m := fetchOne(t, s)
	require.NoError(t, s.Bury(t.Context(), m))
	require.NoError(t, deadletter.Box{Key: b.Key, Group: b.Group}.Requeue(t.Context(), b.client, m.ID))
	require.Empty(t, b.pendingEntries(t))
	again := fetchOne(t, s)
	require.NotEqual(t, m.ID, again.ID)
	require.Equal(t, "m", again.Payload)
}
