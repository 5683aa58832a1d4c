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
)

// What npm installs is no Go code. Who lists a module's packages while npm is at work would fail on folders that come and go:
// .ci/run has linters run beside the tests that npm installs something for.
func TestWhatNpmInstallsIsIgnored(t *testing.T) {
	found := 0
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && path != root && (strings.HasPrefix(entry.Name(), ".") || slices.Contains([]string{"node_modules", "dist", "bin"}, entry.Name())) {
			return fs.SkipDir
		}
		if entry.Name() != "package-lock.json" {
			return nil
		}
		found++
		folder := filepath.Dir(path)
		of := moduleOf(t, folder)
		text, err := os.ReadFile(filepath.Join(of, "go.mod"))
		require.NoError(t, err)
		below, err := filepath.Rel(of, folder)
		require.NoError(t, err)
		assert.Contains(t, string(text), "\nignore ./"+filepath.ToSlash(below)+"/node_modules\n", "%s/go.mod", of)
		return nil
	})
	require.NoError(t, err)
	assert.Positive(t, found, "no package-lock.json was found")
}

// moduleOf is the folder of the Go module that a folder is in.
func moduleOf(t *testing.T, folder string) string {
	t.Helper()
	for ; ; folder = filepath.Dir(folder) {
		if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
			return folder
		}
		require.NotEqual(t, root, folder, "there is no go.mod")
	}
}
