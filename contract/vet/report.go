package vet

import (
	"fmt"
	"go/token"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/ast/inspector"

	"github.com/tandem-go/tandem/internal/query"
)

// reporter reports what is found in a package, but for what comments suppress.
type reporter struct {
	pass    *analysis.Pass
	source  source
	config  *config
	ignored ignored
}

// report reports a finding in the text that the expression is.
func (r *reporter) report(at inspector.Cursor, pos, end token.Pos, what string, f query.Finding) {
	if !r.config.wants(f) || r.ignored.covers(r.pass.Fset, at, pos) {
		return
	}
	says := f.Says(what)
	r.pass.Report(analysis.Diagnostic{
		Pos: pos, End: end, Category: says.Name,
		Message: fmt.Sprintf("%s: %s; %s: %s", says.Name, says.What, says.Harm, says.Cure),
	})
}
