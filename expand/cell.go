package expand

import (
	"database/sql"
	"database/sql/driver"
	"reflect"
)

// Cell is one side of a pair in one row as it is stored: a T or NULL, whether T has a NULL or not. Old of a row of Contract is NULL, and so is
// new of a row that was never copied. Of a column set the columns are in Set, which sqlx fills.
type Cell[T any] struct {
	null sql.Null[T]

	Set
}

// Scan implements sql.Scanner.
func (c *Cell[T]) Scan(src any) error { return c.null.Scan(src) }

// Value implements driver.Valuer.
func (c Cell[T]) Value() (driver.Value, error) {
	if !c.null.Valid {
		return nil, nil
	}
	v, err := driver.DefaultParameterConverter.ConvertValue(argument(c.null.V))
	if b, ok := v.([]byte); ok && b == nil { // NULL: lib/pq's COPY would write ''
		return nil, err
	}
	return v, err
}

// nullOf returns T's NULL: nil of a pointer or slice, or what a Scanner makes of nil.
func nullOf[T any]() (T, bool) {
	var v T
	if s, ok := any(&v).(sql.Scanner); ok {
		return v, s.Scan(nil) == nil
	}
	switch reflect.TypeFor[T]().Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
		return v, true
	}
	return v, false
}

// argument makes a value fit for the driver. database/sql knows basic kinds, pointers and Valuers; sql.Null[T] with T of
// another width than the driver's (int, int16, float32) gives its T as it is, which the driver refuses.
func argument(v any) any {
	if valuer, ok := v.(driver.Valuer); ok {
		if rv := reflect.ValueOf(v); rv.Kind() == reflect.Pointer && rv.IsNil() {
			return nil
		}
		if inner, err := valuer.Value(); err == nil && !driver.IsValue(inner) {
			return inner // converted by the driver like any argument
		}
	}
	return v
}
