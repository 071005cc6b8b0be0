package vet

import (
	"errors"
	"fmt"
	"go/ast"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/passes/inspect"
	"golang.org/x/tools/go/ast/inspector"

	"github.com/tandem-go/tandem/internal/query"
)

// Options say what to look for. The flags tables and columns of an analyzer say the same, in lists with commas, and replace what it was made with.
type Options struct {
	Tables  []string // as SQL has them: users, public.orders, "Users"; one without a schema is that of any schema; defaults to all tables
	Columns []string // old columns, each with its table: users.user_name; defaults to none
}

// Analyzer looks at all tables, and for no column, unless its flags say otherwise.
var Analyzer = newAnalyzer(&config{})

// New returns an analyzer for a driver that has options of its own, such as a plugin of a linter. The error names what is no table or no column.
func New(o Options) (*analysis.Analyzer, error) {
	c := &config{}
	var err error
	for _, name := range o.Tables {
		err = errors.Join(err, c.addTable(name))
	}
	for _, name := range o.Columns {
		err = errors.Join(err, c.addColumn(name))
	}
	if err != nil {
		return nil, fmt.Errorf("options: %w", err)
	}
	return newAnalyzer(c), nil
}

func newAnalyzer(c *config) *analysis.Analyzer {
	a := &analysis.Analyzer{
		Name:     "tandem",
		Doc:      doc,
		URL:      "https://pkg.go.dev/github.com/tandem-go/tandem/contract/vet",
		Requires: []*analysis.Analyzer{inspect.Analyzer},
		Run:      c.run,
	}
	a.Flags.Var(tablesFlag{c}, "tables", "look at these `tables` only, such as users,public.orders")
	a.Flags.Var(columnsFlag{c}, "columns", "report uses of these `columns`, such as users.user_name")
	return a
}

const doc = `find SQL that breaks when a column of its table is added, renamed or dropped

Reported are SELECT * and t.*, RETURNING *, INSERT and COPY without a list of columns, and, with the flag
columns, statements that name an old column. A comment on the line, or alone on the line above,
suppresses what is found there:

	//tandem:ignore the reason

A constant string that begins like SQL is taken for SQL, wherever it stands.`

// run looks at each text of the package once: a text is all that + and fmt.Sprintf put together.
func (c *config) run(pass *analysis.Pass) (any, error) {
	src := source{fset: pass.Fset, info: pass.TypesInfo}
	r := &reporter{pass: pass, source: src, config: c, ignored: ignoredOf(pass)}
	root := pass.ResultOf[inspect.Analyzer].(*inspector.Inspector).Root() //nolint:errcheck // it is what the other analyzer returns
	seen := map[ast.Node]bool{}
	for at := range root.Preorder((*ast.BasicLit)(nil), (*ast.BinaryExpr)(nil), (*ast.CallExpr)(nil)) {
		if call, is := at.Node().(*ast.CallExpr); is {
			r.copyIn(at, call)
		}
		if !src.isText(at.Node()) {
			continue
		}
		whole := src.climb(at)
		e, is := whole.Node().(ast.Expr)
		if !is || seen[e] {
			continue
		}
		seen[e] = true
		t := src.text(e)
		if src.isFormat(whole) {
			t = t.formatted()
		}
		for _, f := range query.Examine(string(t.bytes), c.columns) {
			if !t.elsewhere(f, c.columns) {
				r.report(whole, t.marks[f.Start].pos, t.marks[f.End-1].end, t.shown(f), f)
			}
		}
	}
	return nil, nil
}
