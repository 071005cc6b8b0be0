package query

import "github.com/tandem-go/tandem/internal/lexer"

// parser holds what is known of the tokens. Its methods take ranges of them, from i up to and without end.
type parser struct {
	tokens   []lexer.Token
	closing  []int    // of each opening parenthesis the closing one, or the number of tokens
	scopes   []*scope // the innermost one of each token
	isQuery  []bool   // of each opening parenthesis whether it holds a query
	declared []bool   // names that the statement gives, and names of tables
	open     bool     // part of the text is known only at run time
	found    []Finding
}

// scope is what names mean in a SELECT, INSERT, UPDATE, DELETE or MERGE.
type scope struct {
	outer *scope
	items []item
	with  map[string]bool // common table expressions
	bare  bool            // the text ends before it says which tables are read
}

// item is something to read columns from.
type item struct {
	alias string
	table Table
	other bool // no table: a subquery, a function, a common table expression
	again bool // another name for a table that is there
}

func newParser(tokens []lexer.Token) *parser {
	n := len(tokens)
	p := &parser{tokens: tokens, closing: make([]int, n), isQuery: make([]bool, n), scopes: make([]*scope, n), declared: make([]bool, n)}
	var opened []int
	for i, t := range tokens {
		p.open = p.open || t.Open()
		switch {
		case t.Text == "(":
			p.closing[i] = n
			opened = append(opened, i)
		case t.Text == ")" && len(opened) > 0:
			p.closing[opened[len(opened)-1]] = i
			opened = opened[:len(opened)-1]
		}
	}
	for i := n - 1; i >= 0; i-- { // inner ones first
		p.isQuery[i] = tokens[i].Text == "(" && p.holdsQuery(i)
	}
	return p
}

// holdsQuery tells whether the parentheses that open at i hold a query: not an expression, and not joins that begin with a subquery.
func (p *parser) holdsQuery(i int) bool {
	if p.text(i+1) != "(" {
		return queries[p.word(i+1)]
	}
	after := p.closing[i+1] + 1
	return p.isQuery[i+1] && (p.text(after) == ")" || p.text(after) == "" || setOperators[p.word(after)] || afterFrom[p.word(after)])
}

// text is the token's, or empty after the last one.
func (p *parser) text(i int) string {
	if i < 0 || i >= len(p.tokens) {
		return ""
	}
	return p.tokens[i].Text
}

// word is a keyword in lower case, or a name that may be one. What follows a point, or AS, is no keyword.
func (p *parser) word(i int) string {
	if i < 0 || i >= len(p.tokens) || p.tokens[i].Kind != lexer.Name {
		return ""
	}
	if p.text(i-1) == "." {
		return ""
	}
	return p.tokens[i].Identifier()
}

// clause is a keyword that begins a clause: word, without what only looks like one.
func (p *parser) clause(i int) string {
	w := p.word(i)
	switch before := p.word(i - 1); {
	case before == "as":
		return ""
	case w == "from" && before == "distinct" && (p.word(i-2) == "is" || p.word(i-2) == "not"):
		return ""
	case w == "group" && before == "within":
		return ""
	}
	return w
}

// isName tells whether a token can be a name, or what stands in place of one.
func (p *parser) isName(i int) bool {
	if i >= len(p.tokens) {
		return false
	}
	k := p.tokens[i].Kind
	return k == lexer.Name || k == lexer.Quoted || k == lexer.Template
}

// find is the first token that is what is asked for, outside of parentheses, or end.
func (p *parser) find(i, end int, is func(i int) bool) int {
	for ; i < end; i++ {
		if is(i) {
			return i
		}
		if p.text(i) == "(" {
			i = min(p.closing[i], end)
		}
	}
	return end
}

// findClause is find for the first of some clauses.
func (p *parser) findClause(i, end int, words map[string]bool) int {
	return p.find(i, end, func(i int) bool { return words[p.clause(i)] })
}

// skip goes over each of the words that is there.
func (p *parser) skip(i, end int, words ...string) int {
	for _, w := range words {
		if i < end && p.word(i) == w {
			i++
		}
	}
	return i
}

// inside is the range in the parentheses that open at i, and the token after them, up to end.
func (p *parser) inside(i, end int) (from, to, after int) {
	to = min(p.closing[i], end)
	return i + 1, to, min(to+1, end)
}

// within says of which scope the tokens are that no inner one has.
func (p *parser) within(i, end int, s *scope) {
	for ; i < end; i++ {
		if p.scopes[i] == nil {
			p.scopes[i] = s
		}
	}
}

func (p *parser) report(r Rule, i, end int, tables []Table) {
	if len(tables) > 0 {
		p.found = append(p.found, Finding{Rule: r, Start: p.tokens[i].Start, End: p.tokens[end-1].End, Tables: tables})
	}
}

// isWith tells whether a name is that of a common table expression.
func (s *scope) isWith(name string) bool {
	for ; s != nil; s = s.outer {
		if s.with[name] {
			return true
		}
	}
	return false
}
