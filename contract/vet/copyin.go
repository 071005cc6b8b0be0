package vet

import (
	"go/ast"
	"go/constant"

	"golang.org/x/tools/go/ast/inspector"

	"github.com/tandem-go/tandem/internal/query"
)

// copyIn reports pq.CopyIn and pq.CopyInSchema with a table alone: they make a COPY without a list of columns.
func (r *reporter) copyIn(at inspector.Cursor, call *ast.CallExpr) {
	names := map[string]int{"github.com/lib/pq.CopyIn": 1, "github.com/lib/pq.CopyInSchema": 2}[r.source.callee(call)]
	if names == 0 || len(call.Args) != names {
		return
	}
	t := query.Table{}
	t.Name, t.Open = r.name(call.Args[names-1])
	if names == 2 {
		t.Schema, _ = r.name(call.Args[0])
	}
	r.report(at, call.Pos(), call.End(), "", query.Finding{Rule: query.CopyIn, Tables: []query.Table{t}})
}

// name is the constant that an argument is; it is open if the program makes it.
func (r *reporter) name(e ast.Expr) (name string, open bool) {
	v := r.source.info.Types[e].Value
	if v == nil || v.Kind() != constant.String {
		return "", true
	}
	return constant.StringVal(v), false
}
