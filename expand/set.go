package expand

import (
	"database/sql"
	"database/sql/driver"
	"fmt"
	"reflect"
	"slices"
)

// maxColumns is how many columns a set may have: Set has a field for each.
const maxColumns = 8

// Set is a column set in a Cell: a part for each column, by the names under which sqlx finds them.
type Set struct {
	A piece `db:"a"`
	B piece `db:"b"`
	C piece `db:"c"`
	D piece `db:"d"`
	E piece `db:"e"`
	F piece `db:"f"`
	G piece `db:"g"`
	H piece `db:"h"`
}

func (s *Set) part(i int) *piece {
	return [maxColumns]*piece{&s.A, &s.B, &s.C, &s.D, &s.E, &s.F, &s.G, &s.H}[i]
}

// partName is the tag of a part.
func partName(i int) string { return string(rune('a' + i)) }

// piece is one column of a set in one row.
type piece struct{ src any }

// Scan implements sql.Scanner.
func (p *piece) Scan(src any) error {
	if b, ok := src.([]byte); ok { // the driver's buffer
		src = slices.Clone(b)
	}
	p.src = src
	return nil
}

// Value implements driver.Valuer.
func (p piece) Value() (driver.Value, error) {
	v, err := driver.DefaultParameterConverter.ConvertValue(argument(p.src))
	if b, ok := v.([]byte); ok && b == nil { // NULL: lib/pq's COPY would write ''
		return nil, err
	}
	return v, err
}

// shown is a part for a message: bytes as the text that PostgreSQL sends most types in.
func (p piece) shown() any {
	if b, ok := p.src.([]byte); ok {
		return string(b)
	}
	return shown(p.src)
}

// assign stores what the driver has read in a field, as database/sql does; its own function for that is not to be had.
func assign(to reflect.Value, src any) error {
	if src != nil && reflect.TypeOf(src) == to.Type() { // not read but made by encode, or what the driver has already
		to.Set(reflect.ValueOf(src))
		return nil
	}
	if s, ok := to.Addr().Interface().(sql.Scanner); ok {
		return s.Scan(src)
	}
	kind := to.Kind()
	switch from := reflect.ValueOf(src); {
	case src == nil:
		if !slices.Contains([]reflect.Kind{reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface}, kind) {
			return ErrNull
		}
		to.SetZero()
		return nil
	case from.Type().AssignableTo(to.Type()):
		to.Set(from)
		return nil
	case kind == reflect.Pointer:
		to.Set(reflect.New(to.Type().Elem()))
		return assign(to.Elem(), src)
	case kind == reflect.Slice && to.Type().Elem().Kind() == reflect.Uint8:
		return scanAs(src, func(b []byte) error { to.SetBytes(b); return nil })
	case kind == reflect.String:
		return scanAs(src, func(s string) error { to.SetString(s); return nil })
	case kind == reflect.Bool:
		return scanAs(src, func(b bool) error { to.SetBool(b); return nil })
	case to.CanInt():
		return scanAs(src, func(n int64) error { return fits(to.OverflowInt(n), to, n, func() { to.SetInt(n) }) })
	case to.CanUint():
		return scanAs(src, func(n uint64) error { return fits(to.OverflowUint(n), to, n, func() { to.SetUint(n) }) })
	case to.CanFloat():
		return scanAs(src, func(f float64) error { return fits(to.OverflowFloat(f), to, f, func() { to.SetFloat(f) }) })
	}
	return fmt.Errorf("cannot store %T in %v: let it implement sql.Scanner", src, to.Type())
}

// scanAs converts by database/sql's own rules.
func scanAs[B any](src any, set func(B) error) error {
	var b sql.Null[B]
	if err := b.Scan(src); err != nil {
		return err
	}
	return set(b.V)
}

func fits(overflows bool, to reflect.Value, v any, set func()) error {
	if overflows {
		return fmt.Errorf("%v does not fit into %v", v, to.Type())
	}
	set()
	return nil
}
