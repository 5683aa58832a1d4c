package documents

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/jawaracloud/pubsub-operator/internal/codeblocks"
)

// Each block of commands is run by TestNewcomersPath of e2e/suite, as it is written, or says why not. Files that a reader
// saves have one name each in a document.
func TestCommandsAreRunOrSayWhyNot(t *testing.T) {
	runner, err := os.ReadFile(filepath.Join(root, "e2e/suite/newcomer_test.go"))
	require.NoError(t, err)
	run, notRun := 0, 0
	for name := range documents(t) {
		text, err := os.ReadFile(filepath.Join(root, name))
		require.NoError(t, err)
		blocks, err := codeblocks.Parse(string(text))
		require.NoError(t, err, name)
		var files []string
		for _, block := range blocks {
			switch commands := block.Commands(); {
			case block.Mark == codeblocks.File:
				assert.Empty(t, commands, "%s, line %d: commands are not saved as a file", name, block.Line)
				assert.NotContains(t, files, block.About, "%s, line %d: a second file of this name", name, block.Line)
				files = append(files, block.About)
			case block.Mark == codeblocks.NotRun:
				notRun++
				assert.NotEmpty(t, commands, "%s, line %d: there is nothing to run", name, block.Line)
			case len(commands) > 0:
				run += len(commands)
				assert.True(t, isRun(string(runner), name),
					"%s, line %d: e2e/suite/newcomer_test.go does not run this document's commands: add it there, or say why not (<!-- not run: … --> above the block)", name, block.Line)
			}
		}
	}
	assert.Greater(t, run, 40, "the commands were not found")
	assert.Greater(t, notRun, 10, "the blocks that are not run were not found")
}

// isRun reports whether the runner's text has a document among those whose blocks it runs, and not only among those whose text it reads.
func isRun(runner, document string) bool {
	quoted := regexp.QuoteMeta(strconv.Quote(document))
	return regexp.MustCompile(`(?m)(\{file: |^\s+(quickstart|chartDocument) += )` + quoted).MatchString(runner)
}

func TestADocumentThatIsOnlyReadIsNotRun(t *testing.T) {
	runner, err := os.ReadFile(filepath.Join(root, "e2e/suite/newcomer_test.go"))
	require.NoError(t, err)
	assert.Contains(t, string(runner), `"docs/tuning.md"`)
	assert.False(t, isRun(string(runner), "docs/tuning.md"))
	assert.True(t, isRun(string(runner), "docs/upgrading.md"))
}

// Who copies a block must get the shell's prompt back: a command that goes on until Ctrl-C has its mark, and none is
// left in the background, where nobody ends it and the next one may be too early.
func TestBlocksEnd(t *testing.T) {
	endless := []string{"--watch", "pubsub watch", "pubsub dashboard", "port-forward", "--follow"}
	seen := 0
	for name := range documents(t) {
		text, err := os.ReadFile(filepath.Join(root, name))
		require.NoError(t, err)
		blocks, err := codeblocks.Parse(string(text))
		require.NoError(t, err, name)
		for _, block := range blocks {
			for _, command := range block.Commands() {
				seen++
				for line := range strings.Lines(command.Text) {
					code, _, _ := strings.Cut(line, " #")
					background := strings.HasSuffix(strings.TrimSpace(code), "&") && !strings.HasSuffix(strings.TrimSpace(code), "&&")
					assert.False(t, background && block.Mark != codeblocks.NotRun, "%s, line %d: %s", name, block.Line, line)
					goesOn := slices.ContainsFunc(endless, func(words string) bool { return strings.Contains(code, words) })
					assert.False(t, goesOn && block.Mark == "", "%s, line %d: say how it is ended, and mark the block: %s", name, block.Line, line)
				}
			}
		}
	}
	assert.Greater(t, seen, 60, "the commands were not found")
}
