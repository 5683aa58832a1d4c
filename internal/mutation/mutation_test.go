//go:build mutation

package mutation

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const root = "../.."

// target is a table or function by name, and the packages whose tests are to notice.
type target struct {
	file, name string
	tests      []string
}

var (
	scaler      = []string{"scaler"}
	explanation = []string{"scaler/explanation", "scaler"}
	inquiry     = []string{"translator/inquiry"}
	queue       = []string{"scaler/queue", "scaler"}
	broker      = []string{"scaler/broker", "scaler"}
	framework   = []string{"scaler/framework"}
	trigger     = []string{"scaler/trigger", "scaler"}
	publisher   = []string{"cmd/publisher"}
)

// targets are all tables and switches by which a value crosses from one room to another.
var targets = []target{
	{"scaler/errors.go", "codeOf", scaler},
	{"scaler/reading.go", "kinds", scaler},
	{"scaler/reading.go", "scores", scaler},
	{"scaler/reading.go", "inFlights", scaler},
	{"scaler/reading.go", "scheduleds", scaler},
	{"scaler/explanation/explanation.go", "actions", explanation},
	{"scaler/explanation/explanation.go", "reasons", explanation},
	{"translator/inquiry/decision.go", "actions", inquiry},
	{"scaler/caller.go", "mayCall", scaler},
	{"scaler/queue/reader.go", "kindReaderOf", queue},
	{"scaler/queue/sortedset.go", "newSortedSetReader", queue},
	{"scaler/framework/table.go", "frameworks", framework},
	{"scaler/queue/presetkeys.go", "newKeyReader", queue},
	{"scaler/queue/presetkeys.go", "lengthOf", queue},
	{"scaler/queue/pausedqueue.go", "newPausedQueue", queue},
	{"scaler/queue/errors.go", "AgeUnknownError.Error", queue},
	{"scaler/queue/errors.go", "queueTypes", queue},
	{"scaler/queue/type.go", "kindOf", queue},
	{"scaler/trigger/queue.go", "queueTypes", trigger},
	{"scaler/trigger/queue.go", "scores", trigger},
	{"scaler/trigger/queue.go", "inFlights", trigger},
	{"scaler/trigger/queue.go", "scheduleds", trigger},
	{"scaler/trigger/queue.go", "parser.checkClusterQueue", trigger},
	{"scaler/trigger/queue.go", "parser.checkMaxAge", trigger},
	{"scaler/trigger/redis.go", "modes", trigger},
	{"scaler/trigger/keys.go", "kedaKeys", trigger},
	{"scaler/trigger/keys.go", "ofKEDAsRedis", trigger},
	{"scaler/trigger/table.go", "table", trigger},
	{"scaler/broker/remedies.go", "remedies", broker},
	{"scaler/broker/errors.go", "replies", broker},
	{"scaler/broker/errors.go", "ownCause", broker},
	{"scaler/broker/errors.go", "causeOf", broker},
	{"scaler/broker/remedies.go", "ReadError.ofSecret", broker},
	{"scaler/broker/remedies.go", "ReadError.ofCertificate", broker},
	{"scaler/broker/remedies.go", "ReadError.ofTopology", broker},
	{"scaler/broker/remedies.go", "ReadError.ofSentinels", broker},
	{"scaler/broker/remedies.go", "ReadError.ofReply", broker},
	{"scaler/broker/link.go", "open", broker},
	{"cmd/publisher/options.go", "kinds", publisher},
	{"cmd/publisher/publish.go", "typeKinds", publisher},
	{"cmd/publisher/exchange.go", "publisher.exchange", publisher},
	{"cmd/publisher/exchange.go", "publisher.scoreNow", publisher},
	{"cmd/subscriber/main.go", "opener", []string{"cmd/subscriber"}},
	{"cmd/kubectl-pubsub/internal/connect/words.go", "words", []string{"cmd/kubectl-pubsub/internal/connect"}},
	{"cmd/kubectl-pubsub/internal/view/words.go", "meanings", []string{"cmd/kubectl-pubsub/internal/view"}},
	{"cmd/kubectl-pubsub/internal/view/words.go", "actionWords", []string{"cmd/kubectl-pubsub/internal/view"}},
	{"translator/inquiry/inquiry.go", "Unreachable", []string{"translator/inquiry"}},
	{"translator/plan/pause.go", "Pause.Holds", []string{"translator/plan", "translator/status"}},
	{"translator/plan/pause.go", "Pause.Effect", []string{"translator/plan", "translator/status"}},
	{"translator/status/fallback.go", "fallbackCondition", []string{"translator/status"}},
}

// alike are rows without which nothing is different, with why.
var alike = map[string]string{
	"scaler/errors.go:codeOf[broker.Fault]":      "a cause without a code has the same one, Internal",
	"scaler/errors.go:codeOf[broker.Unreadable]": "a cause without a code has the same one, Internal",
}

// quick are the tests that loop over what the source declares; a row that they don't notice is
// tried with all tests of its packages.
const quick = "Every|Row|Preset|Unknown|Known|Mode|Belief|Words|WhoMayAsk"

// row is a row of a target.
type row struct {
	target
	name string
}

func (r row) id() string { return r.file + ":" + r.name }

var only = flag.String("rows", ".", "which rows to take away, a regular expression of file:table[row]")

func TestEveryRowIsNoticed(t *testing.T) {
	chosen, err := regexp.Compile(*only)
	require.NoError(t, err)
	overlay, rows := rewrite(t, chosen)
	if len(rows) == 0 {
		t.Skip("no row is called so") // an operator may be
	}
	binaries := map[string]string{}
	for _, r := range rows {
		for _, folder := range r.tests {
			if binaries[folder] == "" {
				binaries[folder] = build(t, overlay, folder)
			}
		}
	}
	t.Run("none is off", func(t *testing.T) {
		for folder, binary := range binaries {
			output, err := run(t, binary, folder, quick, "")
			require.NoError(t, err, "%s: %s", folder, output)
		}
	})
	t.Logf("%d rows", len(rows))
	t.Run("off", func(t *testing.T) {
		for _, r := range rows {
			t.Run(r.id(), func(t *testing.T) {
				t.Parallel() // -parallel bounds it
				by := notice(t, binaries, r)
				if by == "" {
					by = "NOBODY " + alike[r.id()]
					if alike[r.id()] == "" {
						t.Errorf("no test notices that the row is gone: %s", r.id())
					}
				}
				fmt.Fprintf(os.Stderr, "%s → %s\n", r.id(), by) // at once: all of them take long
			})
		}
	})
}

// notice is the first test that fails without the row.
func notice(t *testing.T, binaries map[string]string, r row) string {
	for _, pattern := range []string{quick, "."} {
		for _, folder := range r.tests {
			output, err := run(t, binaries[folder], folder, pattern, r.id())
			if err == nil {
				continue
			}
			for line := range strings.SplitSeq(output, "\n") {
				if name, failed := strings.CutPrefix(strings.TrimSpace(line), "--- FAIL: "); failed {
					test, _, _ := strings.Cut(name, " ")
					return folder + " " + test
				}
			}
			return folder + ", which ended"
		}
	}
	return ""
}

// rewrite makes the overlay of all files, and returns the rows.
func rewrite(t *testing.T, chosen *regexp.Regexp) (overlay string, rows []row) {
	t.Helper()
	folder := t.TempDir()
	replace, written := map[string]string{}, 0
	put := func(path, text string) {
		from, err := filepath.Abs(filepath.Join(root, path))
		require.NoError(t, err)
		to := filepath.Join(folder, fmt.Sprintf("%d.go", written))
		written++
		require.NoError(t, os.WriteFile(to, []byte(text), 0o600))
		replace[from] = to
	}
	sources := map[string]*source{}
	for _, target := range targets {
		s := sources[target.file]
		if s == nil {
			text, err := os.ReadFile(filepath.Join(root, target.file))
			require.NoError(t, err)
			s, err = parseSource(target.file, string(text))
			require.NoError(t, err)
			sources[target.file] = s
			put(filepath.Join(filepath.Dir(target.file), "row_is_off.go"), fmt.Sprintf(support, s.file.Name.Name))
		}
		names, err := s.guard(target.name)
		require.NoError(t, err)
		require.NotEmpty(t, names, "%s of %s has no rows", target.name, target.file)
		for _, name := range names {
			if r := (row{target, name}); chosen.MatchString(r.id()) {
				rows = append(rows, r)
			}
		}
	}
	for path, s := range sources {
		put(path, s.rewritten())
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	require.NoError(t, err)
	overlay = filepath.Join(folder, "overlay.json")
	require.NoError(t, os.WriteFile(overlay, text, 0o600))
	return overlay, rows
}

func build(t *testing.T, overlay, folder string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), strings.ReplaceAll(folder, "/", "-")+".test")
	command := exec.CommandContext(t.Context(), "go", "test", "-vet=off", "-c", "-overlay", overlay, "-o", binary, "./"+folder)
	command.Dir = root
	output, err := command.CombinedOutput()
	require.NoError(t, err, "%s: %s", folder, output)
	return binary
}

// run runs the tests of a package in its folder, without one row.
func run(t *testing.T, binary, folder, pattern, off string) (string, error) {
	command := exec.CommandContext(t.Context(), binary, "-test.run", pattern, "-test.failfast", "-test.short", "-test.timeout", "5m")
	command.Dir = filepath.Join(root, folder)
	command.Env = append(slices.Clone(os.Environ()), variable+"="+off)
	output, err := command.CombinedOutput()
	return string(output), err
}
