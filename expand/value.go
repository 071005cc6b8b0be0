package expand

import (
	"database/sql/driver"
	"fmt"
	"reflect"

	"github.com/tandem-go/tandem/switchover"
)

// Value is the pair of one row as it is stored, for SQL written by hand: a field
//
//	FullName expand.Value[string, string] `db:"full_name"`
//
// is scanned by sqlx from the columns that Pinned.Select names, and written by the parameters that Pinned.Params names. Make one with
// Pinned.Value, read one with Pinned.Read. The field of a column set is named after the first new column.
type Value[O, N any] struct {
	Old   Cell[O] `db:"old"`
	New   Cell[N] `db:"new"`
	Stamp Stamp   `db:"stamp"`
}

// Stamp is the stamp of a row; its zero value is NULL, as every stamp that a phase writes is greater.
type Stamp int64

// Scan implements sql.Scanner.
func (s *Stamp) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*s = 0
	case int64:
		*s = Stamp(v)
	default:
		return fmt.Errorf("stamp: cannot scan %T", src)
	}
	return nil
}

// Value implements driver.Valuer.
func (s Stamp) Value() (driver.Value, error) {
	if s == 0 {
		return nil, nil
	}
	return int64(s), nil
}

// seen is what a read noticed besides the value.
type seen struct {
	compared   bool   // both columns count, and the phase compares them
	difference string // empty where they agree
}

// resolve is the reader's rule.
func (p *Pair[O, N]) resolve(ph switchover.Phase, v *Value[O, N]) (value N, s seen, err error) {
	contracted := v.Stamp >= Stamp(switchover.Contract.Floor())
	switch {
	case ph == switchover.Complete || ph != switchover.Start && contracted:
		value, err = p.newOf(v)
		return value, s, err
	case ph == switchover.Start || v.Stamp == 0:
		value, err = p.forwardCell(v.Old)
		return value, s, err
	case ph == switchover.Contract: // a row of before the swap: both are right
		value, err = p.newOf(v)
		return value, s, err
	case !ph.Compares():
		value, err = p.forwardCell(v.Old)
		return value, s, err
	}
	forward, ferr := p.forwardCell(v.Old)
	current, cerr := p.newOf(v)
	s.compared = true
	if ferr != nil || cerr != nil || !p.equal(forward, current) {
		s.difference = fmt.Sprintf("forward of old %v, new %v", p.old.shown(v.Old), p.new.shown(v.New))
	}
	if ph.ReadsNew() {
		return current, s, cerr
	}
	return forward, s, ferr
}

// shown is a value for a message: what a pointer points at.
func shown(v any) any {
	r := reflect.ValueOf(v)
	switch {
	case r.Kind() != reflect.Pointer:
		return v
	case r.IsNil():
		return "NULL"
	}
	return r.Elem().Interface()
}

func (p *Pair[O, N]) newOf(v *Value[O, N]) (N, error) {
	n, err := p.new.decode(v.New)
	if err != nil {
		return n, fmt.Errorf("%s: %w", p.Name(), err)
	}
	return n, nil
}
