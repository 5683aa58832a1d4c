package main

import (
	"io"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/config"
	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/source"
	"github.com/jawaracloud/pubsub-operator/internal/declared"
	"github.com/jawaracloud/pubsub-operator/internal/redistest"
)

// Each type of queue that the settings may name is consumed, and no other is taken for Auto.
func TestEveryQueueTypeIsConsumed(t *testing.T) {
	client := redistest.Start(t).Client()
	options := source.Options{Client: client, Key: "q", Consumer: "c", Group: "g", Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	require.NoError(t, client.LPush(t.Context(), "q", 1).Err())
	made := map[config.QueueType]any{
		config.Auto: &source.List{}, config.List: &source.List{}, config.Stream: &source.Stream{}, config.PubSub: &source.PubSub{},
	}
	for _, queueType := range declared.Values[config.QueueType](t) {
		require.Contains(t, made, queueType, "who consumes it?")
		got, err := opener(queueType, options)(t.Context())
		require.NoError(t, err, "%s", queueType)
		assert.IsType(t, made[queueType], got, "%s", queueType)
	}
	absent, other := options, options
	absent.Key, other.Key = "absent", "hash"
	got, err := opener(config.Auto, absent)(t.Context())
	require.NoError(t, err)
	assert.Nil(t, got, "what the queue will be is not known yet")
	require.NoError(t, client.HSet(t.Context(), "hash", "f", "v").Err())
	got, err = opener(config.Auto, other)(t.Context())
	assert.ErrorContains(t, err, "holds a hash")
	assert.Nil(t, got)
	got, err = opener("Bag", options)(t.Context())
	assert.ErrorIs(t, err, source.ErrPermanent)
	assert.ErrorContains(t, err, `"Bag"`)
	assert.Nil(t, got)
}
