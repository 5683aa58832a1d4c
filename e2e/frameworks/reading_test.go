package frameworks

import (
	"context"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/scaler/broker"
	"github.com/jawaracloud/pubsub-operator/scaler/framework"
	"github.com/jawaracloud/pubsub-operator/scaler/queue"
	"github.com/jawaracloud/pubsub-operator/scaler/sampling"
)

const (
	tick     = 20 * time.Millisecond
	deadline = 2 * time.Minute
	// later is when a job is due that isn't within any test.
	later = time.Hour
	// soon is when a job is due that is within the test: asynq counts in whole seconds.
	soon = 1200 * time.Millisecond
)

// count is a depth without what tells of times.
type count struct{ Ready, InFlight int64 }

// reader is the scaler's side: a pool, and the queues of one framework.
type reader struct {
	pool   *sampling.Pool
	server broker.Server
	names  []string
	queues []queue.Queue
}

func newReader(t *testing.T, server broker.Server, preset framework.Framework, prefix string, names ...string) *reader {
	t.Helper()
	return newReaderWith(t, server, preset, framework.Options{}, prefix, names...)
}

// newReaderWith repeats settings of the framework's.
func newReaderWith(t *testing.T, server broker.Server, preset framework.Framework, options framework.Options, prefix string, names ...string) *reader {
	t.Helper()
	r := &reader{
		pool:   sampling.NewPool(sampling.Options{Tick: tick}),
		server: server,
		names:  names,
		queues: queue.WithOptions(queue.OfPreset(preset, prefix, names, preset.HasAges()), options),
	}
	if len(r.queues) > len(names) { // what the framework keeps for all queues together
		r.names = append(slices.Clone(names), shared)
	}
	t.Cleanup(r.pool.Close)
	require.Len(t, r.queues, len(r.names))
	return r
}

// shared is the name by which a reader has what is of all queues together.
const shared = ""

// read is what the scaler reads of each queue, by its name, in a read that begins later
// than this call: what was told by an earlier one proves nothing.
func (r *reader) read(t *testing.T) map[string]queue.Depth {
	t.Helper()
	called := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	ticker := time.NewTicker(tick / 2)
	defer ticker.Stop()
	for {
		samples, err := r.pool.Depths(ctx, r.server, r.queues)
		require.NoError(t, err)
		require.Len(t, samples, len(r.queues))
		depths, fresh := map[string]queue.Depth{}, true
		for i, sample := range samples {
			depths[r.names[i]] = sample.Depth
			fresh = fresh && sample.At.After(called)
		}
		if fresh {
			return depths
		}
		select {
		case <-ctx.Done():
			t.Fatalf("no queue was read anew within %s", deadline)
		case <-ticker.C:
		}
	}
}

// counts is what the scaler counts in each queue.
func (r *reader) counts(t *testing.T) map[string]count {
	t.Helper()
	counts := map[string]count{}
	for name, depth := range r.read(t) {
		assert.False(t, depth.LowerBound, "%s is counted exactly", name)
		counts[name] = count{Ready: depth.Ready, InFlight: depth.InFlight}
	}
	return counts
}

// total is what the scaler counts in all queues together, as of a channel that has them.
func (r *reader) total(t *testing.T) count {
	t.Helper()
	var total count
	for _, depth := range r.counts(t) {
		total.Ready += depth.Ready
		total.InFlight += depth.InFlight
	}
	return total
}

// compare records a step, and wants both depths to be one.
func compare(t *testing.T, s step) {
	t.Helper()
	record(s)
	assert.Equal(t, s.theirs, s.ours, "%s: %s: the framework tells %s", s.step, s.queue, s.states)
}

// ranVersion is the version that is run, of which docs/testing.md must tell.
func ranVersion(t *testing.T, framework, version string) string {
	t.Helper()
	numbers := strings.SplitN(version, ".", 3)
	require.GreaterOrEqual(t, len(numbers), 2, version)
	text, err := os.ReadFile("../../docs/testing.md")
	require.NoError(t, err)
	run := framework + " " + strings.Join(numbers[:2], ".")
	if !strings.Contains(strings.Join(strings.Fields(string(text)), " "), run) {
		t.Errorf("docs/testing.md says which versions are run: it must have %q", run)
	}
	return version
}

// moduleVersion is that of a module that the test is made of, by go.mod.
func moduleVersion(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile("go.mod")
	require.NoError(t, err)
	version := regexp.MustCompile(`(?m)^\s*` + regexp.QuoteMeta(path) + ` v(\S+)`).FindSubmatch(text)
	require.NotNil(t, version, path)
	return string(version[1])
}

// settled waits until what the framework itself tells is as wanted, before and after the scaler read,
// and returns what that was.
func settled[T, R any](t *testing.T, want T, tell func() T, read func() R, step string) R {
	t.Helper()
	for end := time.Now().Add(deadline); ; {
		eventually(t, want, tell, step)
		got := read()
		after := tell()
		if assert.ObjectsAreEqual(want, after) {
			return got
		}
		require.True(t, time.Now().Before(end), "%s: the framework told %v, and then %v", step, want, after)
	}
}

// eventually waits until what the framework itself tells is as wanted.
func eventually[T any](t *testing.T, want T, tell func() T, step string) {
	t.Helper()
	var got T
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for end := time.Now().Add(deadline); time.Now().Before(end); <-ticker.C {
		if got = tell(); assert.ObjectsAreEqual(want, got) {
			return
		}
	}
	require.Equal(t, want, got, "%s: the framework does not come to it within %s", step, deadline)
}
