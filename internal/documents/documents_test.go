// Package documents tests the Markdown files of the repository: every relative link has a
// target, and every decision has a complete record.
package documents

import (
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const root = "../.."

var (
	fence   = regexp.MustCompile("(?ms)^ *```.*?^ *```")
	code    = regexp.MustCompile("`[^`\n]*`")
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#{1,6} +(.+?) *$`)
	linked  = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	// What GitHub leaves out of an anchor: all but letters, digits, spaces, - and _.
	left = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// documents are all Markdown files by their path from the root, without their code blocks.
func documents(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		hidden := name != root && strings.HasPrefix(entry.Name(), ".")
		if entry.IsDir() && (hidden || slices.Contains([]string{"testdata", "dist", "bin", "node_modules"}, entry.Name())) {
			return fs.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(name, ".md") {
			return nil
		}
		text, err := os.ReadFile(name)
		relative, _ := filepath.Rel(root, name)
		texts[filepath.ToSlash(relative)] = fence.ReplaceAllString(string(text), "")
		return err
	})
	require.NoError(t, err)
	require.Contains(t, texts, "docs/design.md", "the documents were not found")
	return texts
}

// anchors are those that GitHub makes from the headings of a text. The second heading of the
// same name has -1 at its end, the third -2.
func anchors(text string) map[string]bool {
	all, seen := map[string]bool{}, map[string]int{}
	for _, match := range heading.FindAllStringSubmatch(text, -1) {
		words := linked.ReplaceAllString(match[1], "$1")
		anchor := strings.ReplaceAll(left.ReplaceAllString(strings.ToLower(words), ""), " ", "-")
		if n := seen[anchor]; n > 0 {
			all[fmt.Sprintf("%s-%d", anchor, n)] = true
		}
		all[anchor] = true
		seen[anchor]++
	}
	return all
}

// broken returns what is wrong with a link of the document at from, or "".
func broken(texts map[string]string, from, target string) string {
	to, err := url.Parse(target)
	if err != nil {
		return err.Error()
	}
	if to.IsAbs() {
		return "" // the network is not asked
	}
	name := from
	if to.Path != "" {
		name = path.Join(path.Dir(from), to.Path)
		if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(name))); err != nil {
			return "there is no " + name
		}
	}
	if to.Fragment != "" && !anchors(texts[name])[to.Fragment] {
		return fmt.Sprintf("%s has no heading #%s", name, to.Fragment)
	}
	return ""
}

func TestEveryLinkHasATarget(t *testing.T) {
	texts, seen := documents(t), 0
	for from, text := range texts {
		for _, match := range link.FindAllStringSubmatch(code.ReplaceAllString(text, ""), -1) {
			seen++
			assert.Empty(t, broken(texts, from, match[1]), "%s: (%s)", from, match[1])
		}
	}
	assert.Greater(t, seen, 100, "the links were not found")
}

func TestABrokenLinkIsFound(t *testing.T) {
	texts := map[string]string{"docs/design.md": "# Design\n\n## What it `is`, today\n\n## [A](b) link\n\n## Again\n\n## Again\n"}
	for target, want := range map[string]string{
		"https://example.com/x#y":      "",
		"queues.md":                    "",
		"#what-it-is-today":            "",
		"design.md#a-link":             "",
		"#again-1":                     "",
		"../README.md":                 "",
		"nowhere.md":                   "there is no docs/nowhere.md",
		"../docs/design.md#decisions":  "docs/design.md has no heading #decisions",
		"#again-2":                     "docs/design.md has no heading #again-2",
		"decisions/0000-nothing.md":    "there is no docs/decisions/0000-nothing.md",
		"../docs/nowhere/../design.md": "",
	} {
		assert.Equal(t, want, broken(texts, "docs/design.md", target), target)
	}
}

// mostLines is how long a record of a decision may be.
const mostLines = 40

func TestEveryDecisionHasARecord(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "docs/decisions/[0-9]*.md"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	index, err := os.ReadFile(filepath.Join(root, "docs/decisions/README.md"))
	require.NoError(t, err)
	for i, name := range files {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		record := filepath.Base(name)
		assert.Regexp(t, fmt.Sprintf("^%04d-[a-z0-9-]+[.]md$", i+1), record, "records have consecutive numbers")
		title, body, _ := strings.Cut(string(text), "\n")
		title, numbered := strings.CutPrefix(title, fmt.Sprintf("# %d. ", i+1))
		assert.True(t, numbered, "%s: the title must begin with its number", record)
		assert.Regexp(t, `(?s)\n## Context\n\n.+\n## Decision\n\n.+\n## Consequences\n\n.`, body, record)
		assert.LessOrEqual(t, strings.Count(string(text), "\n"), mostLines, "%s is longer than a record may be", record)
		line := fmt.Sprintf("- [%04d](%s) %s\n", i+1, record, title)
		assert.Contains(t, string(index), line, "docs/decisions/README.md must have the line: %s", line)
	}
	assert.Equal(t, len(files), strings.Count(string(index), "\n- ["), "docs/decisions/README.md has a line for each record")
}
