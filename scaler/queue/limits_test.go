package queue_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/framework"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// What no worker may take is not asked for: workers for it would find nothing to do (BullMQ,
// src/commands/includes/getQueueMetadata.lua, getRateLimitTTL.lua).
func TestBullMQsGlobalLimits(t *testing.T) {
	client := redistest.Start(t).Client()
	meta := func(fields ...any) step { return do(append([]any{"HSET", "bull:a:meta"}, fields...)...) }
	concurrency := func(n int) string {
		return fmt.Sprintf(`queue "a" has a global concurrency of %d, so what waits counts only as far as it may run`, n)
	}
	rate := `queue "a" has a global rate limit (max 2, duration 1000 ms), so no more of what waits counts`
	tests := map[string]struct {
		waiting, active int
		limits          step
		ready           int64
		aged            bool // whether the oldest job's age is told
		remark          string
	}{
		"none":                                     {50, 3, meta("opts.maxLenEvents", 10000), 50, true, ""},
		"a concurrency that is far":                {50, 3, meta("concurrency", 100), 50, true, ""},
		"a concurrency just reached":               {5, 3, meta("concurrency", 8), 5, true, ""},
		"one job may run, and none does":           {50, 0, meta("concurrency", 1), 1, true, concurrency(1)},
		"one job may run, and does":                {50, 1, meta("concurrency", 1), 0, false, concurrency(1)},
		"the limit was lowered":                    {50, 9, meta("concurrency", 4), 0, false, concurrency(4)},
		"none may run":                             {50, 0, meta("concurrency", 0), 0, false, concurrency(0)},
		"nothing waits":                            {0, 3, meta("concurrency", 1, "paused", 1), 0, false, ""},
		"a rate":                                   {50, 1, meta("max", 2, "duration", 1000), 2, false, rate},
		"a rate that is far":                       {2, 1, meta("max", 2, "duration", 1000), 2, true, ""},
		"a rate of none is one of one":             {9, 0, meta("max", 0, "duration", 5), 1, false, `queue "a" has a global rate limit (max 1, duration 5 ms), so no more of what waits counts`},
		"a rate of no time":                        {9, 0, meta("max", 1), 1, false, `queue "a" has a global rate limit (max 1), so no more of what waits counts`},
		"rate and concurrency, of which this less": {50, 3, meta("concurrency", 4, "max", 2, "duration", 1000), 1, true, concurrency(4)},
		"rate and concurrency, of which that less": {50, 3, meta("concurrency", 9, "max", 2, "duration", 1000), 2, false, rate},
		"paused": {50, 3, meta("paused", 1, "concurrency", 100), 0, false, `queue "a" is paused, so what waits there does not count`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, client.FlushAll(t.Context()).Err())
			for i := range test.waiting {
				do("LPUSH", "bull:a:wait", i)(t, client)
			}
			do("HSET", "bull:a:0", "timestamp", ago(time.Minute).UnixMilli())(t, client)
			for i := range test.active {
				do("LPUSH", "bull:a:active", i)(t, client)
			}
			test.limits(t, client)
			depth := readOne(t, client, newReader(queue.Queue{Key: "a", Kind: queue.KindOf(framework.BullMQ), Age: true}), now)
			assert.Equal(t, []int64{test.ready, int64(test.active)}, []int64{depth.Ready, depth.InFlight})
			assert.Equal(t, test.aged, !depth.Oldest.IsZero(), "an age that workers can't help drives no scaling")
			assert.Equal(t, test.remark, depth.Remark)
		})
	}
	for _, wrong := range []string{"many", "", "NaN", "-1"} {
		require.NoError(t, client.FlushAll(t.Context()).Err())
		meta("concurrency", wrong)(t, client)
		reader := newReader(queue.Queue{Key: "a", Kind: queue.KindOf(framework.BullMQ)})
		readAt(t, client, queue.NewBatch([]*queue.Reader{reader}))
		_, err := reader.Result()
		assert.EqualError(t, err, fmt.Sprintf("the reply to HMGET bull:a:meta can't be read: concurrency is %q, not a count", wrong))
	}
	meta("concurrency", "1e300", "max", "2.5", "duration", "1e300")(t, client)
	push(9, "bull:a:wait")(t, client)
	assert.EqualValues(t, 3, readOne(t, client, newReader(queue.Queue{Key: "a", Kind: queue.KindOf(framework.BullMQ)}), now).Ready)
}
