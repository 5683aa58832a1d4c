package monitoring

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// promtool evaluates the query by which the plugin's dashboard reads the past, as Prometheus does. A test of the plugin holds
// the file against its code.
func TestTheDashboardsHistory(t *testing.T) {
	query, err := os.ReadFile(filepath.Join(root, "cmd", "kubectl-pubsub", "internal", "dashboard", "history", "testdata", "query.promql"))
	require.NoError(t, err)
	text := strings.TrimSpace(string(query))
	checkQuery(t, exported(t), text)
	tests, err := os.ReadFile("testdata/history_test.yaml")
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "history_test.yaml")
	require.NoError(t, os.WriteFile(file, []byte(strings.ReplaceAll(string(tests), "{expr: QUERY,", "{expr: "+strconv.Quote(text)+",")), 0o600))
	out, err := exec.CommandContext(t.Context(), *promtool, "test", "rules", file).CombinedOutput()
	require.NoError(t, err, "promtool test rules: %s", out)
}
