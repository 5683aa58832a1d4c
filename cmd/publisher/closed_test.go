package main

import (
	"slices"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/declared"
	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/trigger"
)

// The publisher sends to each kind of queue that a channel may be.
func TestEveryKindOfQueueIsSentTo(t *testing.T) {
	var wanted []string
	for _, queueType := range declared.Values[trigger.QueueType](t) {
		wanted = append(wanted, string(queueType))
	}
	assert.ElementsMatch(t, wanted, kinds)

	client := redistest.Start(t).Client()
	for _, kind := range slices.DeleteFunc(slices.Clone(kinds), func(kind string) bool { return kind == kindAuto }) {
		p := newPublisher(options{score: scoreSeconds}, client, nil)
		unsent, err := p.exchange(t.Context(), destination{"to-" + kind, kind}, []message{{payload: "message"}})
		require.NoError(t, err, kind)
		assert.Empty(t, unsent, kind)
	}
	holds := map[string]string{kindList: "list", kindStream: "stream", kindSortedSet: "zset", kindPubSub: "none"}
	for kind, want := range holds {
		assert.Equal(t, want, client.Type(t.Context(), "to-"+kind).Val(), kind)
	}
	for name, want := range typeKinds {
		assert.Equal(t, name, holds[want])
	}
	assert.Len(t, typeKinds, len(holds)-1, "all but the channel, which is no key")
}

// What it does not know it does not send at all, least of all to a stream.
func TestAKindThatIsNotKnownIsNotSentTo(t *testing.T) {
	client := redistest.Start(t).Client()
	for name, tc := range map[string]struct{ kind, score string }{
		"kind":  {"Bag", scoreSeconds},
		"score": {kindSortedSet, "UnixMinutes"},
	} {
		p := newPublisher(options{score: tc.score}, client, nil)
		unsent, err := p.exchange(t.Context(), destination{"q", tc.kind}, []message{{payload: "message"}})
		require.Error(t, err, name)
		assert.Equal(t, []message{{payload: "message"}}, unsent, name)
		assert.Equal(t, redis.Nil, client.Get(t.Context(), "q").Err(), name)
		assert.Equal(t, "none", client.Type(t.Context(), "q").Val(), name)
	}
}
