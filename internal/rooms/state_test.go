package rooms

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The controller's rooms keep nothing in package variables: two controllers in one process, as
// tests have, would share it. A table is there from the start.
func TestRoomsKeepNoState(t *testing.T) {
	seen := 0
	for _, folder := range goFolders(t) {
		if folder != "translator" && !strings.HasPrefix(folder, "translator/") {
			continue
		}
		seen++
		for _, name := range stateOf(t, filepath.Join(root, folder)) {
			assert.Fail(t, "a package variable that is no table", "%s: %s: make it a field of what its users are given", folder, name)
		}
	}
	assert.Greater(t, seen, 10, "the rooms were not found")
}

// stateOf are a package's variables that are there to be changed, by what they begin with:
// nothing, an empty map, or a struct, which its methods change. Errors, and what is embedded,
// begin so too.
func stateOf(t *testing.T, folder string) (state []string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".go") || strings.HasSuffix(entry.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(folder, entry.Name()), nil, parser.ParseComments|parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, declaration := range file.Decls {
			general, ok := declaration.(*ast.GenDecl)
			if !ok || general.Tok != token.VAR || strings.Contains(comments(general.Doc), "//go:embed") {
				continue
			}
			for _, spec := range general.Specs {
				spec := spec.(*ast.ValueSpec)
				for i, name := range spec.Names {
					if !strings.HasPrefix(name.Name, "Err") && name.Name != "_" && (i >= len(spec.Values) || changes(spec.Values[i])) {
						state = append(state, name.Name)
					}
				}
			}
		}
	}
	return state
}

func comments(doc *ast.CommentGroup) (text string) {
	if doc != nil {
		for _, comment := range doc.List {
			text += comment.Text + "\n"
		}
	}
	return text
}

// changes reports whether a value is there to be changed.
func changes(value ast.Expr) bool {
	switch value := value.(type) {
	case *ast.UnaryExpr:
		return changes(value.X)
	case *ast.CompositeLit:
		switch value.Type.(type) {
		case *ast.MapType, *ast.ArrayType:
			return len(value.Elts) == 0
		}
		return true
	case *ast.CallExpr:
		function, ok := value.Fun.(*ast.Ident)
		return ok && (function.Name == "make" || function.Name == "new")
	}
	return false
}

func TestStateIsFound(t *testing.T) {
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "a.go"), []byte(`package a

var (
	last  latest[int]
	cache = sets{m: map[string]int{}}
	all   = &sets{}
	seen  = map[string]bool{}
	made  = make(map[string]bool)
	table = map[string]int{"a": 1}
	names = []string{"a"}
	digit = regexp.MustCompile("[0-9]")
	ErrNo = &problem{reason: "No"}
)

//go:embed a.txt
var text string
`), 0o600))
	assert.Equal(t, []string{"last", "cache", "all", "seen", "made"}, stateOf(t, folder))
}
