package expand

import (
	"database/sql"
	"fmt"
	"reflect"
	"slices"
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
	fields, err := fieldsOf(t)
	if err != nil {
		return c, err
	}
	for _, name := range names {
		f := fieldOf(fields, name)
		if f == nil {
			return c, fmt.Errorf("%v has no field for column %s: give it one with the column as db tag", t, ident.Quote(name))
		}
		c.index = append(c.index, f.Index)
	}
	for _, f := range reflect.VisibleFields(t) {
		isColumn := slices.ContainsFunc(c.index, func(index []int) bool { return slices.Equal(index, f.Index) })
		if !isColumn && !f.Anonymous {
			return c, fmt.Errorf("%v has a field %s that is none of the columns %s: its value would be lost", t, f.Name, ident.List("", names))
		}
	}
	return c, nil
}

// destinations are what a cell is scanned into, one for each column.
func (c columns[T]) destinations(to []any, cell *Cell[T]) []any {
	if c.index == nil {
		return append(to, cell)
	}
	for i := range c.index {
		to = append(to, cell.part(i))
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
	}
	to := reflect.ValueOf(&v).Elem()
	for i, index := range c.index {
		if err := assign(fieldAt(to, index), cell.part(i).src); err != nil {
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
	var cell Cell[T]
	from := reflect.ValueOf(&v).Elem()
	for i, index := range c.index {
		cell.part(i).src = fieldAt(from, index).Interface()
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
	for i := range c.index {
		args = append(args, *cell.part(i))
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
		out[i] = fmt.Sprintf("%s=%v", c.names[i], cell.part(i).shown())
	}
	return strings.Join(out, " ")
}
