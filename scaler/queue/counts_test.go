package queue_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// impossible makes a reply one that counts less than none: the next of its counts from skip
// on. It returns false where there are no more.
func impossible(command redis.Cmder, skip int) bool {
	switch command := command.(type) {
	case *redis.IntCmd:
		command.SetVal(-50)
		return skip == 0
	case *redis.MapStringIntCmd:
		for name := range command.Val() {
			command.Val()[name] = -50
		}
		return skip == 0
	case *redis.SliceCmd: // HMGET of a process of Sidekiq
		command.Val()[0] = nil // whom it serves: it counts in any case
		command.Val()[1] = []any{"-50", "many"}[min(skip, 1)]
		return skip <= 1
	case *redis.Cmd: // XINFO
		reply := command.Val()
		if groups, ok := reply.([]any); ok && len(groups) > 0 {
			reply = groups[0]
		}
		fields, _ := reply.(map[any]any) // the test's client speaks RESP3
		for _, name := range []string{"length", "pending", "entries-added"} {
			if _, ok := fields[name].(int64); !ok {
				continue
			}
			if skip--; skip < 0 {
				fields[name] = int64(-50)
				return true
			}
		}
	}
	return false
}

// No count is negative: whichever of a read's replies says so is an error that names it, and
// the queue has no depth.
func TestANegativeCountIsAnError(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	fillEveryKey(t, client)
	subscribe(t, client, "{k}channel")
	counts := map[string]int{}
	for _, make := range []func([]*queue.Reader) *queue.Batch{queue.NewBatch, queue.NewClusterBatch} {
		for _, q := range everyKind(t, true) {
			for at, n := 0, 1; at < n; at++ {
				for skip := 0; ; skip++ {
					reader := newReader(q)
					batch := make([]*queue.Reader{reader})
					n = 0
					spoilt := ""
					readWith(t, batch, func(commands []redis.Cmder) {
						for _, command := range commands {
							_ = client.Process(t.Context(), command)
							if n == at && impossible(command, skip) {
								spoilt = command.Name()
							}
							n++
						}
						batch.Answer(nil)
					})
					if spoilt == "" {
						break
					}
					counts[spoilt]++
					depth, err := reader.Result()
					require.ErrorAs(t, err, new(*queue.ReplyError), "%v: %s", q, spoilt)
					require.Zero(t, depth)
				}
			}
		}
	}
	for _, name := range []string{"llen", "xlen", "zcard", "zcount", "hlen", "exists", "xinfo", "pubsub", "hmget"} {
		assert.Positive(t, counts[name], "%s: %v", name, counts)
	}
}

func TestANegativeLengthNamesTheCommandAndTheKey(t *testing.T) {
	reader := newReader(queue.Queue{Key: "orders", Kind: queue.List})
	script{"llen orders": -50, "exists {orders}:consumers {orders}:next {orders}:taken": 0}.play(t, queue.NewBatch([]*queue.Reader{reader}), now)
	_, err := reader.Result()
	assert.EqualError(t, err, "the reply to LLEN orders can't be read: -50 is not a count")
}

func TestSumsEndAtTheGreatestCount(t *testing.T) {
	for want, counts := range map[int64][]int64{
		0:                 nil,
		7:                 {3, 4},
		math.MaxInt64:     {math.MaxInt64, math.MaxInt64},
		math.MaxInt64 - 1: {1, math.MaxInt64 - 2},
	} {
		assert.Equal(t, want, queue.Sum(counts...), fmt.Sprint(counts))
	}
	assert.EqualValues(t, math.MaxInt64, queue.Depth{Ready: math.MaxInt64, InFlight: math.MaxInt64}.Total())
	assert.EqualValues(t, math.MaxInt64, queue.Sum(math.MaxInt64, 1, 1))
}
