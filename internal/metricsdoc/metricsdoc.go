// Package metricsdoc holds docs/metrics.md against the programs: its tables are written from their
// registries, and their scrapes must have what the tables say.
package metricsdoc

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the tables of docs/metrics.md anew")

// Metric is one row of a table.
type Metric struct{ Name, Type, Labels, Help string }

// ours is how the names of our metrics begin. Those of libraries are theirs to document.
const ours = "pubsub_"

// desc is how client_golang prints a Desc, which has no methods for its parts.
var desc = regexp.MustCompile(`^Desc\{fqName: ("(?:[^"\\]|\\.)*"), help: ("(?:[^"\\]|\\.)*"), (?:unit: "[^"]*", )?constLabels: \{([^}]*)\}, variableLabels: \{([^}]*)\}\}$`)

// Of returns the metrics of a registry, by their names.
func Of(t testing.TB, registry *prometheus.Registry) []Metric {
	t.Helper()
	types := map[string]string{}
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		types[family.GetName()] = strings.ToLower(family.GetType().String())
	}
	descriptions := make(chan *prometheus.Desc)
	go func() { registry.Describe(descriptions); close(descriptions) }()
	var all []Metric
	for description := range descriptions {
		parts := desc.FindStringSubmatch(description.String())
		require.NotNil(t, parts, "client_golang prints a Desc in another way now: %s", description)
		name, err := strconv.Unquote(parts[1])
		require.NoError(t, err)
		help, err := strconv.Unquote(parts[2])
		require.NoError(t, err)
		kind := types[name]
		if kind == "" { // it has no series yet; a scrape that has some is held against this
			kind = "gauge"
			if strings.HasSuffix(name, "_total") {
				kind = "counter"
			}
		}
		if strings.HasPrefix(name, ours) {
			all = append(all, Metric{Name: name, Type: kind, Labels: labels(parts[3], parts[4]), Help: help})
		}
	}
	slices.SortFunc(all, func(a, b Metric) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// labels are the names in the two lists of a Desc.
func labels(constant, variable string) string {
	var names []string
	for label := range strings.SplitSeq(constant, ",") {
		if name, _, found := strings.Cut(label, "="); found {
			names = append(names, name)
		}
	}
	for label := range strings.SplitSeq(variable, ",") {
		if label != "" {
			names = append(names, label)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// Check fails if a section of docs/metrics.md is not what the registry says, or a name is not as
// Prometheus' conventions want it. With -update it writes the section.
func Check(t *testing.T, root, section string, registry *prometheus.Registry) {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	require.NoError(t, err)
	assert.Empty(t, problems)
	file := filepath.Join(root, "docs", "metrics.md")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	begin, end := marks(section)
	before, rest, found := strings.Cut(string(text), begin)
	_, after, ended := strings.Cut(rest, end)
	require.True(t, found && ended, "docs/metrics.md has no %q and %q", begin, end)
	wanted := before + begin + "\n" + table(Of(t, registry)) + end + after
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(wanted), 0o644)) //nolint:gosec // a document that everybody may read
		return
	}
	assert.Equal(t, wanted, string(text), "run `make generate`")
}

func marks(section string) (begin, end string) {
	return fmt.Sprintf("<!-- generated: %s -->", section), fmt.Sprintf("<!-- end: %s -->", section)
}

func table(all []Metric) string {
	var out strings.Builder
	out.WriteString("| metric | type | labels | meaning |\n|---|---|---|---|\n")
	for _, m := range all {
		labels := ""
		if m.Labels != "" {
			labels = "`" + strings.ReplaceAll(m.Labels, ", ", "`, `") + "`"
		}
		fmt.Fprintf(&out, "| `%s` | %s | %s | %s |\n", m.Name, m.Type, labels, strings.ReplaceAll(m.Help, "|", `\|`))
	}
	return out.String()
}

// Documented returns what docs/metrics.md says in these sections, by name.
func Documented(t testing.TB, root string, sections ...string) map[string]Metric {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs", "metrics.md"))
	require.NoError(t, err)
	all := map[string]Metric{}
	for _, section := range sections {
		begin, end := marks(section)
		_, rest, found := strings.Cut(string(text), begin)
		rows, _, ended := strings.Cut(rest, end)
		require.True(t, found && ended, "docs/metrics.md has no %q", begin)
		for row := range strings.Lines(rows) {
			cells := strings.Split(strings.Trim(strings.TrimSpace(row), "|"), " | ")
			name := strings.Trim(cells[0], " `")
			if len(cells) != 4 || !strings.HasPrefix(name, ours) {
				continue
			}
			all[name] = Metric{Name: name, Type: cells[1], Labels: strings.ReplaceAll(cells[2], "`", ""), Help: strings.TrimSpace(strings.ReplaceAll(cells[3], `\|`, "|"))}
		}
	}
	require.NotEmpty(t, all)
	return all
}
