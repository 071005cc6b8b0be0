package pair

import (
	"fmt"
	"slices"

	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/phase"
)

// A definition with Into replaces a whole table: Table becomes Into. Key is then unique in Table and IntoKey in Into. New and Forward hold only the columns of Into that are
// not made of the column of the same name, Old and Backward those of Table on the way back; an empty expression leaves the column out. There is no stamp.

// Replaces tells whether a whole table is replaced.
func (d Definition) Replaces() bool { return d.Into != ident.Table{} }

// Aside is where the swap puts the old table.
func (d Definition) Aside() ident.Table {
	return ident.Table{Schema: d.Table.Schema, Name: ident.Derive("", d.Table.Name, "_replaced")}
}

// Sides are the names of the old and of the new table in a phase.
func (d Definition) Sides(p phase.Phase) (old, new ident.Table) {
	switch {
	case p < phase.Contract:
		return d.Table, d.Into
	case d.KeepName:
		return d.Aside(), d.Table
	default:
		return d.Aside(), d.Into
	}
}

// Meets tells whether two definitions of which one replaces a table have a table in common.
func (d Definition) Meets(o Definition) bool {
	tables := func(d Definition) []ident.Table {
		if d.Replaces() {
			return []ident.Table{d.Table, d.Into, d.Aside()}
		}
		return []ident.Table{d.Table}
	}
	return (d.Replaces() || o.Replaces()) && slices.ContainsFunc(tables(d), func(t ident.Table) bool { return slices.Contains(tables(o), t) })
}

// checkReplace is Check of a definition that replaces a table.
func (d Definition) checkReplace() error {
	what := fmt.Sprintf("replacement of %s by %s", d.Table, d.Into)
	switch {
	case d.Into == d.Table:
		return fmt.Errorf("replacement of %s by itself: make a new table and name it in Into", d.Table)
	case d.Into == d.Aside():
		return fmt.Errorf("%s: that is the name the old table gets at the swap: name the new one otherwise", what)
	case d.KeepName && d.Into.Schema != d.Table.Schema:
		return fmt.Errorf("%s: KeepName needs both in one schema", what)
	case len(d.Key) == 0 || len(d.IntoKey) == 0:
		return fmt.Errorf("%s: needs the key of either table", what)
	case d.Keyless() || slices.Contains(d.IntoKey, NoKey):
		return fmt.Errorf("%s: without a key nothing says which row is a copy of which: add one", what)
	case len(d.New) != len(d.Forward) || len(d.Old) != len(d.Backward):
		return fmt.Errorf("%s: each column needs an expression", what)
	}
	for _, names := range [][]string{d.Key, d.IntoKey, d.New, d.Old} {
		for i, name := range names {
			if err := ident.Check(name); err != nil {
				return fmt.Errorf("%s: column: %w", what, err)
			}
			if slices.Contains(names[:i], name) {
				return fmt.Errorf("%s: column %s is named twice", what, ident.Quote(name))
			}
		}
	}
	return nil
}
