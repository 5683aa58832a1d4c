package monitoring

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

var (
	helm     = flag.String("helm", "helm", "the program helm")
	promtool = flag.String("promtool", "promtool", "the program promtool")
)

const (
	root  = "../.."
	chart = root + "/charts/pubsub-operator"
)

// rendered is what the chart makes of one template.
func rendered(t *testing.T, template string, set ...string) []byte {
	t.Helper()
	args := []string{"template", "pubsub-operator", chart, "--namespace", "pubsub-system", "--kube-version", "1.36.0", "--show-only", "templates/" + template}
	for _, value := range set {
		args = append(args, "--set", value)
	}
	out, err := exec.CommandContext(t.Context(), *helm, args...).Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		t.Fatalf("helm %s: %s", strings.Join(args, " "), failed.Stderr)
	}
	require.NoError(t, err)
	return out
}

// group is one of a PrometheusRule's.
type group struct {
	Name  string `json:"name"`
	Rules []rule `json:"rules"`
}

type rule struct {
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	For         string            `json:"for,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Labels      map[string]string `json:"labels"`
}

// groups are those of the chart's PrometheusRule.
func groups(t *testing.T) []group {
	t.Helper()
	var object struct {
		Spec struct {
			Groups []group `json:"groups"`
		} `json:"spec"`
	}
	text := rendered(t, "prometheusrule.yaml", "metrics.prometheusRule.enabled=true")
	require.NoError(t, yaml.Unmarshal(text, &object))
	require.NotEmpty(t, object.Spec.Groups)
	return object.Spec.Groups
}

// exported are the names that a query may use: ours from docs/metrics.md, which is held against scrapes, and those of
// others that we rely on.
func exported(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs", "metrics.md"))
	require.NoError(t, err)
	var names []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(pubsub_[a-z_]+)` \\| ([a-z]+) ").FindAllStringSubmatch(string(text), -1) {
		names = append(names, row[1])
		if row[2] == "histogram" {
			names = append(names, row[1]+"_bucket", row[1]+"_count", row[1]+"_sum")
		}
	}
	require.Greater(t, len(names), 30, "the tables were not found")
	return append(names, othersMetrics...)
}

// othersMetrics are of libraries and of KEDA 2.21 (pkg/metricscollector/prommetrics.go).
var othersMetrics = []string{
	"up",
	"leader_election_master_status",                                                                      // controller-runtime
	"controller_runtime_reconcile_total", "controller_runtime_reconcile_errors_total", "workqueue_depth", // controller-runtime
	"process_resident_memory_bytes", "process_cpu_seconds_total", "go_goroutines", // client_golang
	"keda_scaled_object_errors_total", "keda_scaled_object_paused", "keda_scaler_metrics_latency_seconds",
}

// names are the metrics of a query. The names in a selector by regular expression are those between its bars.
func names(t *testing.T, query string) (all []string) {
	t.Helper()
	expression, err := parser.NewParser(parser.Options{}).ParseExpr(query)
	require.NoError(t, err, query)
	parser.Inspect(expression, func(node parser.Node, _ []parser.Node) error {
		selector, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		for _, matcher := range selector.LabelMatchers {
			if matcher.Name == "__name__" {
				all = append(all, strings.Split(matcher.Value, "|")...)
			}
		}
		return nil
	})
	return all
}

func checkQuery(t *testing.T, known []string, query string) {
	t.Helper()
	used := names(t, query)
	assert.NotEmpty(t, used, query)
	for _, name := range used {
		assert.True(t, slices.Contains(known, name), "%s is exported by nothing: %s", name, query)
	}
}

// Every alert has a query that can be answered, and a runbook.
func TestAlerts(t *testing.T) {
	known := exported(t)
	runbooks, err := os.ReadFile(filepath.Join(root, "docs", "runbooks.md"))
	require.NoError(t, err)
	all := groups(t)
	count := 0
	for _, group := range all {
		for _, rule := range group.Rules {
			count++
			checkQuery(t, known, rule.Expr)
			assert.Contains(t, string(runbooks), "\n## "+rule.Alert+"\n", "docs/runbooks.md")
			assert.Contains(t, rule.Annotations["runbook_url"], "/docs/runbooks.md#"+strings.ToLower(rule.Alert))
			assert.NotEmpty(t, rule.Annotations["summary"], rule.Alert)
			assert.NotEmpty(t, rule.Annotations["description"], rule.Alert)
			assert.Contains(t, []string{"warning", "critical"}, rule.Labels["severity"], rule.Alert)
		}
	}
	assert.Equal(t, count, strings.Count(string(runbooks), "\n## PubSub"), "a runbook of no alert")
}

// promtool evaluates the rules as Prometheus does: each alert fires where it must, and does not where it must not.
func TestAlertsFire(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, content any) {
		text, err := yaml.Marshal(content)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	run := func(args ...string) {
		command := exec.CommandContext(t.Context(), *promtool, args...)
		command.Dir = dir
		out, err := command.CombinedOutput()
		require.NoError(t, err, "promtool %s: %s", strings.Join(args, " "), out)
	}
	all := groups(t)
	write("alerts.yaml", map[string]any{"groups": all})
	run("check", "rules", "alerts.yaml") // and the templates in the annotations
	for _, group := range all {
		for i := range group.Rules {
			group.Rules[i].Annotations = nil // promtool would want their whole texts
		}
	}
	write("alerts.yaml", map[string]any{"groups": all})
	tests, err := os.ReadFile("testdata/alerts_test.yaml")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "alerts_test.yaml"), tests, 0o600))
	run("test", "rules", "alerts_test.yaml")
	checkBothWays(t, all, tests)
}

// checkBothWays fails for an alert that no test has fire, or that none has stay silent.
func checkBothWays(t *testing.T, all []group, tests []byte) {
	t.Helper()
	var tested struct {
		Tests []struct {
			Alerts []struct {
				Name     string `json:"alertname"`
				Expected []any  `json:"exp_alerts"`
			} `json:"alert_rule_test"`
		} `json:"tests"`
	}
	require.NoError(t, yaml.Unmarshal(tests, &tested))
	fires, silent := map[string]bool{}, map[string]bool{}
	for _, test := range tested.Tests {
		for _, alert := range test.Alerts {
			fires[alert.Name] = fires[alert.Name] || len(alert.Expected) > 0
			silent[alert.Name] = silent[alert.Name] || len(alert.Expected) == 0
		}
	}
	for _, group := range all {
		for _, rule := range group.Rules {
			assert.True(t, fires[rule.Alert], "no test in which %s fires", rule.Alert)
			assert.True(t, silent[rule.Alert], "no test in which %s does not fire", rule.Alert)
		}
	}
}

// dashboards are those of the chart, by their file names.
func dashboards(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for document := range strings.SplitSeq(string(rendered(t, "dashboards.yaml", "metrics.dashboards.enabled=true")), "\n---\n") {
		var object struct {
			Data map[string]string `json:"data"`
		}
		require.NoError(t, yaml.Unmarshal([]byte(document), &object))
		for name, text := range object.Data {
			all[name] = text
		}
	}
	return all
}

// variable is one of Grafana's in a query.
var variable = regexp.MustCompile(`\$\{?(\w+)\}?`)

// withoutVariables is a query as Grafana may send it.
func withoutVariables(query string) string {
	return variable.ReplaceAllStringFunc(query, func(name string) string {
		if strings.Contains(name, "__rate_interval") {
			return "5m"
		}
		return "value"
	})
}

// labelValues is how Grafana asks for the values of a label.
var labelValues = regexp.MustCompile(`^label_values\((.*), *\w+\)$`)

func TestDashboards(t *testing.T) {
	known, all := exported(t), dashboards(t)
	require.Len(t, all, 3)
	for name, text := range all {
		var board struct {
			UID    string `json:"uid"`
			Title  string `json:"title"`
			Panels []struct {
				Title   string           `json:"title"`
				GridPos map[string]int   `json:"gridPos"`
				Targets []map[string]any `json:"targets"`
			} `json:"panels"`
			Templating struct {
				List []struct {
					Name  string `json:"name"`
					Query any    `json:"query"`
					Type  string `json:"type"`
				} `json:"list"`
			} `json:"templating"`
		}
		require.NoError(t, json.Unmarshal([]byte(text), &board), name)
		assert.NotEmpty(t, board.UID, name)
		assert.NotEmpty(t, board.Title, name)
		assert.NotEmpty(t, board.Panels, name)
		declared := map[string]bool{"__rate_interval": true}
		for _, v := range board.Templating.List {
			declared[v.Name] = true
			if query, ok := v.Query.(string); ok && v.Type == "query" {
				parts := labelValues.FindStringSubmatch(query)
				require.NotNil(t, parts, "%s: %s", name, query)
				checkQuery(t, known, withoutVariables(parts[1]))
			}
		}
		taken := map[[2]int]string{}
		for _, panel := range board.Panels {
			assert.NotEmpty(t, panel.Title, name)
			assert.NotEmpty(t, panel.Targets, "%s: %s", name, panel.Title)
			place := [2]int{panel.GridPos["x"], panel.GridPos["y"]}
			assert.Empty(t, taken[place], "%s: %s is where another panel is", name, panel.Title)
			taken[place] = panel.Title
			for _, target := range panel.Targets {
				query, _ := target["expr"].(string)
				require.NotEmpty(t, query, "%s: %s", name, panel.Title)
				for _, used := range variable.FindAllStringSubmatch(query, -1) {
					assert.True(t, declared[used[1]], "%s: %s uses $%s, which is no variable of the dashboard", name, panel.Title, used[1])
				}
				checkQuery(t, known, withoutVariables(query))
			}
		}
	}
}
