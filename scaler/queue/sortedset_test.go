package queue_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/framework"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// What is not due is not ready: ZCARD would count it, and so would a time in another unit.
func TestSortedSetCountsWhatIsDue(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	inSeconds := do("ZADD", "q", seconds(-90), "a", seconds(-0.25), "b", seconds(0), "c", seconds(0.25), "d", seconds(3600), "e")
	inMS := do("ZADD", "q", ms(-90), "a", ms(-0.25), "b", ms(0), "c", ms(0.25), "d", ms(3600), "e")
	tests := map[string]struct {
		prepare steps
		queue   queue.Queue
		ready   int64
		oldest  time.Time
	}{
		"any score":                  {steps{inSeconds}, queue.Queue{}, 5, time.Time{}},
		"seconds":                    {steps{inSeconds}, queue.Queue{Score: queue.UnixSeconds, Age: true}, 3, ago(90 * time.Second)},
		"milliseconds":               {steps{inMS}, queue.Queue{Score: queue.UnixMilliseconds, Age: true}, 3, ago(90 * time.Second)},
		"seconds, age not wanted":    {steps{inSeconds}, queue.Queue{Score: queue.UnixSeconds}, 3, time.Time{}},
		"none is due":                {steps{do("ZADD", "q", seconds(60), "a")}, queue.Queue{Score: queue.UnixSeconds, Age: true}, 0, time.Time{}},
		"due from the beginning on":  {steps{do("ZADD", "q", "-inf", "a")}, queue.Queue{Score: queue.UnixSeconds}, 1, time.Time{}},
		"absent, of a type declared": {nil, queue.Queue{Score: queue.UnixSeconds, Age: true}, 0, time.Time{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, client.FlushAll(t.Context()).Err())
			for _, step := range test.prepare {
				step(t, client)
			}
			test.queue.Key = "q"
			for _, kind := range []queue.Kind{queue.SortedSet, queue.Auto} {
				test.queue.Kind = kind
				reader := newReader(test.queue)
				readAt(t, client, queue.NewBatch([]*queue.Reader{reader}))
				depth, err := reader.Result()
				require.NoError(t, err)
				want := queue.Depth{Kind: queue.SortedSet, Ready: test.ready, Added: -1, Oldest: test.oldest}
				if kind == queue.Auto && test.prepare == nil {
					want.Kind = queue.None
				}
				depth.Oldest = utc(depth.Oldest)
				assert.Equal(t, want, depth, string(kind))
			}
		})
	}
}

func utc(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC()
}

func TestAutoFollowsASortedSet(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	reader := newReader(queue.Queue{Key: "q", Kind: queue.Auto})
	batch := queue.NewBatch([]*queue.Reader{reader})
	stages := []struct {
		change step
		want   queue.Depth
		rounds int
	}{
		{do("ZADD", "q", 1, "a", 2, "b"), queue.Depth{Kind: queue.SortedSet, Ready: 2, Added: -1}, 2},
		{do("ZREM", "q", "a"), queue.Depth{Kind: queue.SortedSet, Ready: 1, Added: -1}, 1},
		{do("DEL", "q"), queue.Depth{Kind: queue.SortedSet, Added: -1}, 1},
		{push(3, "q"), queue.Depth{Kind: queue.List, Ready: 3, Added: -1}, 3},
	}
	for i, stage := range stages {
		stage.change(t, client)
		assert.Equal(t, stage.rounds, readAt(t, client, batch), "stage %d", i)
		depth, err := reader.Result()
		require.NoError(t, err)
		assert.Equal(t, stage.want, depth, "stage %d", i)
	}
}

// An age that nothing tells is an error that says what to do, and not that nobody waits.
func TestAnUnknownAgeIsAnError(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	tests := map[string]struct {
		prepare steps
		queue   queue.Queue
		want    string
	}{
		"list": {steps{push(1, "q")}, queue.Queue{Kind: queue.Auto},
			`the age of list "q" is not known, because nothing records when its messages came: leave maxAge out, or use a stream`},
		"sorted set whose scores are not said to be times": {steps{do("ZADD", "q", seconds(-1), "a")}, queue.Queue{Kind: queue.SortedSet},
			`the age of sorted set "q" is not known, because its scores are not said to be, or are not, times: set score to UnixSeconds or UnixMilliseconds, whichever they are, or leave maxAge out`},
		"sorted set whose scores are priorities": {steps{do("ZADD", "q", 3, "a")}, queue.Queue{Kind: queue.SortedSet, Score: queue.UnixSeconds},
			`the age of sorted set "q" is not known, because its scores are not said to be, or are not, times: set score to UnixSeconds or UnixMilliseconds, whichever they are, or leave maxAge out`},
		"stream whose ids are counted": {steps{do("XADD", "q", "7-1", "a", "1")}, queue.Queue{Kind: queue.Auto},
			`the age of stream "q" is not known, because the id of its oldest waiting entry is not a time: let XADD make the ids (*), or leave maxAge out`},
		"stream whose ids are microseconds": {steps{do("XADD", "q", now.UnixMicro(), "a", "1")}, queue.Queue{Kind: queue.Stream},
			`the age of stream "q" is not known, because the id of its oldest waiting entry is not a time: let XADD make the ids (*), or leave maxAge out`},
		"Pub/Sub": {nil, queue.Queue{Kind: queue.PubSub},
			`the age of channel "q" is not known, because nothing records when messages are published: leave maxAge out, or use a stream`},
		"Celery": {nil, queue.Queue{Kind: queue.KindOf(framework.Celery)},
			`the age of Celery's queue "q" is not known, because Celery does not record when a task came: leave maxAge out`},
		"a job that does not say": {steps{do("LPUSH", "queue:q", `{"class":"Job"}`)}, queue.Queue{Kind: queue.KindOf(framework.Sidekiq)},
			`the age of Sidekiq's queue "q" is not known, because its oldest waiting job does not say when it came: leave maxAge out`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, client.FlushAll(t.Context()).Err())
			for _, step := range test.prepare {
				step(t, client)
			}
			test.queue.Key, test.queue.Age = "q", true
			reader := newReader(test.queue)
			readAt(t, client, queue.NewBatch([]*queue.Reader{reader}))
			depth, err := reader.Result()
			assert.EqualError(t, err, test.want)
			assert.ErrorAs(t, err, new(*queue.AgeUnknownError))
			assert.Zero(t, depth)
		})
	}
}

// The oldest entry that waits is not the oldest one: what was delivered does not wait.
func TestAgeOfAStream(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	added := steps{do("XADD", "q", ms(-100), "a", "1"), do("XADD", "q", ms(-50), "a", "1"), do("XADD", "q", ms(-10), "a", "1")}
	tests := map[string]struct {
		prepare steps
		oldest  time.Time
		rounds  int
	}{
		"no group":                {added, ago(100 * time.Second), 1},
		"group that has not read": {append(added, do("XGROUP", "CREATE", "q", "g", "0")), ago(100 * time.Second), 1},
		"group that has read one": {append(added, do("XGROUP", "CREATE", "q", "g", "0"), readGroup(1, "q", "g")), ago(50 * time.Second), 3},
		"group that has read all": {append(added, do("XGROUP", "CREATE", "q", "g", "0"), readGroup(3, "q", "g")), time.Time{}, 2},
		"its lag is not known":    {append(added, do("XGROUP", "CREATE", "q", "g", ms(-50))), ago(10 * time.Second), 2},
		"what it had read is gone": {append(added, do("XGROUP", "CREATE", "q", "g", "0"), readGroup(1, "q", "g"), do("XTRIM", "q", "MAXLEN", 1)),
			ago(10 * time.Second), 2},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, client.FlushAll(t.Context()).Err())
			for _, step := range test.prepare {
				step(t, client)
			}
			reader := newReader(queue.Queue{Key: "q", Kind: queue.Stream, Age: true})
			rounds := readAt(t, client, queue.NewBatch([]*queue.Reader{reader}))
			depth, err := reader.Result()
			require.NoError(t, err)
			assert.Equal(t, test.oldest, utc(depth.Oldest))
			assert.Equal(t, test.rounds, rounds)
		})
	}
}
