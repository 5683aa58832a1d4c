package command

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/e2e/conformance/contract"
)

var update = flag.Bool("update", false, "write the table of checks into README.md")

const (
	readme = "../../README.md"

	tableBegin = "<!-- checks: go test ./internal/command -run TestREADME -update writes this table -->\n"
	tableEnd   = "<!-- end of checks -->"
)

var issue = regexp.MustCompile(`keda#([0-9]+)`)

// table is what README.md says of the checks; --list says the same.
func table() string {
	var t strings.Builder
	fmt.Fprint(&t, "| check | rule | why | see |\n|---|---|---|---|\n")
	for _, check := range contract.Checks() {
		see := issue.ReplaceAllString(check.Reference, "[keda#$1](https://github.com/kedacore/keda/issues/$1)")
		fmt.Fprintf(&t, "| `%s` | %s | %s | %s |\n", check.Name, check.Rule, check.Why, see)
	}
	return t.String()
}

func TestREADMEListsTheChecks(t *testing.T) {
	text, err := os.ReadFile(readme)
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(text), tableBegin)
	require.True(t, ok)
	is, after, ok := strings.Cut(rest, tableEnd)
	require.True(t, ok)
	if *update {
		require.NoError(t, os.WriteFile(readme, []byte(before+tableBegin+table()+tableEnd+after), 0o600))
		return
	}
	assert.Equal(t, table(), is, "go test ./internal/command -run TestREADME -update writes it anew")
}

func TestREADMENamesNoFlagThatIsNotThere(t *testing.T) {
	text, err := os.ReadFile(readme)
	require.NoError(t, err)
	code, help, _ := conformance(t.Context(), "--help")
	require.Equal(t, ExitPassed, code)
	for _, match := range regexp.MustCompile("[ `(]--([a-z-]+)").FindAllStringSubmatch(string(text), -1) {
		assert.Contains(t, help, "\n  -"+match[1], "--%s", match[1])
	}
}

// A reference to KEDA's sources names a file and a symbol that are there.
func TestReferencesAreInKEDA(t *testing.T) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Version}} {{.Dir}}", "github.com/kedacore/keda/v2").Output()
	require.NoError(t, err)
	version, root, _ := strings.Cut(strings.TrimSpace(string(dir)), " ")
	assert.Equal(t, contract.KEDAVersion, version)
	for _, check := range contract.Checks() {
		t.Run(check.Name, func(t *testing.T) {
			require.NotEmpty(t, check.Reference)
			for reference := range strings.SplitSeq(check.Reference, "; ") {
				if issue.MatchString(reference) || strings.HasPrefix(reference, "k8s ") {
					continue
				}
				path, symbol, ok := strings.Cut(reference, ": ")
				require.True(t, ok, reference)
				source, err := os.ReadFile(filepath.Join(root, path))
				require.NoError(t, err)
				assert.Contains(t, string(source), symbol, path)
			}
		})
	}
}
