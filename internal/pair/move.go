package pair

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tandem-go/tandem/internal/fragment"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/phase"
)

// Moved tells whether new and the stamp are columns of another table than old.
func (d Definition) Moved() bool { return d.To != ident.Table{} }

// There is the definition as the table of new sees it: Table and Key are those of new. Of a pair in one table it is the definition itself.
func (d Definition) There() Definition {
	if d.Moved() {
		d.Table, d.Key = d.To, d.ToKey
		d.To, d.ToKey = ident.Table{}, nil
	}
	return d
}

// Joined says that a row of To belongs to a row of Table; the arguments qualify their columns.
func (d Definition) Joined(to, table string) string {
	terms := make([]string, len(d.Key))
	for i := range d.Key {
		terms[i] = to + ident.Quote(d.ToKey[i]) + " = " + table + ident.Quote(d.Key[i])
	}
	return strings.Join(terms, " AND ")
}

// Unstamped says of a row of Table, called t, that only old is right: it has no stamp, or no row of To that has one.
func (d Definition) Unstamped() string {
	if !d.Moved() {
		return "t." + ident.Quote(d.Stamp) + " IS NULL"
	}
	return "NOT EXISTS (SELECT FROM " + d.To.SQL() + " AS p WHERE " + d.Joined("p.", "t.") + " AND p." + ident.Quote(d.Stamp) + " IS NOT NULL)"
}

// Contracted says of a row of Table, called t, that only new is right: it was written in Contract.
func (d Definition) Contracted() string {
	if !d.Moved() {
		return fmt.Sprintf("t.%s >= %d", ident.Quote(d.Stamp), phase.Contract.Floor())
	}
	return fmt.Sprintf("EXISTS (SELECT FROM %s AS p WHERE %s AND p.%s >= %d)", d.To.SQL(), d.Joined("p.", "t."), ident.Quote(d.Stamp), phase.Contract.Floor())
}

// Apart is the pair as if it were one of Table, for whoever only converts: where both columns have one name, new gets another.
func (d Definition) Apart() Definition {
	if !d.Moved() {
		return d
	}
	d.To, d.ToKey = ident.Table{}, nil
	if d.New[0] == d.Old[0] {
		name := ident.Derive("", d.New[0], "_there")
		d.Backward = slices.Clone(d.Backward)
		for i, e := range d.Backward {
			// Check has refused text that does not parse
			d.Backward[i], _ = fragment.Expand(e, func(string) (string, error) { return fragment.Placeholder(name), nil })
		}
		d.New = []string{name}
	}
	return d
}

// Tables are those that the pair has columns in, in the order in which they are locked: the table of old, and that of new if it is another.
func (d Definition) Tables() []ident.Table {
	if d.Moved() {
		return []ident.Table{d.Table, d.To}
	}
	return []ident.Table{d.Table}
}

// Shares names a column that two definitions have in common, and its table; "" if there is none.
func (d Definition) Shares(o Definition) (ident.Table, string) {
	for _, mine := range d.places() {
		for _, other := range o.places() {
			if mine == other {
				return mine.table, mine.column
			}
		}
	}
	return ident.Table{}, ""
}

type place struct {
	table  ident.Table
	column string
}

func (d Definition) places() []place {
	var out []place
	for _, c := range d.Old {
		out = append(out, place{d.Table, c})
	}
	for _, c := range append(append([]string{}, d.New...), d.Stamp) {
		out = append(out, place{d.There().Table, c})
	}
	return out
}

// checkMove finds what is wrong with a pair whose new column is in another table. Its columns are one to one, and SQL must convert: up to Switch the guard alone
// writes new.
func (d Definition) checkMove() error {
	switch {
	case !d.Moved() && len(d.ToKey) > 0:
		return fmt.Errorf("pair on %s: a key of another table, and no table: set To", d.Table)
	case !d.Moved():
		return nil
	case d.To == d.Table:
		return fmt.Errorf("pair on %s: it moves to the table that it is in: leave To empty", d.Table)
	case len(d.Old) != 1 || len(d.New) != 1:
		return fmt.Errorf("pair on %s: one column moves to another table at a time, not %d to %d", d.Table, len(d.Old), len(d.New))
	case len(d.ToKey) != len(d.Key):
		return fmt.Errorf("pair on %s: key (%s) and, in %s, (%s): name as many columns, in the same order", d.Table, ident.List("", d.Key), d.To, ident.List("", d.ToKey))
	case !d.HasForward():
		return errors.New("pair on " + d.Table.String() + ": up to Switch the guard writes the column of the other table, and needs ForwardSQL for it")
	}
	return nil
}
