package expand

import (
	"database/sql"
	"fmt"
	"reflect"
	"strings"

	"github.com/tandem-go/tandem/internal/ident"
)

// columns says how a T is stored on one side of a pair: in one column as it is, or as a column set, a struct whose db tags name the columns.
type columns[T any] struct {
	names []string
	index [][]int // of a set: the field of each column; nil: one column
}

// newColumns finds the fields of a set. Each column needs one, and each field is a column, or its value would be lost.
func newColumns[T any](names []string) (columns[T], error) {
	c := columns[T]{names: names}
	if len(names) == 1 {
		return c, nil
	}
	t := reflect.TypeFor[T]()
	switch {
	case len(names) > maxColumns:
		return c, fmt.Errorf("%d columns, at most %d", len(names), maxColumns)
	case t.Kind() != reflect.Struct:
		return c, fmt.Errorf("columns %s need a struct with a field for each, not %v", ident.List("", names), t)
	}
	fields := map[string][]int{}
	for _, info := range mapper.TypeMap(t).Index {
		if !info.Embedded && info.Path != "" && !strings.Contains(info.Path, ".") {
			fields[info.Path] = info.Index
		}
	}
	for _, name := range names {
		index, ok := fields[name]
		if !ok {
			return c, fmt.Errorf("%v has no field for column %s: give it one with the column as db tag", t, ident.Quote(name))
		}
		c.index = append(c.index, index)
	}
	if len(fields) > len(names) {
		return c, fmt.Errorf("%v has %d fields for the columns %s: each field must be one of them", t, len(fields), ident.List("", names))
	}
	return c, nil
}

// empty is a cell to scan into.
func (c columns[T]) empty() *Cell[T] {
	if c.index == nil {
		return &Cell[T]{}
	}
	return &Cell[T]{Set: &Set{}}
}

// destinations are what a cell of empty is scanned into, one for each column.
func (c columns[T]) destinations(to []any, cell *Cell[T]) []any {
	if c.index == nil {
		return append(to, cell)
	}
	for i := range c.index {
		to = append(to, cell.Set.part(i))
	}
	return to
}

// decode turns what was scanned into a T. A NULL becomes the NULL of its Go type if that has one, else ErrNull.
func (c columns[T]) decode(cell Cell[T]) (v T, err error) {
	switch {
	case c.index == nil && cell.null.Valid:
		return cell.null.V, nil
	case c.index == nil:
		null, ok := nullOf[T]()
		if !ok {
			err = fmt.Errorf("column %s is %w", ident.Quote(c.names[0]), ErrNull)
		}
		return null, err
	case cell.Set == nil:
		return v, fmt.Errorf("columns %s: nothing was read", ident.List("", c.names))
	}
	to := reflect.ValueOf(&v).Elem()
	for i, index := range c.index {
		if err := assign(fieldAt(to, index), cell.Set.part(i).src); err != nil {
			return v, fmt.Errorf("column %s: %w", ident.Quote(c.names[i]), err)
		}
	}
	return v, nil
}

// encode makes a cell to be written.
func (c columns[T]) encode(v T) Cell[T] {
	if c.index == nil {
		return Cell[T]{null: sql.Null[T]{V: v, Valid: true}} // T's own NULL becomes NULL when the driver is given it
	}
	cell := Cell[T]{Set: &Set{}}
	from := reflect.ValueOf(&v).Elem()
	for i, index := range c.index {
		cell.Set.part(i).src = fieldAt(from, index).Interface()
	}
	return cell
}

// arguments appends what a statement is given for the columns.
func (c columns[T]) arguments(args []any, v T) []any {
	if c.index == nil {
		return append(args, argument(v))
	}
	from := reflect.ValueOf(&v).Elem()
	for _, index := range c.index {
		args = append(args, argument(fieldAt(from, index).Interface()))
	}
	return args
}

// cells are the columns of a cell one by one.
func (c columns[T]) cells(args []any, cell Cell[T]) []any {
	if c.index == nil {
		return append(args, cell)
	}
	if cell.Set == nil { // never filled: all NULL
		cell.Set = &Set{}
	}
	for i := range c.index {
		args = append(args, *cell.Set.part(i))
	}
	return args
}

// shown is a cell for a message.
func (c columns[T]) shown(cell Cell[T]) any {
	if c.index == nil {
		return shown(cell.null.V)
	}
	out := make([]string, len(c.index))
	for i := range c.index {
		out[i] = fmt.Sprintf("%s=%v", c.names[i], cell.Set.part(i).shown())
	}
	return strings.Join(out, " ")
}
