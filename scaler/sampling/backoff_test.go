package sampling_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

func TestAFailingServerIsLeftAloneForLongerAndLonger(t *testing.T) {
	server := redistest.Start(t)
	pool := newPool(t, sampling.Options{})
	subscription, err := pool.Subscribe(broker.Server{Address: server.Addr}, list("q"))
	require.NoError(t, err)
	t.Cleanup(subscription.Close)
	read := func() time.Time {
		t.Helper()
		select {
		case <-subscription.Updates():
		case <-time.After(deadline):
			t.Fatal("the server is not read any more")
		}
		return time.Now()
	}
	read()
	server.Stop()
	ctx := t.Context()
	for { // until it is noticed
		read()
		if _, err := pool.Depth(ctx, broker.Server{Address: server.Addr}, list("q")); err != nil {
			break
		}
	}
	select {
	case <-subscription.Updates(): // of the very read whose failure was noticed
	default:
	}
	// The reads themselves take time too, so only the least is certain.
	last := read()
	for doublings := range 4 {
		next := read()
		assert.GreaterOrEqual(t, next.Sub(last), tick<<(doublings+1)*9/10, "after %d failures", doublings+2)
		last = next
	}
	server.Restart()
	assert.Eventually(t, func() bool {
		_, err := pool.Depth(ctx, broker.Server{Address: server.Addr}, list("q"))
		return err == nil
	}, deadline, tick)
	read() // buffered, perhaps
	began := read()
	for range 5 {
		last = read()
	}
	assert.Less(t, last.Sub(began), 5*tick<<4, "and then every tick again")
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
