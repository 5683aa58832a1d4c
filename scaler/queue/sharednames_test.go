package queue

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/jawaracloud/pubsub-operator/scaler/framework"
	"github.com/jawaracloud/pubsub-operator/scaler/framework/frameworktest"
)

// Names come out as they went in, with commas, with backslashes at their ends, and empty ones; plain ones look as ever.
func TestSharedNames(t *testing.T) {
	odd := slices.Sorted(maps.Values(frameworktest.OddNames))
	for _, names := range [][]string{{"a"}, {"a", "b"}, {"a,b", "c"}, {`a\`, "b"}, {`a\,`, `\`}, {"", ""}, odd} {
		assert.Equal(t, names, separated(joined(names)), "%q", joined(names))
	}
	assert.Equal(t, "a,b", joined([]string{"a", "b"}))
	assert.NotEqual(t, joined([]string{"a", "b"}), joined([]string{"a,b"}))
}

// A framework that keeps something by queue looks for the queues that were named, and no others.
func TestSharedQueuesHaveTheNamesOfTheTrigger(t *testing.T) {
	names, seen := []string{"orders,refunds", "mails"}, 0
	for _, f := range framework.All() {
		for _, q := range OfPreset(f, "", names, false) {
			if !q.IsShared() {
				continue
			}
			for _, key := range f.Shared {
				switch reader := newKeyReader(q, f, key).(type) {
				case *orphans:
					seen++
					assert.Equal(t, names, reader.queues, f.Name)
				case *processes:
					seen++
					assert.Equal(t, names, reader.queues, f.Name)
				}
			}
		}
	}
	assert.Positive(t, seen)
}
