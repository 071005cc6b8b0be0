package expand

import (
	"database/sql/driver"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/tandem-go/tandem/internal/fragment"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/switchover"
)

// scanner fills the models of one query.
type scanner struct {
	model   *model
	pin     switchover.Pin
	readers []pairReader
	to      []any
}

// pairReader reads one pair in one phase and counts what it compares.
type pairReader struct {
	columnReader
	name                string
	phase               switchover.Phase
	partial             bool // some keys are read as in Switch
	compared, different int64
}

func newScanner(m *model, p view) *scanner {
	s := &scanner{model: m, pin: p.pin, to: make([]any, 0, m.width), readers: make([]pairReader, len(m.pairs))}
	for i, b := range m.pairs {
		ph := p.read(i)
		s.readers[i] = pairReader{columnReader: b.read(ph), name: b.name, phase: ph, partial: p.pin.Partial(b.name)}
	}
	return s
}

// count tells the member what was compared.
func (s *scanner) count() {
	for i := range s.readers {
		r := &s.readers[i]
		s.pin.Compared(r.name, r.compared, r.different)
	}
}

func address(v reflect.Value, f *field) any { return fieldAt(v, f.index).Addr().Interface() }

func (s *scanner) destinations(v reflect.Value) []any {
	s.to = s.to[:0]
	for i := range s.model.fields {
		f := &s.model.fields[i]
		if f.pair < 0 {
			s.to = append(s.to, address(v, f))
		} else {
			s.to = s.readers[f.pair].destinations(s.to)
		}
	}
	return s.to
}

func (s *scanner) finish(v reflect.Value, report func(switchover.Difference)) error {
	for i := range s.model.fields {
		f := &s.model.fields[i]
		if f.pair < 0 {
			continue
		}
		r := &s.readers[f.pair]
		ph := r.phase
		if r.partial && s.pin.ReadsNew(r.name, s.model.keyText(v)) {
			ph = switchover.Switch
		}
		b := &s.model.pairs[f.pair]
		to := b.gather(v, f)
		seen, err := r.finish(ph, to)
		if seen.compared { // also where it then fails
			r.compared++
		}
		if seen.difference != "" {
			r.different++
			report(switchover.Difference{Migration: r.name, Key: s.model.keyText(v), Detail: seen.difference, Phase: ph})
		}
		if err != nil {
			return fmt.Errorf("row %v: %w", s.model.keyText(v), err)
		}
		b.scatter(v, to)
	}
	return nil
}

func (m *model) keyText(v reflect.Value) []string {
	key := make([]any, len(m.key))
	for i, k := range m.key {
		key[i] = reflect.ValueOf(address(v, m.field(k))).Elem().Interface()
	}
	return textOf(key)
}

// textOf writes a key as text, the same for a value, a pointer to it and an sql.Null of it. The members of a fleet that begins with some of the keys should
// have one Go type for them.
func textOf(key []any) []string {
	text := make([]string, len(key))
	for i, k := range key {
		if v := reflect.ValueOf(k); v.Kind() == reflect.Pointer && !v.IsNil() {
			k = v.Elem().Interface()
		}
		if valuer, ok := k.(driver.Valuer); ok {
			if v, err := valuer.Value(); err == nil {
				k = v
			}
		}
		if b, ok := k.([]byte); ok {
			k = string(b)
		}
		text[i] = fmt.Sprint(k)
	}
	return text
}

// selectSQL is the SELECT up to and with the table.
func (m *model) selectSQL(p phases) string {
	prefix := ident.Quote(m.table.Name) + "."
	var columns []string
	for _, f := range m.fields {
		switch {
		case f.pair < 0:
			columns = append(columns, prefix+ident.Quote(f.name))
		case m.pairs[f.pair].def.Moved():
			columns = append(columns, m.storedThere(f.pair, p.read(f.pair))...)
		default:
			columns = append(columns, ident.QuoteAll(prefix, storedColumns(m.pairs[f.pair].def, p.read(f.pair)))...)
		}
	}
	return "SELECT " + strings.Join(columns, ", ") + " FROM " + m.reads(p) + m.joins(p)
}

func (m *model) whereKey(first int) string {
	terms := make([]string, len(m.key))
	for i, k := range m.key {
		terms[i] = fmt.Sprintf("%s = $%d", ident.Quote(k), first+i)
	}
	return " WHERE " + strings.Join(terms, " AND ")
}

// clause replaces {column} by what the phase reads of it.
func (m *model) clause(p phases, text string) (string, error) {
	return fragment.Expand(text, func(name string) (string, error) {
		for i, b := range m.pairs {
			if slices.Contains(b.def.New, name) {
				if b.def.Moved() && p.read(i).ReadsNew() {
					return joinedColumn(i, "new"), nil
				}
				return filter(b.def, p.read(i), ident.Quote(m.table.Name)+".", name)
			}
		}
		return "", fmt.Errorf("{%s} is not the new column of a pair of this repository; braces are for pairs only", name)
	})
}

// arguments converts what Arg made.
func (m *model) arguments(p phases, args []any) ([]any, error) {
	out := make([]any, len(args))
	for i, a := range args {
		out[i] = a
		arg, ok := a.(Argument)
		if !ok {
			continue
		}
		found := false
		for j, b := range m.pairs {
			if b.name == arg.pair.Name() {
				v, err := b.argument(p.read(j), arg.value)
				if err != nil {
					return nil, fmt.Errorf("argument %d: %w", i+1, err)
				}
				out[i], found = v, true
			}
		}
		if !found {
			return nil, fmt.Errorf("argument %d is of pair %s, which this repository does not have", i+1, arg.pair.Name())
		}
	}
	return out, nil
}
