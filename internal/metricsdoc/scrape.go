package metricsdoc

import (
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
)

// Scraped returns our metrics in the text of a scrape, by name.
func Scraped(t testing.TB, text string) map[string]Metric {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	require.NoError(t, err)
	all := map[string]Metric{}
	for name, family := range families {
		if !strings.HasPrefix(name, ours) {
			continue
		}
		var names []string
		for _, pair := range family.GetMetric()[0].GetLabel() {
			names = append(names, pair.GetName())
		}
		slices.Sort(names)
		all[name] = Metric{Name: name, Type: strings.ToLower(family.GetType().String()), Labels: strings.Join(names, ", "), Help: family.GetHelp()}
	}
	return all
}
