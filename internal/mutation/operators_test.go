//go:build mutation

package mutation

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// room is a pure room whose operators are changed one at a time, and how its tests run.
type room struct {
	folder string
	args   []string
}

var rooms = []room{
	{"scaler/policy", []string{"-cases", "1000", "-seed", "1"}},
	{"translator/hours", nil},
	{"translator/limits", nil},
}

// operators are what each is replaced by.
var operators = map[token.Token]token.Token{
	token.LSS: token.LEQ, token.LEQ: token.LSS, token.GTR: token.GEQ, token.GEQ: token.GTR, token.EQL: token.NEQ, token.NEQ: token.EQL,
	token.LAND: token.LOR, token.LOR: token.LAND,
	token.ADD: token.SUB, token.SUB: token.ADD, token.MUL: token.QUO, token.QUO: token.MUL,
}

// builtins are the same for functions.
var builtins = map[string]string{"min": "max", "max": "min"}

// mutants rewrites the functions of a package so that each operator, each call of min and max, and each assignment and
// call whose result is not used can be changed by the environment variable variable.
type mutants struct {
	set   *token.FileSet
	info  *types.Info
	own   *types.Package
	text  string
	file  string
	inFun string
	ids   []string
	times map[string]int
}

// id names a mutant by where it is and what it changes, and not by a line.
func (m *mutants) id(change string) string {
	id := fmt.Sprintf("%s:%s: %s", m.file, m.inFun, strings.Join(strings.Fields(change), " "))
	if m.times[id]++; m.times[id] > 1 {
		id += fmt.Sprintf(" #%d", m.times[id])
	}
	m.ids = append(m.ids, id)
	return id
}

func (m *mutants) textOf(n ast.Node) string {
	return m.text[m.set.Position(n.Pos()).Offset:m.set.Position(n.End()).Offset]
}

// children is the text of a node, with the changes of what is in it.
func (m *mutants) children(n ast.Node) string {
	from := m.set.Position(n.Pos()).Offset
	var out strings.Builder
	ast.Inspect(n, func(child ast.Node) bool {
		if child == nil || child == n {
			return child != nil
		}
		changed, ok := m.changed(child)
		if !ok {
			return true
		}
		at, end := m.set.Position(child.Pos()).Offset, m.set.Position(child.End()).Offset
		out.WriteString(m.text[from:at] + changed)
		from = end
		return false
	})
	return out.String() + m.text[from:m.set.Position(n.End()).Offset]
}

// changed is the text of a node that is changed itself.
func (m *mutants) changed(n ast.Node) (text string, ok bool) {
	switch n := n.(type) {
	case *ast.BinaryExpr:
		return m.binary(n)
	case *ast.CallExpr:
		name, isName := n.Fun.(*ast.Ident)
		if !isName || builtins[name.Name] == "" || m.info.Types[n].Value != nil || n.Ellipsis.IsValid() {
			return "", false
		}
		other := builtins[name.Name] + m.textOf(n)[len(name.Name):]
		return m.either(n, m.id(m.textOf(n)+" → "+other), other)
	case *ast.AssignStmt:
		if n.Tok == token.DEFINE || slices.ContainsFunc(n.Lhs, func(e ast.Expr) bool { id, blank := e.(*ast.Ident); return blank && id.Name == "_" }) {
			return "", false
		}
		id := m.id("without " + m.textOf(n))
		return fmt.Sprintf("if !rowIsOff(%q) { %s }", id, m.children(n)), true
	case *ast.ExprStmt:
		id := m.id("without " + m.textOf(n))
		return fmt.Sprintf("if !rowIsOff(%q) { %s }", id, m.children(n)), true
	case *ast.IfStmt, *ast.ForStmt, *ast.SwitchStmt: // what they begin with has no room for a statement
		return m.withoutInit(n), true
	default:
		return "", false
	}
}

// withoutInit is the text of a statement whose own first statements are left as they are.
func (m *mutants) withoutInit(n ast.Node) string {
	left := map[ast.Node]bool{}
	switch n := n.(type) {
	case *ast.IfStmt:
		left[n.Init] = n.Init != nil
	case *ast.ForStmt:
		left[n.Init], left[n.Post] = n.Init != nil, n.Post != nil
	case *ast.SwitchStmt:
		left[n.Init] = n.Init != nil
	}
	from := m.set.Position(n.Pos()).Offset
	var out strings.Builder
	ast.Inspect(n, func(child ast.Node) bool {
		if child == nil || child == n {
			return child != nil
		}
		if left[child] {
			return false
		}
		changed, ok := m.changed(child)
		if !ok {
			return true
		}
		out.WriteString(m.text[from:m.set.Position(child.Pos()).Offset] + changed)
		from = m.set.Position(child.End()).Offset
		return false
	})
	return out.String() + m.text[from:m.set.Position(n.End()).Offset]
}

func (m *mutants) binary(n *ast.BinaryExpr) (string, bool) {
	other, known := operators[n.Op]
	if !known || m.info.Types[n].Value != nil {
		return "", false
	}
	x, y := m.textOf(n.X), m.textOf(n.Y)
	swapped := fmt.Sprintf("%s %s %s", x, other, y)
	switch basic, _ := m.info.Types[n].Type.Underlying().(*types.Basic); {
	case basic == nil, basic.Info()&types.IsString != 0:
		return "", false
	case basic.Info()&types.IsBoolean != 0:
		id := m.id(m.textOf(n) + " → " + swapped)
		return fmt.Sprintf("(rowIsOff(%[1]q) && ((%[2]s) %[3]s (%[4]s)) || !rowIsOff(%[1]q) && ((%[5]s) %[6]s (%[7]s)))", id, x, other, y, m.whole(n.X), n.Op, m.whole(n.Y)), true
	default:
		return m.either(n, m.id(m.textOf(n)+" → "+swapped), fmt.Sprintf("(%s) %s (%s)", x, other, y))
	}
}

// whole is an expression with its changes.
func (m *mutants) whole(n ast.Expr) string {
	if changed, ok := m.changed(n); ok {
		return changed
	}
	return m.children(n)
}

// either is an expression, or the other one if the mutant of that id is wanted. Only one of both is computed.
func (m *mutants) either(n ast.Expr, id, other string) (string, bool) {
	known := true
	name := types.TypeString(types.Default(m.info.Types[n].Type), func(p *types.Package) string {
		if p == m.own {
			return ""
		}
		known = known && strings.Contains(m.text, `"`+p.Path()+`"`)
		return p.Name()
	})
	if !known {
		m.ids = m.ids[:len(m.ids)-1]
		return "", false
	}
	return fmt.Sprintf("func() %s { if rowIsOff(%q) { return %s }; return %s }()", name, id, other, m.children(n)), true
}

// exports tells where the compiled packages are that a package imports.
func exports(t *testing.T, folder string) types.Importer {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-export", "-deps", "-f", "{{.ImportPath}} {{.Export}}", "./"+folder)
	list.Dir = root
	output, err := list.Output()
	require.NoError(t, err)
	files := map[string]string{}
	for line := range strings.SplitSeq(string(output), "\n") {
		path, file, _ := strings.Cut(line, " ")
		files[path] = file
	}
	return importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) { return os.Open(files[path]) })
}

// mutate makes the overlay of a room, and returns the mutants' names.
func mutate(t *testing.T, r room) (overlay string, ids []string) {
	t.Helper()
	set, folder := token.NewFileSet(), filepath.Join(root, r.folder)
	names, err := filepath.Glob(filepath.Join(folder, "*.go"))
	require.NoError(t, err)
	names = slices.DeleteFunc(names, func(name string) bool { return strings.HasSuffix(name, "_test.go") })
	var files []*ast.File
	for _, name := range names {
		file, err := parser.ParseFile(set, name, nil, parser.ParseComments)
		require.NoError(t, err)
		files = append(files, file)
	}
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}}
	own, err := (&types.Config{Importer: exports(t, r.folder)}).Check(r.folder, set, files, info)
	require.NoError(t, err)
	out, replace := t.TempDir(), map[string]string{}
	put := func(name, text string) {
		from, err := filepath.Abs(name)
		require.NoError(t, err)
		replace[from] = filepath.Join(out, filepath.Base(name))
		require.NoError(t, os.WriteFile(replace[from], []byte(text), 0o600))
	}
	for i, name := range names {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		m := &mutants{set: set, info: info, own: own, text: string(text), file: filepath.Base(name), times: map[string]int{}}
		changed, from := "", 0
		for _, declaration := range files[i].Decls {
			if f, ok := declaration.(*ast.FuncDecl); ok && f.Body != nil {
				m.inFun = nameOf(f)
				changed += m.text[from:set.Position(f.Body.Pos()).Offset] + m.children(f.Body)
				from = set.Position(f.Body.End()).Offset
			}
		}
		put(name, changed+m.text[from:])
		ids = append(ids, m.ids...)
	}
	put(filepath.Join(folder, "row_is_off.go"), fmt.Sprintf(support, own.Name()))
	data, err := json.Marshal(map[string]any{"Replace": replace})
	require.NoError(t, err)
	overlay = filepath.Join(out, "overlay.json")
	require.NoError(t, os.WriteFile(overlay, data, 0o600))
	return overlay, ids
}
