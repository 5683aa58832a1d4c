package config_test

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/cmd/subscriber/internal/config"
)

const page = "../../../../docs/subscriber.md"

var (
	variable = regexp.MustCompile("^`([A-Z][A-Z_]+)`$")
	span     = regexp.MustCompile(`(\d+)–(\d+)`)
)

// documented is a row of the page's tables of variables.
type documented struct{ name, meaning, byDefault string }

// settings are the variables that the page documents, each by itself.
func settings(t *testing.T) (all []documented) {
	t.Helper()
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.TrimSpace(line), " | ")
		if len(cells) != 3 {
			continue
		}
		names := strings.Split(strings.TrimPrefix(cells[0], "| "), ", ")
		defaults := strings.Split(strings.TrimSuffix(cells[2], " |"), ", ")
		for i, name := range names {
			found := variable.FindStringSubmatch(name)
			if found == nil {
				continue
			}
			d := documented{name: found[1], meaning: cells[1]}
			if len(defaults) == len(names) {
				d.byDefault = defaults[i]
			}
			all = append(all, d)
		}
	}
	return all
}

// The page has the variables that a worker reads, and no others.
func TestThePageHasEveryVariable(t *testing.T) {
	read := map[string]bool{}
	for _, mode := range []string{"Standalone", "Sentinel"} {
		_, _ = config.Parse(func(name string) string { // what is wrong with them is no matter
			read[name] = true
			if name == "REDIS_MODE" {
				return mode
			}
			return ""
		}, "host")
	}
	var names, want []string
	for _, d := range settings(t) {
		names = append(names, d.name)
	}
	for name := range read {
		want = append(want, name)
	}
	slices.Sort(names)
	slices.Sort(want)
	require.Equal(t, want, names)
}

// A default that is a value, and each end of a range, are what the page says.
func TestThePagesDefaultsAndRanges(t *testing.T) {
	unset, err := parse(nil)
	require.NoError(t, err)
	defaults, ranges := 0, 0
	for _, d := range settings(t) {
		t.Run(d.name, func(t *testing.T) {
			value, isText := strings.CutPrefix(d.byDefault, "`")
			value = strings.TrimSuffix(value, "`")
			_, notANumber := strconv.Atoi(value)
			if (isText || notANumber == nil) && !strings.ContainsAny(value, " <[") && !strings.HasPrefix(d.byDefault, "as ") {
				defaults++
				got, err := parse(map[string]string{d.name: value})
				require.NoError(t, err)
				// What says whether a variable is set differs.
				got.HealthOptional, got.Handler = unset.HealthOptional, unset.Handler
				assert.Equal(t, unset, got, "%s=%s", d.name, value)
			}
			ends := span.FindStringSubmatch(d.meaning)
			if ends == nil || strings.Contains(d.meaning, "JSON") {
				return
			}
			ranges++
			least, err := strconv.ParseInt(ends[1], 10, 64)
			require.NoError(t, err)
			most, err := strconv.ParseInt(ends[2], 10, 64)
			require.NoError(t, err)
			for number, good := range map[int64]bool{least - 1: false, least: true, most: true, most + 1: false} {
				_, err := parse(map[string]string{d.name: strconv.FormatInt(number, 10)})
				assert.Equal(t, good, err == nil, "%s=%d: %v", d.name, number, err)
			}
		})
	}
	assert.GreaterOrEqual(t, defaults, 15)
	assert.GreaterOrEqual(t, ranges, 9)
}
