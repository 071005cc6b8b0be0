package expand

import (
	"errors"
	"fmt"

	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pair"
)

// SetSpec declares a pair of column sets: full_name is split into first_name and last_name, lat and lon are merged into a point. A side of
// one column has its Go type; a side of more, up to 8, is a struct with a field for each column, named by its db tag:
//
//	type Name struct {
//		First string  `db:"first_name"`
//		Last  *string `db:"last_name"`
//	}
//
// All columns of a side are written and copied together, and every write compares and sets all of them.
type SetSpec[O, N any] struct {
	Table string   // as in Spec
	Key   []string // as in Spec
	Old   []Column // today's columns
	New   []Column // the columns that replace them; the migration and the stamp are named after the first

	Forward  func(O) (N, error) // as in Spec
	Backward func(N) (O, error) // as in Spec
	Equal    func(a, b N) bool  // as in Spec
}

// Column is one column of a set.
type Column struct {
	Name    string
	Type    string // of a new column: its SQL type, which a set needs
	SQL     string // how it is made: of a new column forward, with the old columns in braces; of an old one backward. For all columns of a side or for none
	NotNull bool   // of a new column in a set: contract.Apply with Finish makes it NOT NULL, after a scan that finds no NULL. Of a pair of two columns old says so
}

// ConvertSet declares a pair of column sets.
func ConvertSet[O, N any](s SetSpec[O, N]) *Pair[O, N] { return declared(s, "", nil) }

// declared makes a pair; to is the table of new, "" for old's own.
func declared[O, N any](s SetSpec[O, N], to string, toKey []string) *Pair[O, N] {
	p := &Pair[O, N]{forward: s.Forward, backward: s.Backward, equal: s.Equal}
	if p.equal == nil {
		p.equal = equalBytes[N]
	}
	p.err = p.declare(s, to, toKey)
	return p
}

func (p *Pair[O, N]) declare(s SetSpec[O, N], to string, toKey []string) error {
	table, err := ident.ParseTable(s.Table)
	if err != nil {
		return fmt.Errorf("pair %s to %s: %w", names(s.Old), names(s.New), err)
	}
	if len(s.Key) == 0 {
		s.Key = []string{"id"}
	}
	d := pair.Definition{Table: table, Key: s.Key, ToKey: toKey}
	if to != "" {
		if d.To, err = ident.ParseTable(to); err != nil {
			return fmt.Errorf("pair %s to %s: %w", names(s.Old), names(s.New), err)
		}
		if len(toKey) == 0 {
			d.ToKey = s.Key
		}
	}
	for _, c := range s.Old {
		d.Old = append(d.Old, c.Name)
		if c.Type != "" || c.NotNull {
			return fmt.Errorf("pair on %s: old column %s: Type and NotNull are for new columns", table, ident.Quote(c.Name))
		}
	}
	for _, c := range s.New {
		d.New = append(d.New, c.Name)
		if c.NotNull {
			d.NotNull = append(d.NotNull, c.Name)
		}
	}
	d.Types = given(s.New, func(c Column) string { return c.Type })
	d.Forward = given(s.New, func(c Column) string { return c.SQL })
	d.Backward = given(s.Old, func(c Column) string { return c.SQL })
	// in another table only the guard writes back, by SQL
	d.OneWay = !d.HasBackward() && (s.Backward == nil || d.Moved())
	if len(d.New) > 0 {
		d.Stamp = pair.StampName(d.New[0])
		p.name = d.Name()
	}
	p.def, p.fingerprint = d, d.Fingerprint()
	if err := d.Check(); err != nil {
		return err
	}
	if s.Forward == nil {
		return fmt.Errorf("pair %s: Forward is missing: it turns an old value into a new one", d.Name())
	}
	var old, new error
	p.old, old = newColumns[O](d.Old)
	p.new, new = newColumns[N](d.New)
	if err := errors.Join(old, new); err != nil {
		return fmt.Errorf("pair %s: %w", d.Name(), err)
	}
	return nil
}

// given is what the columns say; nil where none does.
func given(columns []Column, of func(Column) string) []string {
	var out []string
	some := false
	for _, c := range columns {
		out = append(out, of(c))
		some = some || of(c) != ""
	}
	if !some {
		return nil
	}
	return out
}

func names(columns []Column) string {
	return ident.List("", given(columns, func(c Column) string { return c.Name }))
}
