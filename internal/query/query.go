// Package query finds in SQL what depends on which columns a table has, without naming them, and what names a column.
//
// It is no parser: it knows where a statement keeps its tables, its lists and its subqueries, and passes over the rest. So it reads what a parser refuses, such as
// a statement that a program puts together, and a newer grammar. What it does not understand, it finds nothing in.
package query

import (
	"slices"
	"strings"

	"github.com/tandem-go/tandem/internal/lexer"
)

// Rule is what is found.
type Rule uint8

// The rules.
const (
	Star      Rule = iota // SELECT *
	Returning             // RETURNING *
	Insert                // INSERT INTO t VALUES, INSERT INTO t SELECT
	CopyIn                // COPY t FROM
	CopyOut               // COPY t TO
	Named                 // a column by its name
)

// Table is a table that a statement names. Of an Open one the name is known only when the program runs.
type Table struct {
	Schema string
	Name   string
	Open   bool
}

// String is the name as SQL has it, without quotes.
func (t Table) String() string {
	switch {
	case t.Open:
		return "a table that is known only at run time"
	case t.Schema != "":
		return t.Schema + "." + t.Name
	}
	return t.Name
}

// May tells whether t, as a statement names it, may be the other: a schema that is not said is any.
func (t Table) May(other Table) bool {
	return t.Open || t.Name == other.Name && (t.Schema == "" || other.Schema == "" || t.Schema == other.Schema)
}

// system tells whether the table is one of PostgreSQL's own, which no migration changes.
func (t Table) system() bool {
	return t.Schema == "pg_catalog" || t.Schema == "information_schema" || t.Schema == "" && strings.HasPrefix(t.Name, "pg_")
}

// Column is a column to look for.
type Column struct {
	Table Table
	Name  string
}

// Finding is one thing found, at Start to End of the text.
type Finding struct {
	Rule   Rule
	Start  int
	End    int
	Tables []Table // any of which it may be
	Column Column  // of Named
}

// starts are what a text begins with that is taken for SQL.
var starts = set("select insert update delete with copy merge")

// Begins tells whether a text is taken for SQL: whether its first word, after comments and parentheses, begins a statement that reads or writes rows.
func Begins(text string) bool { return begins(significant(text)) }

func begins(tokens []lexer.Token) bool {
	for _, t := range tokens {
		if t.Text != "(" {
			return t.Kind == lexer.Name && starts[t.Identifier()]
		}
	}
	return false
}

// Examine finds everything in a text, in the order of the text. A text that does not begin like SQL has nothing.
func Examine(text string, columns []Column) []Finding {
	tokens := significant(text)
	if !begins(tokens) {
		return nil
	}
	p := newParser(tokens)
	for i := 0; i < len(tokens); i++ { // one statement each
		end := p.find(i, len(tokens), func(i int) bool { return p.text(i) == ";" })
		p.query(i, end, nil, false)
		i = end
	}
	for i := range tokens {
		for _, c := range columns {
			p.named(i, c)
		}
	}
	slices.SortStableFunc(p.found, func(a, b Finding) int { return a.Start - b.Start })
	return p.found
}

func significant(text string) []lexer.Token {
	return slices.DeleteFunc(lexer.Scan(text), func(t lexer.Token) bool { return t.Kind == lexer.Space || t.Kind == lexer.Comment })
}

func set(words string) map[string]bool {
	out := map[string]bool{}
	for _, w := range strings.Fields(words) {
		out[w] = true
	}
	return out
}
