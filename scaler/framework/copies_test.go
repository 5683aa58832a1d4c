package framework_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/scaler/framework"
)

// copied is a file that repeats the table, because it can't read Go values.
type copied struct {
	t    *testing.T
	path string
	text string
}

func open(t *testing.T, path string) copied {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", filepath.FromSlash(path)))
	require.NoError(t, err)
	return copied{t, path, string(text)}
}

// spaces are where words may be apart: at the end of a comment's line, too.
var spaces = regexp.MustCompile(`(\n\s*// |\s)+`)

// has demands words, and prints them as they should be.
func (c copied) has(words string) {
	c.t.Helper()
	if !strings.Contains(spaces.ReplaceAllString(c.text, " "), spaces.ReplaceAllString(words, " ")) {
		c.t.Errorf("%s does not repeat the table of frameworks. It must have:\n\n%s\n", c.path, words)
	}
}

// row is the row of a table that begins with a cell, in a section; empty where there is none.
func (c copied) row(section, cell string) string {
	c.t.Helper()
	_, text, found := strings.Cut(c.text, "\n## "+section+"\n")
	require.True(c.t, found, "%s has no section %q", c.path, section)
	text, _, _ = strings.Cut(text, "\n## ")
	for line := range strings.SplitSeq(text, "\n") {
		if strings.HasPrefix(line, "| "+cell+" |") {
			return line
		}
	}
	return ""
}

func quoted(names []string, mark string) []string {
	marked := make([]string, len(names))
	for i, name := range names {
		marked[i] = mark + name + mark
	}
	return marked
}

func joined(words []string, before string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " " + before + " " + words[last]
}

var (
	every       = framework.Names(func(framework.Framework) bool { return true })
	prefixed    = framework.Names(func(f framework.Framework) bool { return f.Prefix != nil })
	aged        = framework.Names(framework.Framework.HasAges)
	ageless     = framework.Names(func(f framework.Framework) bool { return !f.HasAges() })
	prioritized = framework.Names(func(f framework.Framework) bool { return f.Priorities != nil })
	sharing     = framework.Names(framework.Framework.SharesInFlight)
	tagged      = framework.Names(func(f framework.Framework) bool { return f.Cluster == framework.TaggedByPrefix })
	scheduling  = framework.Names(framework.Framework.HasScheduler)
	scattered   = framework.Names(func(f framework.Framework) bool { return f.Cluster == framework.SeveralNodes })
	clustered   = framework.Names(func(f framework.Framework) bool { return f.Cluster != framework.SeveralNodes })
)

// The CRD's markers. That the API server refuses what these say, and nothing else, an
// integration test of the translator's tells.
func TestTheAPIRepeatsTheTable(t *testing.T) {
	set := func(names []string) string { return "[" + strings.Join(quoted(names, "'"), ", ") + "]" }
	api := open(t, "api/v1/queue_types.go")
	api.has("+kubebuilder:validation:Enum=" + strings.Join(every, ";") + "\ntype QueuePreset string")
	for _, name := range every {
		api.has(fmt.Sprintf("Preset%s QueuePreset = %q", name, name))
	}
	constants := regexp.MustCompile(`Preset\w+\s+QueuePreset = `).FindAllString(api.text, -1)
	assert.Len(t, constants, len(every), "%s: constants of presets that there are not", api.path)
	api.has(fmt.Sprintf(`rule="!has(self.keyPrefix) || (has(self.preset) && self.preset in %s)",fieldPath=".keyPrefix",`+
		`message="keyPrefix belongs to the presets %s: leave it out. Without a preset write keys in full; the keys of another preset have none"`, set(prefixed), joined(prefixed, "and")))
	for _, name := range prefixed {
		keyPrefix, _, _ := strings.Cut(api.text[strings.Index(api.text, "// keyPrefix is what"):], "KeyPrefix ")
		assert.Contains(t, keyPrefix, name+"'s", "%s: what is keyPrefix of %s?", api.path, name)
	}
	api.has(fmt.Sprintf(`rule="!has(self.maxAge) || (has(self.preset) ? !(self.preset in %s) : (!has(self.type) || !(self.type in ['List', 'PubSub'])))",fieldPath=".maxAge",`+
		`message="nothing records when a message of %s came: leave maxAge out, or use a Stream"`, set(ageless), joined(append([]string{"a List", "a PubSub channel"}, ageless...), "or")))
	api.has("and for the presets " + joined(aged, "and") + ".")
	api.has(fmt.Sprintf(`rule="(!has(self.prioritySteps) && !has(self.prioritySeparator)) || (has(self.preset) && self.preset in %s)",fieldPath=".prioritySteps",`+
		`message="prioritySteps and prioritySeparator belong to the preset %s: leave them out"`, set(prioritized), joined(prioritized, "and")))
	api.has(fmt.Sprintf(`rule="!has(self.inFlight) || self.inFlight == 'Database' || (has(self.preset) && self.preset in %s)",fieldPath=".inFlight",`+
		`message="inFlight belongs to the preset %s, whose queues share what is in flight: leave inFlight out"`, set(sharing), joined(sharing, "and")))
	api.has(fmt.Sprintf(`rule="!has(self.scheduled) || self.scheduled == 'Count' || (has(self.preset) && self.preset in %s)",fieldPath=".scheduled",`+
		`message="scheduled belongs to the preset %s, whose scheduler is optional: leave scheduled out"`, set(scheduling), joined(scheduling, "and")))
	open(t, "api/v1/pubsubchannel_types.go").has(fmt.Sprintf(`self.queue.preset in %s",fieldPath=".queue.preset",`+
		`message="no cluster for %s: their keys are on several nodes there, so use mode Standalone or Sentinel"`, set(clustered), joined(scattered, "and")))
}

// counted are the counts whose keys the documents name.
var counted = []framework.Count{framework.Waiting, framework.Due, framework.Held, framework.Reserved}

func TestTheDocumentsRepeatTheTable(t *testing.T) {
	open(t, "README.md").has("`queue.preset` knows the keys of " + joined(every, "and") + ".")
	open(t, "docs/scaledobject.md").has("| `preset` | " + joined(quoted(every, "`"), "or") + " | none |")
	queues := open(t, "docs/queues.md")
	queues.has("- [Presets](#presets): " + strings.Join(every, ", ") + "\n")
	queues.has("not for " + joined(scattered, "and") + ", whose keys are on several nodes |")
	queues.has(joined(tagged, "and") + " need a hash tag in `keyPrefix`")
	queues.has("| List, PubSub, " + strings.Join(ageless, ", ") + ", SortedSet without times | nothing records it: refused |")
	for _, f := range framework.All() {
		queues.has("\n### " + f.Name + "\n")
		assert.Equal(t, f.HasAges(), queues.row("The oldest message", f.Name) != "", "%s: a row of %s in the table of ages", queues.path, f.Name)
		row := queues.row("Presets", f.Name)
		if !assert.NotEmpty(t, row, "%s: a row of %s in the table of presets", queues.path, f.Name) {
			continue
		}
		for _, key := range append(f.QueueKeys(framework.Options{}), f.Shared...) {
			if slices.Contains(counted, key.Counts) {
				assert.Contains(t, row, distinct(key.Name), "%s: the row of %s has not %s", queues.path, f.Name, key.Name)
			}
		}
	}
}

// distinct is what tells a key from the framework's others: the end of its name. Of priorities, which
// bytes make, it is nothing.
func distinct(name string) string {
	name, _, _ = strings.Cut(name, "\x06")
	before, after, _ := strings.Cut(strings.TrimPrefix(name, "<prefix>"), "<queue>")
	if after = strings.TrimPrefix(after, "}"); after != "" {
		return after
	}
	return before
}

// Which frameworks are run for real, and which are not, the documents say of each, as the tests have it.
func TestTheDocumentsSayWhichAreRun(t *testing.T) {
	tests, err := filepath.Glob("../../e2e/frameworks/*_test.go")
	require.NoError(t, err)
	var source strings.Builder
	for _, path := range tests {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		source.Write(text)
	}
	runs := open(t, "docs/testing.md")
	text := spaces.ReplaceAllString(runs.text, " ")
	said := map[bool][]string{}
	run := regexp.MustCompile(`Of the presets, \*\*([\w, ]+) are run for real\*\*`).FindStringSubmatch(text)
	require.NotNil(t, run, runs.path)
	fixtures := regexp.MustCompile(`\*\*([\w, ]+) ((?:is|are) not run)\*\*`).FindStringSubmatch(text)
	names := regexp.MustCompile(`\w+`)
	said[true] = names.FindAllString(strings.ReplaceAll(run[1], " and ", " "), -1)
	queues := open(t, "docs/queues.md")
	if fixtures != nil {
		said[false] = names.FindAllString(strings.ReplaceAll(fixtures[1], " and ", " "), -1)
		queues.has(fixtures[1] + " " + strings.TrimSuffix(fixtures[2], "not run") + "tested with fixtures")
	}
	queues.has(run[1] + " are run for real by the tests")
	are := map[bool][]string{}
	for _, f := range framework.All() {
		isRun := regexp.MustCompile(`framework\.` + f.Name + `\b`).MatchString(source.String())
		are[isRun] = append(are[isRun], f.Name)
	}
	assert.ElementsMatch(t, are[true], said[true], "%s: run for real", runs.path)
	assert.ElementsMatch(t, are[false], said[false], "%s: not run", runs.path)
}
