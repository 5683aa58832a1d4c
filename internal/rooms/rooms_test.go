// Package rooms holds the linter's rules of imports against docs/design.md, and each folder
// with Go code against the rules.
package rooms

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

const (
	root   = "../.."
	module = "github.com/jawaracloud/pubsub-operator"
)

// rule is one of depguard's.
type rule struct {
	Files    []string               `json:"files"`
	ListMode string                 `json:"list-mode"`
	Allow    []string               `json:"allow"`
	Deny     []struct{ Pkg string } `json:"deny"`
}

func rules(t *testing.T) map[string]rule {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, ".golangci.yml"))
	require.NoError(t, err)
	var config struct {
		Linters struct {
			Settings struct {
				Depguard struct{ Rules map[string]rule }
			}
		}
	}
	require.NoError(t, yaml.Unmarshal(text, &config))
	require.NotEmpty(t, config.Linters.Settings.Depguard.Rules)
	return config.Linters.Settings.Depguard.Rules
}

// folders are those that the rule is about; of "**/a/**" it is "a/…".
func (r rule) folders() (folders []string) {
	for _, pattern := range r.Files {
		if folder, ok := strings.CutPrefix(pattern, "**/"); ok {
			folder = strings.TrimSuffix(folder, "/*.go")
			folders = append(folders, strings.Replace(folder, "/**", "/…", 1))
		}
	}
	return folders
}

// allows is what of this module may be imported.
func (r rule) allows() []string {
	allowed := []string{}
	for _, path := range r.Allow {
		allowed = append(allowed, strings.TrimSuffix(strings.TrimPrefix(path, module+"/"), "$"))
	}
	return allowed
}

// table is the rooms of docs/design.md with what each may import.
func table(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs/design.md"))
	require.NoError(t, err)
	_, after, found := strings.Cut(string(text), "| folder | holds | may import of ours |\n|---|---|---|\n")
	require.True(t, found, "docs/design.md has no table of rooms")
	rows, _, _ := strings.Cut(after, "\n\n")
	rooms := map[string][]string{}
	for row := range strings.SplitSeq(rows, "\n") {
		cells := strings.Split(strings.Trim(row, "|"), "|")
		require.Len(t, cells, 3, row)
		for _, folder := range list(cells[0]) {
			rooms[folder] = list(cells[2])
		}
	}
	return rooms
}

// list is the names in a cell.
func list(cell string) []string {
	cell = strings.TrimSpace(strings.ReplaceAll(cell, "`", ""))
	if cell == "nothing" {
		return []string{}
	}
	return strings.Split(cell, ", ")
}

// outside are rows of the table with no Go code of this module.
var outside = []string{"charts/pubsub-operator", "deploy", "e2e"}

// anything is what a row says that may import all of the product.
const anything = "anything but what is for tests"

func TestEveryRoomHasItsRule(t *testing.T) {
	byFolder := map[string]rule{}
	for name, r := range rules(t) {
		assert.Equal(t, "lax", r.ListMode, "%s: of others' packages all are allowed that are not denied", name)
		for _, folder := range r.folders() {
			if name != "scaler-and-its-tests" { // which narrows others
				byFolder[folder] = r
			}
		}
	}
	for folder, may := range table(t) {
		if slices.Contains(outside, folder) {
			continue
		}
		r, found := byFolder[folder]
		if !assert.True(t, found, "%s has no rule in .golangci.yml", folder) {
			continue
		}
		delete(byFolder, folder)
		if slices.Equal(may, []string{anything}) {
			assert.NotContains(t, r.Deny, struct{ Pkg string }{module}, folder)
			continue
		}
		assert.ElementsMatch(t, may, r.allows(), "%s: docs/design.md, and .golangci.yml", folder)
		assert.Contains(t, r.Deny, struct{ Pkg string }{module}, "%s: what is not allowed is denied", folder)
		assert.Contains(t, r.Files, "!$test", folder)
	}
	assert.Empty(t, byFolder, "rules of what docs/design.md does not have")
}

// testsOnly are folders whose Go code is tests, or what programs' own tests share.
var testsOnly = []string{"internal/documents", "internal/mutation", "internal/rooms", "scaler/sampling/samplingtest"}

func TestEveryFolderHasARule(t *testing.T) {
	var ruled []string
	for name, r := range rules(t) {
		if name != "scaler-and-its-tests" {
			ruled = append(ruled, r.folders()...)
		}
	}
	seen := 0
	for _, folder := range goFolders(t) {
		seen++
		has := slices.ContainsFunc(ruled, func(pattern string) bool {
			prefix, below := strings.CutSuffix(pattern, "…")
			return folder == pattern || below && strings.HasPrefix(folder, prefix)
		})
		assert.True(t, has || slices.Contains(testsOnly, folder), "%s has Go code and no rule in .golangci.yml: say in docs/design.md what it holds and may import", folder)
	}
	assert.Greater(t, seen, 20, "the folders were not found")
}

// goFolders are the folders of this module with Go code.
func goFolders(t *testing.T) (folders []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && path != root {
			_, err := os.Stat(filepath.Join(path, "go.mod"))
			if err == nil || strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata" || entry.Name() == "dist" || entry.Name() == "bin" {
				return fs.SkipDir
			}
		}
		if folder, _ := filepath.Rel(root, filepath.Dir(path)); !entry.IsDir() && strings.HasSuffix(path, ".go") && !slices.Contains(folders, folder) {
			folders = append(folders, filepath.ToSlash(folder))
		}
		return nil
	})
	require.NoError(t, err)
	return folders
}
