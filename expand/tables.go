package expand

import (
	"context"

	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/switchover"
)

// Tables is a replaced table in one phase: which table a statement written by hand reads, and which it writes.
//
//	err := Orders.Do(ctx, member, func(f *expand.Tables) error {
//		return sqlx.GetContext(ctx, db, &o, `SELECT o.id, o.total FROM `+f.From()+` AS o WHERE o.id = $1`, id)
//	})
type Tables struct {
	read, write ident.Table
	phase       switchover.Phase
	release     func()
}

// Pin pins the phase for one statement. Release it when the statement is done. Errors as Pair.Pin.
func (r *Replacement) Pin(ctx context.Context, member *switchover.Member) (*Tables, error) {
	if r.err != nil {
		return nil, r.err
	}
	pin := member.Pin(ctx)
	f, err := r.tables(pin)
	if err != nil {
		pin.Release()
		return nil, err
	}
	f.release = pin.Release
	return f, nil
}

// Do runs a statement written by hand, outside a transaction, in a pinned phase. If PostgreSQL refuses it because the phase has just moved on (the table has gone, or is not to be
// written any more), fn runs once more in the new one.
func (r *Replacement) Do(ctx context.Context, member *switchover.Member, fn func(f *Tables) error) error {
	if r.err != nil {
		return r.err
	}
	return statement(ctx, member, func(pin switchover.Pin) error {
		f, err := r.tables(pin)
		if err != nil {
			return err
		}
		return fn(f)
	})
}

// In returns the tables in the phase of a transaction, which ends with it and needs no Release.
func (r *Replacement) In(tx *Tx) (*Tables, error) {
	if r.err != nil {
		return nil, r.err
	}
	return r.tables(tx.pin)
}

func (r *Replacement) tables(pin switchover.Pin) (*Tables, error) {
	ph, _, err := pinnedPhase(pin, r.def.Name(), r.fingerprint, &r.def)
	if err != nil {
		return nil, err
	}
	return r.in(ph), nil
}

// in are the tables of a phase.
func (r *Replacement) in(ph switchover.Phase) *Tables {
	old, fresh := r.def.Sides(ph)
	f := &Tables{read: old, write: old, phase: ph, release: func() {}}
	if ph.ReadsNew() {
		f.read = fresh
	}
	if !ph.WritesOld() {
		f.write = fresh
	}
	return f
}

// From is the table to read, with its schema.
func (f *Tables) From() string { return f.read.SQL() }

// Into is the table to write: to insert into, to update and to delete from. Up to Switch it has the old shape. A statement that reads what it writes, such as an UPDATE with a WHERE, names it
// alone.
func (f *Tables) Into() string { return f.write.SQL() }

// Fresh tells whether the table to write is the new one.
func (f *Tables) Fresh() bool { return !f.phase.WritesOld() }

// Phase is the pinned phase.
func (f *Tables) Phase() switchover.Phase { return f.phase }

// Release lets the phase move on; of tables that Do or In has made it does nothing.
func (f *Tables) Release() { f.release() }
