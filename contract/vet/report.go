package vet

import (
	"fmt"
	"go/token"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/ast/inspector"

	"github.com/tandem-go/tandem/contract/vet/internal/query"
)

const nameThem = "name the columns"

// rules say what a finding is called, what is there, why it hurts, and what to do.
var rules = map[query.Rule]struct{ name, what, harm, cure string }{
	query.Star: {"select-star", "%[1]s reads all columns of %[2]s",
		"when one is added, renamed or dropped, prepared statements fail (SQLSTATE 0A000), and scans into structs or by position do not fit", nameThem},
	query.Returning: {"returning-star", "RETURNING %[1]s returns all columns of %[2]s",
		"when one is added, renamed or dropped, prepared statements fail (SQLSTATE 0A000), and scans into structs or by position do not fit", nameThem},
	query.Insert: {"insert-without-columns", "INSERT without a list of columns into %[2]s",
		"once a column is dropped, the values behind it go into wrong columns, without an error where types allow it", nameThem},
	query.CopyIn: {"copy-without-columns", "COPY without a list of columns into %[2]s",
		"once a column is added, it fails (SQLSTATE 22P04), and with another dropped values go into wrong columns, without an error where types allow it", nameThem},
	query.CopyOut: {"copy-without-columns", "COPY without a list of columns from %[2]s",
		"when a column is added or dropped, who reads the rows by position takes one column for another", nameThem},
	query.Named: {"old-column", "%[1]s of %[2]s is named",
		"in Contract its values are old and writing it is refused (SQLSTATE TD001), and after the drop the statement fails (SQLSTATE 42703)",
		"use the pair's fragments, or the new column once the migration is there"},
}

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
	var tables []string
	for _, t := range f.Tables {
		tables = append(tables, t.String())
	}
	rule := rules[f.Rule]
	r.pass.Report(analysis.Diagnostic{
		Pos: pos, End: end, Category: rule.name,
		Message: fmt.Sprintf(rule.name+": "+rule.what+"; %[3]s: %[4]s", what, strings.Join(tables, ", "), rule.harm, rule.cure),
	})
}
