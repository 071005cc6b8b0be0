package expand

import (
	"context"
	"fmt"
	"slices"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/ddl"
	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/phase"
	"github.com/tandem-go/tandem/internal/state"
)

// Undo removes the new column, the stamp and the guard, and forgets the migration: the table is as before Apply. Only in phase
// Start, and only if old has all that it had, else ErrPhase. It takes ACCESS EXCLUSIVE for a moment.
func Undo(ctx context.Context, db *sqlx.DB, p Any, o Options) error {
	if err := p.Err(); err != nil {
		return err
	}
	d := p.Definition()
	m, err := registered(ctx, db, d)
	if err != nil || m == nil || m.Phase == phase.Complete {
		return err
	}
	if d.Replaces() {
		return undoReplace(ctx, db, d, o)
	}
	s := Step{Name: "drop new column, stamp and guard", Lock: "ACCESS EXCLUSIVE", SQL: guard.Remove(d)}
	if d.Moved() {
		s.SQL = append([]string{lockTables(d, "ACCESS EXCLUSIVE")}, s.SQL...)
	}
	alter := "ALTER TABLE " + d.There().Table.SQL() + " DROP COLUMN IF EXISTS "
	for _, name := range append(slices.Clone(d.New), d.Stamp) {
		s.SQL = append(s.SQL, alter+ident.Quote(name))
	}
	s.Also = func(ctx context.Context, tx *sqlx.Tx) error {
		m, err := state.Lock(ctx, tx, d.Name())
		if err != nil {
			return err
		}
		if len(m.Relaxed.Restore) > 0 { // first: Restore has its own phase
			return fmt.Errorf("%w: old still lacks what contract.Apply with Relax took from it; run contract.Apply with Restore first", ErrPhase)
		}
		if m.Phase != phase.Start {
			return fmt.Errorf("%w: in %s; revert to Start first", ErrPhase, m.Phase)
		}
		if err := state.Forget(ctx, tx, d.Name()); err != nil {
			return err
		}
		return state.Log(ctx, tx, state.Event{Migration: d.Name(), Kind: "undo", From: m.Phase})
	}
	if _, err := ddl.Run(ctx, db, d.Table, []Step{s}, o); err != nil {
		return fmt.Errorf("undo %s: %w", p.Name(), err)
	}
	return nil
}
