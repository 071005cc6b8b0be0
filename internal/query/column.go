package query

import "github.com/tandem-go/tandem/internal/lexer"

// beforeValue are the words that an expression, or the name of a column, may follow. After any other word a name is an alias.
var beforeValue = set(`select distinct all where and or not when then else case by on having set in like ilike similar between using returning from
	limit offset values any some array escape symmetric asymmetric zone`)

// named reports a token that is the name of a column to look for.
func (p *parser) named(i int, c Column) {
	if !p.isName(i) || p.tokens[i].Kind == lexer.Template || p.declared[i] || p.tokens[i].Identifier() != c.Name {
		return
	}
	if p.text(i+1) == "(" || p.text(i+1) == "." || p.isAlias(i) {
		return
	}
	for _, t := range p.columnOf(i) {
		if t.May(c.Table) {
			p.found = append(p.found, Finding{Rule: Named, Start: p.tokens[i].Start, End: p.tokens[i].End, Tables: []Table{t}, Column: c})
			return
		}
	}
}

// isAlias tells whether a name follows AS, or an expression that has ended.
func (p *parser) isAlias(i int) bool {
	if i == 0 {
		return false
	}
	switch before := p.tokens[i-1]; before.Kind {
	case lexer.Name:
		return !before.Open() && !beforeValue[p.word(i-1)]
	case lexer.Quoted, lexer.String, lexer.Number, lexer.Param, lexer.Template:
		return true
	case lexer.Symbol:
		return before.Text == ")" && !p.afterOn(i-1)
	}
	return false
}

// afterOn tells whether the parenthesis that ends at i is that of DISTINCT ON.
func (p *parser) afterOn(i int) bool {
	for j := i; j >= 0; j-- {
		if p.text(j) == "(" && p.closing[j] == i {
			return p.word(j-1) == "on"
		}
	}
	return false
}

// columnOf are the tables that a column at i may belong to.
func (p *parser) columnOf(i int) []Table {
	s := p.scopes[i]
	if p.text(i-1) != "." {
		var out []Table
		for ; s != nil; s = s.outer {
			out = append(out, s.tables()...)
		}
		return out
	}
	begin := i - 2
	for begin >= 2 && p.isName(begin) && p.text(begin-1) == "." && p.isName(begin-2) {
		begin -= 2
	}
	path, _ := p.path(max(begin, 0), i-1)
	if len(path) == 0 { // (expression).name
		return nil
	}
	return p.owners(path, s)
}
