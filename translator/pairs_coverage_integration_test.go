//go:build integration

package translator

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"

	v1 "github.com/jawaracloud/pubsub-operator/api/v1"
)

// coverage is what the pairs tried, by JSON path: fields that were there, removed and changed.
type coverage struct {
	mu                        sync.Mutex
	present, removed, changed map[string]int
}

func newCoverage() *coverage {
	return &coverage{present: map[string]int{}, removed: map[string]int{}, changed: map[string]int{}}
}

func (c *coverage) pair(before, after *v1.PubSubChannelSpec) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := valuesOf(*after)
	for path := range now {
		c.present[path]++
	}
	if before == nil {
		return
	}
	for path, value := range valuesOf(*before) {
		switch other, there := now[path]; {
		case !there:
			c.removed[path]++
		case other != value:
			c.changed[path]++
		}
	}
}

// check fails for fields of a channel that no pair had and for those that no pair took
// away, but those that are always there where what they belong to is, and those that the API
// server has not.
func (c *coverage) check(t *testing.T, unknown []string) {
	var missing []string
	for _, path := range fieldsOfChannel() {
		always := c.present[path] == c.present[parent(path)]
		switch {
		case c.present[path] == 0:
			missing = append(missing, path+": never there")
		case !always && c.removed[path] == 0:
			missing = append(missing, path+": never taken away")
		}
	}
	for _, path := range atomicFields(t) {
		if c.present["template.spec."+path] == 0 {
			missing = append(missing, "template.spec."+path+": never there, and owned as a whole")
		}
	}
	missing = slices.DeleteFunc(missing, func(path string) bool {
		return slices.ContainsFunc(unknown, func(prefix string) bool { return strings.HasPrefix(path, prefix) })
	})
	assert.Empty(t, missing, "fields that no pair tries")
	t.Logf("%d fields were taken away, %d changed", len(c.removed), len(c.changed))
}
