package queue_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/declared"
	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/framework"
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

// Each kind there is can be read, but for None, which is what an absent key is found to be.
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
			q := queue.Queue{Key: "a", Kind: kind, Prefix: "p"}
			assert.Equal(t, "a", q.RoutingKey())
			words := (&queue.AgeUnknownError{Key: "a", Kind: kind}).Error()
			why := map[queue.Kind]string{
				queue.Auto: `the age of "a"`, queue.Stream: "XADD", queue.SortedSet: "its scores", queue.List: "nothing records when its messages came",
				queue.PubSub: "published",
			}[kind]
			require.NotEmpty(t, why, "why could its age be unknown?")
			assert.Contains(t, words, why)
		})
	}
}

// Each framework's queues can be read, have keys of their own, and are called by its name.
func TestEveryPresetIsKnown(t *testing.T) {
	client := redistest.Start(t).Client()
	for _, f := range framework.All() {
		for _, q := range queue.OfPreset(f, "", []string{"a"}, false) {
			t.Run(string(q.Kind), func(t *testing.T) {
				depth, _, err := read(t.Context(), client, newReader(q))
				require.NoError(t, err)
				assert.Zero(t, depth.Total())
				assert.Equal(t, f.Render(f.QueueKeys(framework.Options{})[0].Name, "", "a") == "a" && !q.IsShared(), q.RoutingKey() == "a", "%s", q.RoutingKey())
				words := (&queue.AgeUnknownError{Key: "a", Kind: q.Kind}).Error()
				assert.Contains(t, words, f.Name+"'s queue")
				assert.Equal(t, f.HasAges(), strings.Contains(words, "its oldest waiting job does not say"), words)
				assert.Equal(t, !f.HasAges(), strings.Contains(words, f.Name+" does not record"), words)
				wrong := (&queue.WrongTypeError{Key: "a", Want: queue.List, Preset: q.Kind}).Error()
				assert.Contains(t, wrong, "as it does for "+f.Name+":")
			})
		}
	}
}
