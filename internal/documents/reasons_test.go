package documents

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/declared"
	"github.com/jawaracloud/pubsub-operator/proto/inspect"
	inspectv1 "github.com/jawaracloud/pubsub-operator/proto/inspect/v1"
)

// Whoever reads a reason on a channel finds it in the page, as the beginning of a row.
func TestEveryReasonHasARow(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs/troubleshooting.md"))
	require.NoError(t, err)
	rows := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^[|] (`[^|]*`) [|]").FindAllStringSubmatch(string(text), -1) {
		for _, name := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(row[1], -1) {
			rows[name[1]] = true
		}
	}
	wanted := map[string]bool{}
	for _, prefix := range []string{"Reason", "Event"} {
		for _, reason := range declared.Strings(t, "github.com/jawaracloud/pubsub-operator/api/v1", prefix) {
			wanted[reason] = true
		}
	}
	for number := range inspectv1.Reason_name {
		if reason := inspectv1.Reason(number); reason != inspectv1.Reason_REASON_UNSPECIFIED {
			name, _ := inspect.ReasonName(reason)
			wanted[name] = true
		}
	}
	for name := range wanted {
		assert.True(t, rows[name], "docs/troubleshooting.md has no row for the reason %s", name)
	}
	assert.Greater(t, len(wanted), 40, "the reasons were not found")
	// Those that are left are the codes with which the scaler tells that a queue can't be read.
	for name := range rows {
		if !wanted[name] {
			assert.Contains(t, codes(t), name, "docs/troubleshooting.md tells of %s, which is no reason", name)
		}
	}
	for _, name := range codes(t) {
		assert.True(t, rows[name], "docs/troubleshooting.md has no row for the code %s", name)
	}
}

// codes are those of the scaler's table of causes.
func codes(t *testing.T) (names []string) {
	t.Helper()
	source, err := os.ReadFile(filepath.Join(root, "scaler/errors.go"))
	require.NoError(t, err)
	for _, match := range regexp.MustCompile(`(?:broker[.]\w+: +|inspect[.]Error[(])codes[.](\w+),`).FindAllStringSubmatch(string(source), -1) {
		if match[1] != "Canceled" { // the controller's own doing
			names = append(names, match[1])
		}
	}
	require.NotEmpty(t, names)
	return names
}
