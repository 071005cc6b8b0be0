package expand

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pair"
)

// ReplaceSpec declares that a whole table is replaced by another: another key, partitions, columns that were merged. The application makes the new table itself, empty, with its
// key, partitions, indexes, defaults and grants; the library keeps it in step, copies the rows, verifies, switches, and drops the old one. SQL only.
type ReplaceSpec struct {
	Table string   // today's table, as in Spec
	Into  string   // the table that replaces it; the migration is named after it
	Key   []string // of Table: the columns of its primary key, or of another unique index of NOT NULL columns; defaults to id
	// IntoKey is the key of Into, as Key; it must hold the columns of Key as they are. Defaults to Key.
	IntoKey []string

	// Columns says what a column of Into is made of: SQL over the old row, its columns in braces, `{price} * 100`. It must depend on the row alone, not on the session's
	// settings; functions and types outside pg_catalog need their schema. A column that it does not name is made of the one that has its name in Table; "" leaves it to its default.
	Columns map[string]string
	// Backward is the same from Into to Table, for the way back from Contract. It must make all columns that Columns read, such that they lead forward again, and all
	// that are NOT NULL without a default; else there is no way back, as Plan says in Step.Why.
	Backward map[string]string

	// KeepName gives Into the name of Table at the swap, so that old binaries go on with it: Into needs every column of Table, with the same type, and is in the same schema.
	KeepName bool
}

// Replacement is a table that is being replaced by another. Declare it once, as a variable of the package that owns the table. It is immutable and safe for
// concurrent use. A declaration that makes no sense is reported by Err and by everything that it is given to.
type Replacement struct {
	def         pair.Definition
	err         error
	fingerprint string
}

// Replace declares the replacement of a table.
func Replace(s ReplaceSpec) *Replacement {
	r := &Replacement{}
	if len(s.Key) == 0 {
		s.Key = []string{"id"}
	}
	if len(s.IntoKey) == 0 {
		s.IntoKey = s.Key
	}
	r.def = pair.Definition{Key: s.Key, IntoKey: s.IntoKey, KeepName: s.KeepName}
	r.def.New, r.def.Forward = sorted(s.Columns)
	r.def.Old, r.def.Backward = sorted(s.Backward)
	table, err := ident.ParseTable(s.Table)
	if err == nil {
		r.def.Table = table
		r.def.Into, err = ident.ParseTable(s.Into)
	}
	if err != nil {
		r.err = fmt.Errorf("replacement of %s by %s: %w", s.Table, s.Into, err)
		return r
	}
	r.err, r.fingerprint = r.def.Check(), r.def.Fingerprint()
	return r
}

func sorted(m map[string]string) (names, exprs []string) {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		names, exprs = append(names, name), append(exprs, m[name])
	}
	return names, exprs
}

// Name is the migration's name: the new table's.
func (r *Replacement) Name() string {
	if !r.def.Replaces() { // Err says why
		return r.def.Table.String()
	}
	return r.def.Name()
}

// Definition returns the plain data.
func (r *Replacement) Definition() Definition { return r.def }

// Err reports what is wrong with the declaration, nil when nothing is.
func (r *Replacement) Err() error { return r.err }

// Conversion is empty: the rows of a table are converted in SQL.
func (r *Replacement) Conversion() Conversion { return Conversion{} }

func (r *Replacement) bind() binding         { return nil } // of a Repository it is not a field
func (r *Replacement) newType() reflect.Type { return nil }
