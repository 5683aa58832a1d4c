//go:build mutation

package mutation

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
)

// Deleting a row and building anew takes a minute for each of some hundred rows. So each file is
// rewritten once, with a switch in front of every row: its row is gone where the environment
// variable variable names it. Of a table that is an init that deletes the row; of a switch, a
// condition before each case, for which a switch with a tag becomes one without.
const variable = "PUBSUB_ROW_OFF"

// support is what the rewritten files of a package call.
const support = `package %s

import "os"

func rowIsOff(row string) bool { return os.Getenv("` + variable + `") == row }
`

// source is a file that is rewritten.
type source struct {
	path  string
	text  string
	set   *token.FileSet
	file  *ast.File
	edits []edit
	added strings.Builder
}

// edit replaces the bytes from from to to.
type edit struct {
	from, to int
	text     string
}

func parseSource(path, text string) (*source, error) {
	s := &source{path: path, text: text, set: token.NewFileSet()}
	var err error
	s.file, err = parser.ParseFile(s.set, path, text, parser.ParseComments)
	return s, err
}

func (s *source) offset(at token.Pos) int { return s.set.Position(at).Offset }

func (s *source) textOf(node ast.Node) string {
	return s.text[s.offset(node.Pos()):s.offset(node.End())]
}

// rewritten is the file with its edits.
func (s *source) rewritten() string {
	slices.SortFunc(s.edits, func(a, b edit) int { return cmp.Compare(a.from, b.from) })
	var out strings.Builder
	last := 0
	for _, e := range s.edits {
		out.WriteString(s.text[last:e.from] + e.text)
		last = e.to
	}
	out.WriteString(s.text[last:] + s.added.String())
	return out.String()
}

// guard puts a switch in front of each row of the table or function of that name, and returns
// the rows' names.
func (s *source) guard(name string) ([]string, error) {
	for _, declaration := range s.file.Decls {
		switch d := declaration.(type) {
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if v, ok := spec.(*ast.ValueSpec); ok && d.Tok == token.VAR && v.Names[0].Name == name && len(v.Values) == 1 {
					return s.guardTable(name, v.Values[0])
				}
			}
		case *ast.FuncDecl:
			if nameOf(d) == name {
				return s.guardSwitches(name, d.Body), nil
			}
		}
	}
	return nil, fmt.Errorf("%s has no table and no function %s: correct the list of targets", s.path, name)
}

// nameOf is a function's name, with its receiver's type where it has one.
func nameOf(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return d.Name.Name
	}
	receiver := d.Recv.List[0].Type
	if star, ok := receiver.(*ast.StarExpr); ok {
		receiver = star.X
	}
	return receiver.(*ast.Ident).Name + "." + d.Name.Name
}

func (s *source) guardTable(name string, value ast.Expr) (rows []string, err error) {
	literal, ok := value.(*ast.CompositeLit)
	if !ok {
		return nil, fmt.Errorf("%s: %s is no table", s.path, name)
	}
	for i, element := range literal.Elts {
		remove := fmt.Sprintf("%[1]s = append(%[1]s[:%[2]d:%[2]d], %[1]s[%[2]d+1:]...)", name, i)
		row := s.textOf(element)
		if pair, ok := element.(*ast.KeyValueExpr); ok {
			row = s.textOf(pair.Key)
			remove = fmt.Sprintf("delete(%s, %s)", name, row)
		}
		row = fmt.Sprintf("%s[%s]", name, row)
		rows = append(rows, row)
		fmt.Fprintf(&s.added, "\nfunc init() {\n\tif rowIsOff(%s) {\n\t\t%s\n\t}\n}\n", strconv.Quote(s.path+":"+row), remove)
	}
	return rows, nil
}

// guardSwitches leaves cases alone that do nothing: without one, nothing is done either.
func (s *source) guardSwitches(name string, body ast.Node) (rows []string) {
	ast.Inspect(body, func(node ast.Node) bool {
		statement, ok := node.(*ast.SwitchStmt)
		if !ok {
			return true
		}
		tag := ""
		if statement.Tag != nil {
			tag = "(" + s.textOf(statement.Tag) + ") == "
			semicolon := ""
			if statement.Init != nil && !strings.Contains(s.text[s.offset(statement.Init.End()):s.offset(statement.Tag.Pos())], ";") {
				semicolon = ";"
			}
			s.edits = append(s.edits, edit{s.offset(statement.Tag.Pos()), s.offset(statement.Tag.End()), semicolon})
		}
		for _, clause := range statement.Body.List {
			clause := clause.(*ast.CaseClause)
			if len(clause.Body) == 0 {
				if tag != "" { // what is compared has lost its tag
					s.compare(tag, clause, nil)
				}
				continue
			}
			s.compare(tag, clause, func(e ast.Expr) string {
				row := fmt.Sprintf("%s: case %s", name, s.textOf(e))
				rows = append(rows, row)
				return "!rowIsOff(" + strconv.Quote(s.path+":"+row) + ") && "
			})
		}
		return true
	})
	return rows
}

func (s *source) compare(tag string, clause *ast.CaseClause, guard func(ast.Expr) string) {
	for _, e := range clause.List {
		before := ""
		if guard != nil {
			before = guard(e)
		}
		s.edits = append(s.edits, edit{s.offset(e.Pos()), s.offset(e.End()), before + tag + "(" + s.textOf(e) + ")"})
	}
}
