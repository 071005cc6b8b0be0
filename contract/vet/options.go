package vet

import (
	"fmt"
	"strings"

	"github.com/tandem-go/tandem/internal/lexer"
	"github.com/tandem-go/tandem/internal/query"
)

// config is Options, read.
type config struct {
	tables  []query.Table
	columns []query.Column
}

func (c *config) addTable(name string) error {
	parts, ok := parts(name)
	if !ok || len(parts) > 2 {
		return fmt.Errorf("%q is not the name of a table: write it as in SQL, such as users or public.users", name)
	}
	c.tables = append(c.tables, table(parts))
	return nil
}

func (c *config) addColumn(name string) error {
	parts, ok := parts(name)
	if !ok || len(parts) < 2 || len(parts) > 3 {
		return fmt.Errorf("%q is not a column with its table: write it as in SQL, such as users.user_name or public.users.user_name", name)
	}
	last := len(parts) - 1
	c.columns = append(c.columns, query.Column{Table: table(parts[:last]), Name: parts[last]})
	return nil
}

// wants tells whether a finding is of a table to look at.
func (c *config) wants(f query.Finding) bool {
	if f.Rule == query.Named || len(c.tables) == 0 {
		return true
	}
	for _, t := range f.Tables {
		for _, wanted := range c.tables {
			if t.May(wanted) {
				return true
			}
		}
	}
	return false
}

func table(parts []string) query.Table {
	t := query.Table{Name: parts[len(parts)-1]}
	if len(parts) > 1 {
		t.Schema = parts[0]
	}
	return t
}

// parts are the names in a qualified name.
func parts(name string) (out []string, ok bool) {
	for i, t := range lexer.Scan(strings.TrimSpace(name)) {
		isName := t.Kind == lexer.Name || t.Kind == lexer.Quoted
		switch {
		case i%2 == 0 && isName && !t.Open() && t.Identifier() != "":
			out = append(out, t.Identifier())
		case i%2 == 1 && t.Text == ".":
		default:
			return nil, false
		}
		ok = isName
	}
	return out, ok
}

// list are the elements of a list with commas; one in quotes may have commas of its own.
func list(value string) []string {
	out := []string{""}
	for _, t := range lexer.Scan(value) {
		if t.Text == "," {
			out = append(out, "")
			continue
		}
		out[len(out)-1] += t.Text
	}
	return out
}

// tablesFlag and columnsFlag are the flags. Setting one replaces what was there; the empty list is the default.
type (
	tablesFlag  struct{ *config }
	columnsFlag struct{ *config }
)

func (f tablesFlag) String() string  { return "" }
func (f columnsFlag) String() string { return "" }

func (f tablesFlag) Set(value string) error {
	f.tables = nil
	return each(value, f.addTable)
}

func (f columnsFlag) Set(value string) error {
	f.columns = nil
	return each(value, f.addColumn)
}

func each(value string, add func(string) error) error {
	if strings.TrimSpace(value) == "" {
		return nil
	}
	for _, name := range list(value) {
		if err := add(name); err != nil {
			return err
		}
	}
	return nil
}
