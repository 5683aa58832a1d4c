//go:build integration

package samplingtest

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/redistest/dragonflytest"
	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

// A DragonFly of a cluster that nobody has configured yet says of each stream that there is no such key: that is an
// error, and no empty queue.
func TestTrapOfAnUnconfiguredCluster(t *testing.T) {
	t.Parallel()
	d := deploy(t, broker.Standalone, false, false)
	fillStream("s")(t, d)
	model := dragonflytest.Front(t, d.nodes[0], append(dragonflytest.All(0), dragonflytest.Unconfigured())...)
	require.ErrorContains(t, model.Client().XInfoStream(t.Context(), "s").Err(), "no such key", "the naive reading")
	pool := d.pool(t, sampling.Options{})
	for _, kind := range []queue.Kind{queue.Stream, queue.Auto, queue.List, queue.SortedSet} {
		_, err := depths(t, pool, broker.Server{Address: model.Addr}, queue.Queue{Key: "s", Kind: kind})
		assert.ErrorContains(t, err, "Cluster is not yet configured", kind)
	}
}
