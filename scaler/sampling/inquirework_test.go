package sampling_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

// From the first question on, what is in flight is remembered, by whoever asks.
func TestAnInquiryTellsTheWork(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	require.NoError(t, client.ZAdd(t.Context(), queue.TakenKey("q"), redis.Z{Score: queue.InWork + 1, Member: "a"}, redis.Z{Score: queue.InWork + 2, Member: "b"}).Err())
	pool := newPool(t, sampling.Options{})
	ask := func(window time.Duration) *sampling.Work {
		t.Helper()
		samples, err := pool.For("shop").Inquire(broker.Server{Address: server.Addr}, []queue.Queue{list("q")}).WithWork(func(_, _ time.Duration) time.Duration { return window }).Depths(t.Context())
		require.NoError(t, err)
		return samples[0].Work
	}
	first := ask(time.Minute)
	assert.Equal(t, &sampling.Work{Known: true, Recent: 2000, Mean: 2000, Most: 2, Window: time.Minute}, first, "one sample stands for no time")
	assert.Eventually(t, func() bool { return ask(2*time.Minute).Seen > 10*tick }, deadline, tick, "another question, of another window, has what was seen")
	samples, err := pool.For("shop").Inquire(broker.Server{Address: server.Addr}, []queue.Queue{list("q")}).Depths(t.Context())
	require.NoError(t, err)
	assert.Nil(t, samples[0].Work, "who does not ask is not told")

	require.NoError(t, client.Del(t.Context(), queue.TakenKey("q")).Err())
	require.NoError(t, client.RPush(t.Context(), "q", "x").Err())
	assert.Eventually(t, func() bool { return ask(time.Minute).Seen == 0 }, deadline, tick, "it is a plain list now")
	assert.EqualValues(t, 2000, ask(time.Minute).Recent, "which is no 0")
}

// When nobody asks any more, nothing is remembered; a question then begins anew.
func TestWorkIsForgottenWhereNobodyAsks(t *testing.T) {
	server := redistest.Start(t)
	require.NoError(t, server.Client().XGroupCreateMkStream(t.Context(), "s", "g", "$").Err())
	var ahead atomic.Int64
	pool := newPool(t, sampling.Options{IdleTimeout: time.Minute, Options: broker.Options{
		ReadTimeout: deadline, // so long a sample may stand for
		Now:         func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) },
	}})
	address, queues := broker.Server{Address: server.Addr}, []queue.Queue{{Key: "s", Kind: queue.Stream}}
	subscription, err := pool.Subscribe(address, queues...) // the queue itself is read on
	require.NoError(t, err)
	defer subscription.Close()
	inquiry := pool.For("shop").Inquire(address, queues).WithWork(func(_, _ time.Duration) time.Duration { return time.Minute })
	seen := func() time.Duration {
		samples, err := inquiry.Depths(t.Context())
		require.NoError(t, err)
		return samples[0].Work.Seen
	}
	assert.Eventually(t, func() bool { return seen() > 5*tick }, deadline, tick)
	for range 40 { // a minute and more in steps of which none is a gap
		ahead.Add(int64(2 * time.Second))
		awaitUpdate(t, subscription)
	}
	awaitUpdate(t, subscription)
	assert.Less(t, seen(), 5*time.Second)
}
