package queue_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// Arrivals of a list are counted where its workers count what they finish, and only there.
func TestArrivalsOfAList(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	processing := queue.ProcessingKey("q", "a")
	take := do("LMOVE", "q", processing, "RIGHT", "LEFT")
	finish := steps{do("RPOP", processing), do("INCRBY", queue.FinishedKey("q"), 1)}
	leave := do("DEL", queue.ConsumersKey("q"))
	stages := []struct {
		name   string
		change steps
		added  int64
	}{
		{"nobody has worked on it", steps{push(5, "q")}, -1},
		{"a consumer, who has counted nothing yet", steps{do("ZADD", queue.ConsumersKey("q"), 1, "a"), take}, -1},
		{"it counts", finish, 5},
		{"more arrive, and one is taken", steps{push(4, "q"), take}, 9},
		{"two are finished", all(steps{take}, finish, finish), 9},
		{"the last is finished and the consumer leaves", all(steps{take}, finish, steps{leave}), 9},
		{"more arrive while there is no consumer", steps{push(7, "q")}, 16},
		{"a consumer comes", steps{do("ZADD", queue.ConsumersKey("q"), 1, "b")}, 16},
		{"a few are counted less, as where they move during a read", steps{do("LPOP", "q")}, 16},
		{"the list is emptied", steps{push(200, "q")}, 215},
		{"the list is emptied", steps{do("DEL", "q")}, 4},
		{"the counter is no number", steps{do("SET", queue.FinishedKey("q"), "x")}, -1},
		{"the counter is no string", steps{do("DEL", queue.FinishedKey("q")), push(1, queue.FinishedKey("q"))}, -1},
		{"workers count by tokens", steps{do("ZADD", queue.DoneKey("q"), 40, queue.DoneMember)}, 40},
		{"and those of an older version beside them", steps{do("DEL", queue.FinishedKey("q")), do("SET", queue.FinishedKey("q"), 3)}, 43},
		{"that of the tokens is none of ours", steps{do("DEL", queue.DoneKey("q")), do("ZADD", queue.DoneKey("q"), 40, "x")}, 43},
		{"nor is it one at all", steps{do("DEL", queue.DoneKey("q")), push(100, queue.DoneKey("q")), push(100, "q")}, 103},
		{"workers can count on a full server", steps{do(append([]any{"RPUSH", queue.SpareKey("q")}, slices.Repeat([]any{1}, queue.Spares+1)...)...)}, 103},
		{"and do", steps{do("LTRIM", queue.SpareKey("q"), 7, -1)}, 110},
		{"until there is room", steps{push(7, queue.SpareKey("q")), do("INCRBY", queue.FinishedKey("q"), 7)}, 110},
		{"that is none of ours", steps{do("DEL", queue.SpareKey("q")), do("SET", queue.SpareKey("q"), "x")}, 110},
	}
	reader := newReader(queue.Queue{Key: "q", Kind: queue.Auto})
	batch := queue.NewBatch([]*queue.Reader{reader})
	for _, stage := range stages {
		for _, step := range stage.change {
			step(t, client)
		}
		readAt(t, client, batch)
		depth, err := reader.Result()
		require.NoError(t, err, stage.name)
		assert.Equal(t, stage.added, depth.Added, stage.name)
	}
}

// A user who may not read the counter has the depth all the same.
func TestArrivalsWithoutPermission(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	push(3, "q")(t, client)
	do("ZADD", queue.ConsumersKey("q"), 1, "a")(t, client)
	do("SET", queue.FinishedKey("q"), 4)(t, client)
	do("ACL", "SETUSER", "default", "-get")(t, client)
	reader := newReader(queue.Queue{Key: "q", Kind: queue.List})
	readAt(t, client, queue.NewBatch([]*queue.Reader{reader}))
	depth, err := reader.Result()
	require.NoError(t, err)
	assert.Equal(t, queue.Depth{Kind: queue.List, Ready: 3, Consumed: true, Added: -1}, depth)
}
