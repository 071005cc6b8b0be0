package expand

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/switchover"
)

// Pinned is a pair in one phase: the fragments for SQL written by hand. They are bare names and bare named parameters, because sqlx's bulk inserts
// break on :: and on function calls in VALUES.
type Pinned[O, N any] struct {
	pair        *Pair[O, N]
	pin         switchover.Pin
	release     bool // the pin is this one's own
	write, read switchover.Phase
	member      *switchover.Member
}

// Pin pins the phase for one statement. Release it when the statement is done. ErrRedeclare when the migration runs with another
// declaration, ErrOverlap when it was never started and shares a column with one that runs.
func (p *Pair[O, N]) Pin(ctx context.Context, member *switchover.Member) (*Pinned[O, N], error) {
	if p.err != nil {
		return nil, p.err
	}
	pin := member.Pin(ctx)
	f, err := p.pinned(pin, member)
	if err != nil {
		pin.Release()
		return nil, err
	}
	f.release = true
	return f, nil
}

// Do runs a statement written by hand, outside a transaction, in a pinned phase. If PostgreSQL refuses it because the phase has just moved on, fn runs once
// more in the new one.
func (p *Pair[O, N]) Do(ctx context.Context, member *switchover.Member, fn func(f *Pinned[O, N]) error) error {
	if p.err != nil {
		return p.err
	}
	return statement(ctx, member, func(pin switchover.Pin) error {
		f, err := p.pinned(pin, member)
		if err != nil {
			return err
		}
		return fn(f)
	})
}

// In returns the pair in the phase of a transaction, which ends with it and needs no Release.
func (p *Pair[O, N]) In(tx *Tx) (*Pinned[O, N], error) {
	if p.err != nil {
		return nil, p.err
	}
	return p.pinned(tx.pin, tx.member)
}

func (p *Pair[O, N]) pinned(pin switchover.Pin, member *switchover.Member) (*Pinned[O, N], error) {
	write, read, err := pinnedPhase(pin, p.name, p.fingerprint, &p.def)
	if err != nil {
		return nil, err
	}
	return &Pinned[O, N]{pair: p, pin: pin, write: write, read: read, member: member}, nil
}

// Release lets the phase move on; of a pair that Do or In has made it does nothing.
func (f *Pinned[O, N]) Release() {
	if f.release {
		f.pin.Release()
	}
}

// Phase is the pinned phase.
func (f *Pinned[O, N]) Phase() switchover.Phase { return f.write }

// Columns are the columns that the phase writes, for INSERT INTO t (...).
func (f *Pinned[O, N]) Columns() string { return ident.List("", writeColumns(f.pair.def, f.write)) }

// Names are the same columns one by one and without quotes, for COPY and for query builders.
func (f *Pinned[O, N]) Names() []string { return writeColumns(f.pair.def, f.write) }

// Values are what a row has in Columns, in their order: arguments for COPY, for query builders and for $1, $2, ...
func (f *Pinned[O, N]) Values(v Value[O, N]) []any {
	var out []any
	if f.write.WritesOld() {
		out = f.pair.old.cells(out, v.Old)
	}
	if f.write.WritesNew() {
		out = f.pair.new.cells(out, v.New)
	}
	if f.write.Stamps() {
		out = append(out, v.Stamp)
	}
	return out
}

// Params are the named parameters for Columns: `:full_name.old, :full_name.new, :full_name.stamp`, read from a field of type Value.
func (f *Pinned[O, N]) Params() string { return strings.Join(f.params(), ", ") }

// Set is the SET list of an UPDATE: `user_name = :full_name.old, ...`.
func (f *Pinned[O, N]) Set() string { return f.pairUp(f.params()) }

// Excluded is the SET list of ON CONFLICT DO UPDATE: `user_name = EXCLUDED.user_name, ...`.
func (f *Pinned[O, N]) Excluded() string { return excluded(writeColumns(f.pair.def, f.write)) }

// Select are the columns to read, AS the dotted names by which sqlx fills a field of type Value. alias is the table's in the query, or "".
func (f *Pinned[O, N]) Select(alias string) string {
	columns := storedColumns(f.pair.def, f.read)
	out := ident.QuoteAll(qualifier(alias), columns)
	for i, c := range columns {
		out[i] += ` AS "` + f.param() + "." + f.part(c) + `"`
	}
	return strings.Join(out, ", ")
}

// Column is the column to filter and to order by. Of a column set it is the first; where ColumnOf has an error for it, PostgreSQL refuses the statement.
func (f *Pinned[O, N]) Column(alias string) string {
	column, err := f.ColumnOf(alias, f.pair.def.New[0])
	if err != nil {
		return qualifier(alias) + ident.Quote("no filter by "+f.pair.def.New[0]) // a column that does not exist, so that no filter is taken for another
	}
	return column
}

// ColumnOf is what to filter and to order by for one new column of a set. As long as old is read it is an expression, forward of old, which no index of old knows;
// an error where only Go converts. It is your SQL: what sqlx takes for parameters of its own in a named query (: and ?) has to be written as it wants it.
func (f *Pinned[O, N]) ColumnOf(alias, column string) (string, error) {
	return filter(f.pair.def, f.read, qualifier(alias), column)
}

// Arg converts a new value to an argument for Column.
func (f *Pinned[O, N]) Arg(v N) (any, error) { return f.pair.argument(f.read, v) }

// Value makes the value to write: old by backward as long as the phase writes old, and a fresh stamp.
func (f *Pinned[O, N]) Value(v N) (Value[O, N], error) {
	out := Value[O, N]{New: f.pair.new.encode(v)}
	if f.write.WritesOld() {
		o, err := f.pair.Backward(v)
		if err != nil {
			return out, err
		}
		out.Old = f.pair.old.encode(o)
	}
	if f.write.Stamps() {
		out.Stamp = Stamp(f.write.Stamp())
	}
	return out, nil
}

// Read applies the reader's rule to what Select brought. A difference between old and new is reported under key, if one is given, its values in the order of the pair's Key;
// without a key, a Switch in which only a share of the keys is read from new answers with old.
func (f *Pinned[O, N]) Read(v Value[O, N], key ...any) (N, error) {
	ph := f.read
	var text []string
	if name := f.pair.Name(); len(key) > 0 && f.pin.Partial(name) {
		if text = textOf(key); f.pin.ReadsNew(name, text) {
			ph = switchover.Switch
		}
	}
	value, seen, err := f.pair.resolve(ph, &v)
	different := int64(0)
	if seen.difference != "" {
		different = 1
	}
	if seen.compared {
		f.pin.Compared(f.pair.Name(), 1, different)
	}
	if seen.difference != "" && len(key) > 0 {
		f.member.Report(switchover.Difference{Migration: f.pair.Name(), Key: textOf(key), Detail: seen.difference, Phase: ph})
	}
	return value, err
}

// notParam is what sqlx does not take in a parameter's name.
var notParam = regexp.MustCompile(`[^A-Za-z0-9_]`)

// param is the name of the field: the new column, with _ for what a parameter's name cannot hold.
func (f *Pinned[O, N]) param() string { return notParam.ReplaceAllString(f.pair.def.New[0], "_") }

// part is where a Value has a column: old, new.b, stamp.
func (f *Pinned[O, N]) part(column string) string {
	d := f.pair.def
	if column == d.Stamp {
		return "stamp"
	}
	word, names := "old", d.Old
	i := slices.Index(names, column)
	if i < 0 {
		word, names = "new", d.New
		i = slices.Index(names, column)
	}
	if len(names) == 1 {
		return word
	}
	return word + "." + partName(i)
}

func (f *Pinned[O, N]) params() []string {
	columns := writeColumns(f.pair.def, f.write)
	out := make([]string, len(columns))
	for i, c := range columns {
		out[i] = ":" + f.param() + "." + f.part(c)
	}
	return out
}

func (f *Pinned[O, N]) pairUp(values []string) string {
	columns := ident.QuoteAll("", writeColumns(f.pair.def, f.write))
	for i := range columns {
		columns[i] += " = " + values[i]
	}
	return strings.Join(columns, ", ")
}

func qualifier(alias string) string {
	if alias == "" {
		return ""
	}
	return ident.Quote(alias) + "."
}
