package main

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

// What the scaler sees in flight is in the workers' slots: the policy Utilization takes it for how busy they are. Neither
// what waits for a slot, nor what waits for another delivery, is. While the workers idle, it is known that nothing is.
func TestWhatIsInFlightIsInASlot(t *testing.T) {
	forEachKind(t, func(t *testing.T, kind kindOfQueue) {
		const messages, slots = 20, 4
		server := redistest.Start(t)
		pool := sampling.NewPool(sampling.Options{Tick: often})
		t.Cleanup(pool.Close)
		shows := func(ready, inFlight int64) func() bool {
			return func() bool {
				depth, err := pool.Depth(t.Context(), broker.Server{Address: server.Addr}, queue.Queue{Key: key, Kind: queue.Auto})
				return err == nil && depth.ShowsWork() && !depth.LowerBound && depth.Ready == ready && depth.InFlight == inFlight
			}
		}
		refuse, release := make(chan struct{}), make(chan struct{})
		h := handle(t, func(_ string, n int) int {
			if n == 1 {
				<-refuse
				return http.StatusInternalServerError
			}
			<-release
			return http.StatusOK
		})
		start(t, server.Addr, "pod", "QUEUE_TYPE="+kind.name, "CONCURRENCY=4", "HANDLER_URL="+h.URL)
		require.Eventually(t, shows(0, 0), patient, often, "it idles")
		publish(t, server.Client(), kind, messages)
		require.Eventually(t, func() bool { return h.received() == slots }, patient, often)
		require.Eventually(t, shows(messages-slots, slots), patient, often)
		close(refuse) // each fails once, waits, and comes again
		require.Eventually(t, func() bool { return h.received() >= messages }, patient, often)
		require.Eventually(t, shows(messages-slots, slots), patient, often)
		close(release)
		require.Eventually(t, shows(0, 0), patient, often, "it idles again")
	})
}
