//go:build integration

package samplingtest

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

// column is one deployment of the matrix.
type column struct {
	mode    broker.Mode
	secured bool // TLS with client certificates, and a read-only ACL user
}

func (c column) String() string {
	if c.secured {
		return string(c.mode) + " TLS+ACL"
	}
	return string(c.mode)
}

var columns = []column{
	{broker.Standalone, false}, {broker.Standalone, true},
	{broker.Sentinel, false}, {broker.Sentinel, true},
	{broker.Cluster, false}, {broker.Cluster, true},
}

// Every kind of queue in every topology, plain and with TLS, client certificates and a
// read-only user.
func TestMatrix(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	cells := map[string]string{}
	t.Run("columns", func(t *testing.T) {
		for _, column := range columns {
			t.Run(column.String(), func(t *testing.T) {
				t.Parallel()
				d := deploy(t, column.mode, column.secured, column.secured)
				pool := d.pool(t, sampling.Options{})
				for _, fixture := range fixtures(t) {
					cell := "FAILED"
					switch {
					case column.mode == broker.Cluster && fixture.alone != "":
						cell = "–"
					case t.Run(fixture.name, func(t *testing.T) { fixture.check(t, d, pool) }):
						cell = fixture.words()
					}
					mu.Lock()
					cells[fixture.name+column.String()] = cell
					mu.Unlock()
				}
			})
		}
	})
	t.Log("depths as read through sampling.Pool, ready + in flight:\n" + table(t, cells))
}

// check fills the queues and reads them.
func (f fixture) check(t *testing.T, d *deployment, pool *sampling.Pool) {
	f.fill(t, d)
	samples, err := depths(t, pool, d.server, f.queues...)
	require.NoError(t, err)
	var ready, inFlight int64
	for _, sample := range samples {
		ready, inFlight = ready+sample.Ready, inFlight+sample.InFlight
		assert.Equal(t, f.atLeast, sample.LowerBound, "LowerBound")
	}
	if f.atLeast {
		assert.GreaterOrEqual(t, ready, f.ready, "ready")
	} else {
		assert.Equal(t, f.ready, ready, "ready")
	}
	assert.Equal(t, f.inFlight, inFlight, "in flight")
}

func (f fixture) words() string {
	if f.atLeast {
		return fmt.Sprintf("≥%d", f.ready)
	}
	return fmt.Sprintf("%d+%d", f.ready, f.inFlight)
}

func table(t *testing.T, cells map[string]string) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%-10s", "")
	for _, column := range columns {
		fmt.Fprintf(&text, " %-18s", column)
	}
	var why strings.Builder
	for _, fixture := range fixtures(t) {
		fmt.Fprintf(&text, "\n%-10s", fixture.name)
		for _, column := range columns {
			fmt.Fprintf(&text, " %-18s", cells[fixture.name+column.String()])
		}
		if fixture.alone != "" {
			fmt.Fprintf(&why, "\n– %s: not in a cluster, %s", fixture.name, fixture.alone)
		}
	}
	return text.String() + why.String()
}
