// Package declared tells tests what a package's source declares: all constants of a type or a
// prefix, and all types of errors. A test that loops over these can't miss one that was added later, as
// one that loops over a list can.
package declared

import (
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// module is the path of the module whose packages can be looked into.
const module = "github.com/jawaracloud/pubsub-operator"

// Constants are the exported constants of the type T, by name. T is a string or an integer of
// this module, and has one constant at least.
func Constants[T ~string | ~int | ~int32 | ~uint8](t testing.TB) map[string]T {
	t.Helper()
	wanted := reflect.TypeFor[T]()
	scope := load(t, wanted.PkgPath()).Scope()
	found := map[string]T{}
	for _, name := range scope.Names() {
		c, ok := scope.Lookup(name).(*types.Const)
		if !ok || !c.Exported() {
			continue
		}
		if named, ok := c.Type().(*types.Named); !ok || named.Obj().Name() != wanted.Name() {
			continue
		}
		value := reflect.New(wanted).Elem()
		if c.Val().Kind() == constant.String {
			value.SetString(constant.StringVal(c.Val()))
		} else {
			number, exact := constant.Int64Val(c.Val())
			require.True(t, exact, name)
			value.Set(reflect.ValueOf(number).Convert(wanted))
		}
		found[name] = value.Interface().(T)
	}
	require.NotEmpty(t, found, "%s has no exported constants", wanted)
	return found
}

// Values are those of Constants, in the order of their names.
func Values[T ~string | ~int | ~int32 | ~uint8](t testing.TB) []T {
	t.Helper()
	constants := Constants[T](t)
	var values []T
	for _, name := range slices.Sorted(maps.Keys(constants)) {
		values = append(values, constants[name])
	}
	return values
}

// Strings are the exported constants of a package that are strings without a type of their own
// and whose names begin with a prefix, by name. The package is given by its path.
func Strings(t testing.TB, path, prefix string) map[string]string {
	t.Helper()
	scope := load(t, path).Scope()
	found := map[string]string{}
	for _, name := range scope.Names() {
		c, ok := scope.Lookup(name).(*types.Const)
		if ok && c.Exported() && strings.HasPrefix(name, prefix) && types.Identical(c.Type(), types.Typ[types.UntypedString]) {
			found[name] = constant.StringVal(c.Val())
		}
	}
	require.NotEmpty(t, found, "%s has no constants %s…", path, prefix)
	return found
}

// Errors are the names of the exported types of errors of a package, given by its path.
func Errors(t testing.TB, path string) []string {
	t.Helper()
	scope := load(t, path).Scope()
	var found []string
	for _, name := range scope.Names() {
		named, ok := scope.Lookup(name).(*types.TypeName)
		if !ok || !named.Exported() || types.IsInterface(named.Type()) {
			continue
		}
		if method, _, _ := types.LookupFieldOrMethod(types.NewPointer(named.Type()), false, nil, "Error"); method != nil {
			found = append(found, name)
		}
	}
	require.NotEmpty(t, found, "%s has no types of errors", path)
	return found
}

// load reads a package's source without what it imports: neither constants nor the names of
// methods need that.
func load(t testing.TB, path string) *types.Package {
	t.Helper()
	folder, ours := strings.CutPrefix(path, module+"/")
	require.True(t, ours, "%q is not of this module", path)
	folder = filepath.Join(root(t), filepath.FromSlash(folder))
	all, err := filepath.Glob(filepath.Join(folder, "*.go"))
	require.NoError(t, err)
	fileSet := token.NewFileSet()
	var files []*ast.File
	for _, name := range all {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(fileSet, name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		files = append(files, file)
	}
	require.NotEmpty(t, files, folder)
	lenient := types.Config{IgnoreFuncBodies: true, Error: func(error) {}} // of imports, which are not there
	loaded, _ := lenient.Check(path, fileSet, files, nil)
	return loaded
}

// root is the module's folder.
func root(t testing.TB) string {
	t.Helper()
	folder, err := os.Getwd()
	require.NoError(t, err)
	for {
		if text, err := os.ReadFile(filepath.Join(folder, "go.mod")); err == nil && strings.HasPrefix(string(text), "module "+module+"\n") {
			return folder
		}
		parent := filepath.Dir(folder)
		require.NotEqual(t, folder, parent, "no go.mod of %s above this folder", module)
		folder = parent
	}
}
