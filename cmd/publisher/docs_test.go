package main

import (
	"flag"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// docs/publisher.md has each flag and variable that there is, with its default, and no other.
func TestDocsHaveEveryFlag(t *testing.T) {
	text, err := os.ReadFile("../../docs/publisher.md")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(text), "| flag | meaning | default |\n|---|---|---|\n")
	require.True(t, found, "the table of flags")
	table, rest, _ := strings.Cut(table, "\n\n")
	quoted := regexp.MustCompile("`([^`]*)`")
	var told []string
	defaults := map[string]string{}
	for row := range strings.SplitSeq(table, "\n") {
		cells := strings.Split(strings.Trim(row, "| "), " | ")
		require.Len(t, cells, 3, row)
		values := strings.Split(cells[2], ", ")
		for i, match := range quoted.FindAllStringSubmatch(cells[0], -1) {
			name := strings.TrimPrefix(match[1], "--")
			told = append(told, name)
			if len(values) > i {
				defaults[name] = strings.Trim(values[i], "`")
			}
		}
	}
	var flags []string
	newFlagSet(noEnv).set.VisitAll(func(f *flag.Flag) {
		flags = append(flags, f.Name)
		if !slices.Contains([]string{"", "–", "required"}, defaults[f.Name]) {
			assert.Equal(t, f.DefValue, defaults[f.Name], f.Name)
		} else {
			assert.Empty(t, f.DefValue, f.Name)
		}
	})
	assert.ElementsMatch(t, flags, told)
	for _, r := range redisFlags {
		assert.Contains(t, table, "`"+r.env+"`", r.flag)
	}
	for _, name := range []string{envChannel, envQueueKeys, envQueueType} {
		assert.Contains(t, table, "`"+name+"`")
	}
	for _, name := range environmentOnly {
		assert.Contains(t, rest, "`"+name+"`")
	}
	assert.Contains(t, rest, `{"run":"1f0c9a3e","number":42,"sentMicros":`)
}
