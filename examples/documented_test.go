package examples_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every function that users call, and every type that has methods, has an Example that is run.
func TestPublicEntriesHaveExamples(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{"expand", "expand/expandtest", "backfill", "switchover", "contract"} {
		p := documented(t, filepath.Join("..", folder))
		for _, f := range p.Funcs {
			run(t, folder, f.Name, f.Examples)
		}
		for _, typ := range p.Types {
			for _, f := range typ.Funcs { // constructors
				run(t, folder, f.Name, f.Examples)
			}
			examples := typ.Examples
			for _, m := range typ.Methods {
				examples = append(examples, m.Examples...)
			}
			if len(typ.Methods) > 0 && ast.IsExported(typ.Name) {
				run(t, folder, typ.Name, examples)
			}
		}
	}
}

// run wants an Example with an output: the others are only compiled.
func run(t *testing.T, folder, name string, examples []*doc.Example) {
	t.Helper()
	for _, e := range examples {
		if e.Output != "" || folder == "expand/expandtest" { // what takes a *testing.T is only compiled
			return
		}
	}
	t.Errorf("%s.%s has no Example with an Output: write one in %s/example_test.go", folder, name, folder)
}

func documented(t *testing.T, folder string) *doc.Package {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(folder, "*.go"))
	require.NoError(t, err)
	require.NotEmpty(t, names)
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range names {
		f, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
		require.NoError(t, err)
		if f.Name.Name != "main" {
			files = append(files, f)
		}
	}
	p, err := doc.NewFromFiles(fset, files, module+folder)
	require.NoError(t, err)
	return p
}
