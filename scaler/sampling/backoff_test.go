package sampling_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

// The time is a bubble's, the server is not.
func TestAFailingServerIsLeftAloneForLongerAndLonger(t *testing.T) {
	server := redistest.Start(t)
	service := redistest.StartProxy(t, server.Addr)
	refusing, _ := redistest.StartHangingUp(t)
	client := server.Client()
	synctest.Test(t, func(t *testing.T) {
		const tick = time.Second
		pool := sampling.NewPool(sampling.Options{Tick: tick})
		defer pool.Close()
		subscription, err := pool.Subscribe(broker.Server{Address: service.Addr}, list("q"))
		require.NoError(t, err)
		defer subscription.Close()
		const retry = tick / 5 // go-redis tries once more, after some milliseconds
		last := time.Now()
		read := func() (after time.Duration, err error) {
			<-subscription.Updates()
			now := time.Now()
			after, last = now.Sub(last), now
			_, err = pool.Depth(t.Context(), broker.Server{Address: service.Addr}, list("q"))
			return after, err
		}
		for range 3 {
			_, err := read()
			require.NoError(t, err)
		}
		service.LeadTo(refusing)
		require.NoError(t, client.ClientKillByFilter(t.Context(), "TYPE", "normal", "SKIPME", "yes").Err())
		for _, delay := range []time.Duration{tick, tick, 2 * tick, 4 * tick, 8 * tick, 8 * tick} { // the first is of the last success
			after, err := read()
			require.Error(t, err)
			assert.InDelta(t, delay, after, float64(delay/20+retry))
		}
		service.LeadTo(server.Addr)
		for _, delay := range []time.Duration{8 * tick, tick, tick} {
			after, err := read()
			require.NoError(t, err)
			assert.InDelta(t, delay, after, float64(delay/20+retry), "and then every tick again")
		}
	})
}

// New queues are no reason to try a failing server again at once.
func TestNewQueuesShareTheBackOff(t *testing.T) {
	address, connections := redistest.StartHangingUp(t)
	pool := newPool(t, sampling.Options{Tick: time.Hour})
	server := broker.Server{Address: address}
	_, first := pool.Depth(t.Context(), server, list("q"))
	require.Error(t, first)
	before := connections.Load()
	for i := range 50 {
		_, err := pool.Depth(t.Context(), server, list(fmt.Sprint("q", i)))
		assert.EqualError(t, err, first.Error())
	}
	assert.Equal(t, before, connections.Load())
}

func TestFirstCallsShareOneRead(t *testing.T) {
	server := redistest.Start(t)
	client := server.Client()
	require.NoError(t, client.LPush(t.Context(), "q", "x").Err())
	pool := newPool(t, sampling.Options{Tick: time.Hour})
	var wait sync.WaitGroup
	for range 100 {
		wait.Go(func() {
			sample, err := pool.Depth(t.Context(), broker.Server{Address: server.Addr}, list("q"))
			assert.NoError(t, err)
			assert.EqualValues(t, 1, sample.Total())
		})
	}
	wait.Wait()
	assert.Equal(t, 1, redistest.Calls(t, client, "llen"))
}
