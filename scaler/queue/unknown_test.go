package queue_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/declared"
	"github.com/jawaracloud/pubsub-operator/scaler/broker/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
)

// A kind or a score that no reader is known for is an error. Until then it was read as a plain
// key of any kind, or as a sorted set all of which is ready: a depth that nobody meant.
func TestWhatNobodyKnowsHowToReadIsAnError(t *testing.T) {
	client := redistest.Start(t).Client()
	push(3, "a")(t, client)
	do("ZADD", "z", 1, "m")(t, client)
	for name, q := range map[string]queue.Queue{
		"a kind":                          {Key: "a", Kind: "resque"},
		"none":                            {Key: "a", Kind: queue.None},
		"no kind":                         {Key: "a"},
		"a score":                         {Key: "z", Kind: queue.SortedSet, Score: "UnixMinutes"},
		"a score of what may be a list":   {Key: "a", Kind: queue.Auto, Score: "UnixMinutes"},
		"a score of what is a sorted set": {Key: "z", Kind: queue.Auto, Score: "UnixMinutes"},
		"a preset's":                      queue.OfPreset("resque", "", []string{"a"}, false)[0],
	} {
		t.Run(name, func(t *testing.T) {
			unknown, known := newReader(q), newReader(queue.Queue{Key: "a", Kind: queue.List})
			batch := queue.NewBatch([]*queue.Reader{unknown, known})
			for range 2 {
				readAt(t, client, batch)
				depth, err := unknown.Result()
				assert.ErrorAs(t, err, new(*queue.UnknownError), "%+v", depth)
				assert.ErrorContains(t, err, fmt.Sprintf("%q", q.Kind))
				assert.Zero(t, depth)
				depth, err = known.Result()
				require.NoError(t, err, "another queue of the same batch")
				assert.EqualValues(t, 3, depth.Ready)
			}
		})
	}
}

// notPresets are the kinds that are no framework's.
var notPresets = []queue.Kind{queue.Auto, queue.None, queue.List, queue.Stream, queue.SortedSet, queue.PubSub}

// Each kind there is can be read, but for None, which is what an absent key is found to be; and
// each framework has its own name and keys of its own.
func TestEveryKindIsKnown(t *testing.T) {
	client := redistest.Start(t).Client()
	for _, kind := range declared.Values[queue.Kind](t) {
		if kind == queue.None {
			continue
		}
		t.Run(string(kind), func(t *testing.T) {
			for _, score := range declared.Values[queue.Score](t) {
				q := queue.Queue{Key: "a", Kind: kind, Score: score}
				depth, _, err := read(t.Context(), client, newReader(q))
				require.NoError(t, err)
				assert.Zero(t, depth.Total())
			}
			isPreset := true
			for _, other := range notPresets {
				isPreset = isPreset && kind != other
			}
			q := queue.Queue{Key: "a", Kind: kind, Prefix: "p"}
			assert.Equal(t, isPreset, q.RoutingKey() != "a", "%s", q.RoutingKey())
			words := (&queue.AgeUnknownError{Key: "a", Kind: kind}).Error()
			assert.NotContains(t, words, " 's queue", "the framework's name")
			why := map[queue.Kind]string{
				queue.Auto: `the age of "a"`, queue.Stream: "XADD", queue.SortedSet: "its scores", queue.List: "nothing records when its messages came",
				queue.PubSub: "published", queue.Celery: "Celery does not record", queue.CeleryShared: "Celery does not record",
			}[kind]
			if why == "" {
				why = "its oldest waiting job does not say"
			}
			assert.Contains(t, words, why)
			wrong := (&queue.WrongTypeError{Key: "a", Want: queue.List, Preset: kind}).Error()
			assert.Equal(t, !isPreset, wrong == `key "a" does not hold a list, as it does for : correct channelName, keys, keyPrefix or preset`, "%s", wrong)
		})
	}
}
