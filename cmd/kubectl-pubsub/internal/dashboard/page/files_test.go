package page

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The page is what index.html names, and nothing else: a file that nothing loads is a leftover.
func TestFiles(t *testing.T) {
	var names []string
	require.NoError(t, fs.WalkDir(Files(), ".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			names = append(names, path)
		}
		return err
	}))
	assert.ElementsMatch(t, []string{"index.html", "app.js", "app.css", "icon.svg"}, names)
	index, err := fs.ReadFile(Files(), "index.html")
	require.NoError(t, err)
	for _, name := range names {
		if name != "index.html" {
			assert.Contains(t, string(index), `"`+name+`"`)
		}
	}
	// Under the Content-Security-Policy neither would run.
	assert.NotContains(t, string(index), "<style")
	assert.NotContains(t, string(index), " on")
	assert.Equal(t, 1, strings.Count(string(index), "<script"))
}

// Markup is never made of text, in our sources.
func TestNoMarkupOfText(t *testing.T) {
	sources, err := filepath.Glob("src/*.ts")
	require.NoError(t, err)
	require.Greater(t, len(sources), 15)
	for _, source := range sources {
		text, err := os.ReadFile(source)
		require.NoError(t, err)
		assert.LessOrEqual(t, strings.Count(string(text), "\n"), 400, source)
		for number, line := range strings.Split(string(text), "\n") {
			if strings.HasPrefix(strings.TrimSpace(line), "//") {
				continue
			}
			for _, way := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "DOMParser", "createContextualFragment", "eval(", "new Function"} {
				assert.NotContains(t, line, way, "%s:%d", source, number+1)
			}
		}
	}
}

// The files of others are as they were published.
func TestThirdParty(t *testing.T) {
	const folder = "third_party/uplot"
	sums, err := os.ReadFile(filepath.Join(folder, "SHA256SUMS"))
	require.NoError(t, err)
	listed := map[string]bool{"README.md": true, "SHA256SUMS": true}
	for line := range strings.Lines(string(sums)) {
		fields := strings.Fields(line)
		require.Len(t, fields, 2, line)
		content, err := os.ReadFile(filepath.Join(folder, fields[1]))
		require.NoError(t, err)
		sum := sha256.Sum256(content)
		assert.Equal(t, fields[0], hex.EncodeToString(sum[:]), fields[1])
		listed[fields[1]] = true
	}
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	for _, entry := range entries {
		assert.True(t, listed[entry.Name()], "%s has no hash in SHA256SUMS", entry.Name())
	}
}
