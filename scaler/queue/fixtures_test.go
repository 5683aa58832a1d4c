package queue_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/scaler/framework"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// now is the time of the reads whose scores are times.
var now = time.Date(2026, 5, 4, 3, 2, 1, 500e6, time.UTC)

// seconds and ms are now and so many seconds as scores, and as numbers in a job.
func seconds(after float64) string {
	return fmt.Sprintf("%.3f", float64(now.UnixMilli())/1000+after)
}

func ms(after float64) string { return fmt.Sprint(now.UnixMilli() + int64(after*1000)) }

func ago(d time.Duration) time.Time { return now.Add(-d) }

// readAt reads queues together once, at now.
func readAt(t *testing.T, client *redis.Client, batch *queue.Batch) (rounds int) {
	t.Helper()
	batch.Begin(now)
	for commands := batch.Ask(); len(commands) > 0; commands = batch.Ask() {
		rounds++
		pipe := client.Pipeline()
		_ = pipe.BatchProcess(t.Context(), commands...)
		_, err := pipe.Exec(t.Context())
		batch.Answer(err)
	}
	return rounds
}

// sum reads queues together and adds their depths up. A steady read after the first one
// must come to the same, in one round.
func sum(t *testing.T, client *redis.Client, queues []queue.Queue) (total queue.Depth) {
	t.Helper()
	readers := make([]*queue.Reader, len(queues))
	for i, q := range queues {
		readers[i] = newReader(q)
	}
	batch := queue.NewBatch(readers)
	readAt(t, client, batch)
	for i, reader := range readers {
		depth, err := reader.Result()
		require.NoError(t, err, "%v", queues[i])
		assert.Equal(t, queues[i].Kind, depth.Kind)
		total.Ready += depth.Ready
		total.InFlight += depth.InFlight
		total.Added += depth.Added
		if !depth.Oldest.IsZero() && (total.Oldest.IsZero() || depth.Oldest.Before(total.Oldest)) {
			total.Oldest = depth.Oldest.UTC()
		}
	}
	assert.Equal(t, 1, readAt(t, client, batch), "a steady read takes one round")
	again := queue.Depth{}
	for _, reader := range readers {
		depth, err := reader.Result()
		require.NoError(t, err)
		again.Ready += depth.Ready
		again.InFlight += depth.InFlight
	}
	assert.Equal(t, []int64{total.Ready, total.InFlight}, []int64{again.Ready, again.InFlight}, "and comes to the same")
	return total
}

// presetCase is a preset's keys, and what they come to.
type presetCase struct {
	prepare         steps
	prefix          string
	options         framework.Options
	names           []string
	ready, inFlight int64
	oldest          time.Time
}

func testPreset(t *testing.T, client *redis.Client, preset framework.Framework, ages bool, tests map[string]presetCase) {
	t.Helper()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, client.FlushAll(t.Context()).Err())
			for _, step := range test.prepare {
				step(t, client)
			}
			queues := func(age bool) []queue.Queue {
				return queue.WithOptions(queue.OfPreset(preset, test.prefix, test.names, age), test.options)
			}
			got := sum(t, client, queues(false))
			assert.Equal(t, []int64{test.ready, test.inFlight}, []int64{got.Ready, got.InFlight}, "ready and in flight")
			assert.Zero(t, got.Oldest, "it was not wanted")
			if ages {
				got = sum(t, client, queues(true))
				assert.Equal(t, []int64{test.ready, test.inFlight}, []int64{got.Ready, got.InFlight}, "ready and in flight, with ages")
				assert.Equal(t, test.oldest, got.Oldest)
			}
		})
	}
}

// wrongTypes checks that each of the keys is named where it holds another type.
func wrongTypes(t *testing.T, client *redis.Client, queues []queue.Queue, keys map[string]string) {
	t.Helper()
	for key, words := range keys {
		require.NoError(t, client.FlushAll(t.Context()).Err())
		if strings.Contains(words, "hold a set") {
			push(1, key)(t, client)
		} else {
			do("SADD", key, "x")(t, client)
		}
		readers := make([]*queue.Reader, len(queues))
		for i, q := range queues {
			readers[i] = newReader(q)
		}
		readAt(t, client, queue.NewBatch(readers))
		var errs []string
		for _, reader := range readers {
			depth, err := reader.Result()
			if err != nil {
				assert.Zero(t, depth)
				assert.ErrorAs(t, err, new(*queue.WrongTypeError))
				errs = append(errs, err.Error())
			}
		}
		assert.Equal(t, []string{fmt.Sprintf("key %q does not %s", key, words)}, errs)
	}
}
