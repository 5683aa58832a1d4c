package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Each command of the plugin that a document shows exists, with its flags and as many arguments.
// It is parsed, and not run.
func TestDocumentedCommandsExist(t *testing.T) {
	var files []string
	for _, pattern := range []string{"README.md", "CHANGELOG.md", "docs/*.md", "charts/*/README.md", "charts/*/templates/NOTES.txt", "deploy/*/*"} {
		found, err := filepath.Glob(filepath.Join("..", "..", pattern))
		require.NoError(t, err)
		files = append(files, found...)
	}
	seen := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, line := range shownCommands(string(text)) {
			seen++
			assert.NoError(t, parses(line), "%s: %s", file, line)
		}
	}
	assert.Greater(t, seen, 20, "the commands were not found")
}

// shownCommands are those of a document: in a line of a block or between backquotes, with
// arguments, and without the comment or what follows in a pipe.
func shownCommands(text string) (lines []string) {
	end := regexp.MustCompile(` +(#|\||>|&|;|$).*`)
	for _, match := range regexp.MustCompile("(?m)(?:^[ $]*|`)(kubectl pubsub [a-z][^`\n]*)").FindAllStringSubmatch(text, -1) {
		lines = append(lines, strings.TrimSpace(end.ReplaceAllString(match[1]+" ", "")))
	}
	return lines
}

func parses(line string) error {
	args := strings.Fields(line)[2:]
	command, rest, err := newRootCommand().Find(args)
	if err != nil {
		return err
	}
	if err := command.ParseFlags(rest); err != nil && err != pflag.ErrHelp { //nolint:errorlint // pflag returns it as it is
		return err
	}
	return command.ValidateArgs(command.Flags().Args())
}

func TestAWrongCommandIsFound(t *testing.T) {
	assert.Equal(t, []string{"kubectl pubsub explain orders -n shop", "kubectl pubsub watch -A -o json", "kubectl pubsub doctor"},
		shownCommands("x\n  kubectl pubsub explain orders -n shop   # why?\n`kubectl pubsub watch -A -o json | jq .`\n$ kubectl pubsub doctor\nuse kubectl pubsub in words"))
	for line, wrong := range map[string]bool{
		"kubectl pubsub explain orders --queue-depth 5": false,
		"kubectl pubsub explain orders --depth 5":       true,
		"kubectl pubsub explain orders mails":           true,
		"kubectl pubsub cure":                           true,
	} {
		assert.Equal(t, wrong, parses(line) != nil, line)
	}
}
