package framework_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/scaler/framework"
)

// A value without a row would be no preset, and nobody would notice.
func TestEveryFrameworkHasItsRow(t *testing.T) {
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	declared := map[string]bool{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, match := range regexp.MustCompile(`(?m)^var (\w+) = Framework\{`).FindAllStringSubmatch(string(text), -1) {
			assert.Equal(t, strings.ToLower(match[1])+".go", file, "a framework has a file of its own")
			declared[match[1]] = true
		}
	}
	rows := map[string]bool{}
	for _, f := range framework.All() {
		assert.False(t, rows[f.Name], "%s has two rows", f.Name)
		rows[f.Name] = true
	}
	assert.Equal(t, declared, rows, "the table in table.go")
}

// What is missing in a value would be read as nothing, or not at all.
func TestEveryFrameworkIsComplete(t *testing.T) {
	for _, f := range framework.All() {
		t.Run(f.Name, func(t *testing.T) {
			named, ok := framework.Named(f.Name)
			assert.True(t, ok)
			assert.Equal(t, f.Name, named.Name)
			assert.NotZero(t, f.Cluster, "does it work on a cluster?")
			if f.Cluster == framework.TaggedByUser || f.Cluster == framework.TaggedByPrefix {
				require.NotNil(t, f.Prefix)
				assert.Regexp(t, `\{.+\}`, f.Prefix.Tagged, "an example of a prefix with a hash tag")
			}
			waiting := 0
			for _, key := range f.QueueKeys(framework.Options{}) {
				if key.Counts != framework.Paused {
					assert.Contains(t, key.Name, "<queue>", "what names no queue is Shared")
				}
				complete(t, f, key)
				if key.Counts == framework.Waiting || key.Counts == framework.Due {
					waiting++
				}
			}
			assert.Positive(t, waiting, "where do jobs wait?")
			for _, key := range f.Shared {
				assert.NotContains(t, key.Name, "<queue>")
				complete(t, f, key)
				assert.Nil(t, key.Oldest, "an age is of one queue")
			}
			for _, name := range []string{"q", "{q}"} {
				onOneNode(t, f, "", name)
				if f.Prefix != nil && f.Prefix.Tagged != "" {
					onOneNode(t, f, f.Prefix.Tagged, name)
				}
			}
		})
	}
}

// complete checks that a key says all that its count needs.
func complete(t *testing.T, f framework.Framework, key framework.Key) {
	t.Helper()
	holds := map[framework.Count][]framework.Type{
		framework.Waiting: {framework.List, framework.SortedSet}, framework.Due: {framework.SortedSet},
		framework.Held: {framework.List, framework.Hash, framework.SortedSet}, framework.Reserved: {framework.SortedSet},
		framework.Paused: {framework.String, framework.Hash, framework.Set}, framework.Orphans: {framework.Set}, framework.Limited: {framework.Hash}, framework.Added: {framework.String}, framework.Processes: {framework.Set},
	}[key.Counts]
	require.NotEmpty(t, holds, "%s counts nothing", key.Name)
	assert.Contains(t, holds, key.Holds, key.Name)
	timed := key.Counts == framework.Due || key.Counts == framework.Reserved
	assert.Equal(t, timed, key.Clock.Latest != nil && key.Clock.Time != nil, "%s: a clock is of what has times as scores", key.Name)
	assert.Equal(t, key.Counts == framework.Paused && key.Holds == framework.Hash, key.Field != "", key.Name)
	assert.Equal(t, key.Counts == framework.Limited, key.Limits != nil, key.Name)
	assert.Equal(t, key.Counts == framework.Orphans, key.List != nil, key.Name)
	assert.Equal(t, key.Counts == framework.Processes, key.Serves != nil, key.Name)
	if key.Scheduler {
		assert.Equal(t, framework.Due, key.Counts, key.Name)
	}
	if key.Owner != nil {
		assert.Equal(t, []any{framework.Held, framework.Hash}, []any{key.Counts, key.Holds}, key.Name)
		assert.NotNil(t, key.Owner.Queue, key.Name)
		assert.Equal(t, f.Prefix != nil, strings.HasPrefix(key.Owner.Index, "<prefix>"), key.Name)
	}
	assert.Equal(t, f.Prefix != nil, strings.HasPrefix(key.Name, "<prefix>"), "%s: what the user chooses precedes all keys", key.Name)
	assert.LessOrEqual(t, strings.Count(key.Name, "<"), 2, key.Name)
	if key.Marker != "" {
		assert.Equal(t, []any{framework.Waiting, framework.List}, []any{key.Counts, key.Holds}, key.Name)
	}
	if key.Oldest != nil {
		assert.Equal(t, framework.Waiting, key.Counts, key.Name)
		assert.Contains(t, []int{0, -1}, key.Oldest.At, key.Name)
		assert.True(t, key.Marker == "" || key.Oldest.At == -1, "%s: the marker is at the tail", key.Name)
		assert.NotNil(t, key.Oldest.Read, key.Name)
		assert.Equal(t, key.Oldest.Hash == "", key.Oldest.Field == "", key.Name)
	}
}

// onOneNode holds what a value says of clusters against the hash tags of its keys.
func onOneNode(t *testing.T, f framework.Framework, prefix, queue string) {
	t.Helper()
	tags := map[string]bool{}
	for _, key := range append(f.QueueKeys(framework.Options{}), f.Shared...) {
		tags[tag(f.Render(key.Name, prefix, queue))] = true
		if key.Owner != nil {
			tags[tag(f.Render(key.Owner.Index, prefix, queue))] = true
		}
		if key.Oldest != nil && key.Oldest.Hash != "" {
			tags[tag(f.Render(key.Oldest.Hash+"job", prefix, queue))] = true
		}
	}
	tagged := prefix != "" || queue != strings.Trim(queue, "{}")
	switch f.Cluster {
	case framework.OneNode:
		assert.Len(t, tags, 1)
	case framework.TaggedByUser:
		assert.Equal(t, tagged, len(tags) == 1, "%v", tags)
	case framework.TaggedByPrefix:
		assert.Equal(t, prefix != "", len(tags) == 1, "%v", tags)
	case framework.SeveralNodes:
		assert.NotEmpty(t, tags)
	}
}

// tag is what decides on which node a key is (Redis Cluster specification, "Hash tags").
func tag(key string) string {
	if _, after, found := strings.Cut(key, "{"); found {
		if tag, _, closed := strings.Cut(after, "}"); closed && tag != "" {
			return tag
		}
	}
	return key
}

func TestRender(t *testing.T) {
	plain := framework.Framework{Prefix: &framework.Prefix{}}
	byDefault := framework.Framework{Prefix: &framework.Prefix{Default: "bull"}}
	separated := framework.Framework{Prefix: &framework.Prefix{Separator: ":"}}
	tests := map[string]struct {
		f                       framework.Framework
		name, keyPrefix, render string
	}{
		"no prefix":                     {plain, "<prefix>q:<queue>:x", "", "q:a<prefix>:x"},
		"a prefix":                      {plain, "<prefix>q:<queue>:x", "shop_", "shop_q:a<prefix>:x"},
		"the framework's":               {byDefault, "<prefix>:<queue>", "", "bull:a<prefix>"},
		"another":                       {byDefault, "<prefix>:<queue>", "shop", "shop:a<prefix>"},
		"no prefix, no separator":       {separated, "<prefix>q", "", "q"},
		"separator":                     {separated, "<prefix>q", "shop", "shop:q"},
		"separator that is there":       {separated, "<prefix>q", "shop:", "shop:q"},
		"a prefix that looks like ours": {plain, "<prefix><queue>", "<prefix>", "<prefix>a<prefix>"},
		"a framework without prefixes":  {framework.Framework{}, "rq:<queue>", "shop", "rq:a<prefix>"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.render, test.f.Render(test.name, test.keyPrefix, "a<prefix>"))
		})
	}
}

// Celery's are the user's to choose; priority 0 has the queue's name alone (kombu, _q_for_pri).
func TestAKeyForEachPriority(t *testing.T) {
	tests := map[string]struct {
		options framework.Options
		want    []string
	}{
		"kombu's":               {framework.Options{}, []string{"p_q", "p_q\x06\x163", "p_q\x06\x166", "p_q\x06\x169"}},
		"steps":                 {framework.Options{Steps: framework.StepsOf([]int32{0, 1, 10})}, []string{"p_q", "p_q\x06\x161", "p_q\x06\x1610"}},
		"separator":             {framework.Options{Steps: "0,5", Separator: ":"}, []string{"p_q", "p_q:5"}},
		"none without a number": {framework.Options{Steps: "1,2"}, []string{"p_q\x06\x161", "p_q\x06\x162"}},
		"a separator like ours": {framework.Options{Steps: "0,1", Separator: "<queue><prefix><step>"}, []string{"p_q", "p_q<queue><prefix><step>1"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, key := range framework.Celery.QueueKeys(test.options) {
				assert.Equal(t, []any{framework.List, framework.Waiting}, []any{key.Holds, key.Counts})
				got = append(got, framework.Celery.Render(key.Name, "p_", "q"))
			}
			assert.Equal(t, test.want, got)
		})
	}
	for _, f := range framework.All() {
		if f.Priorities == nil {
			assert.Len(t, f.QueueKeys(framework.Options{Steps: "0,1", Separator: ":"}), len(f.Queue), "%s has none", f.Name)
		}
	}
}

// A clock says of each time the same, forth and back, and nothing of what is none.
func TestClocks(t *testing.T) {
	now := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	assert.Equal(t, "1777863721.000", framework.Seconds.Latest(now))
	assert.Equal(t, "1777863721000", framework.Milliseconds.Latest(now))
	assert.Equal(t, now, framework.Seconds.Time(1777863721).UTC())
	assert.Equal(t, now, framework.Milliseconds.Time(1777863721000).UTC())
	assert.Equal(t, time.UnixMilli(0), framework.Seconds.Time(1e300))
}
