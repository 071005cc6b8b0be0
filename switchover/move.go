package switchover

import (
	"context"
	"fmt"
	"strings"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/ddl"
	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/pair"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/state"
)

// move sets the phase, in one transaction with what belongs to it.
func move(ctx context.Context, db *sqlx.DB, was *state.Migration, to Phase, kind string, o Options, locks ddl.Options) error {
	err := ddl.Try(ctx, db, was.Definition.Table, locks, func(ctx context.Context) error {
		return pg.InTx(ctx, db, pg.Settings{LockTimeout: locks.LockTimeout}, func(ctx context.Context, tx *sqlx.Tx) error {
			set := func(m *state.Migration, mode guard.Mode) error {
				if err := m.Move(ctx, tx, to, mode); err != nil {
					return err
				}
				return note(ctx, tx, m, kind, was.Phase, o)
			}
			if (to == Contract || was.Phase == Contract && to == Switch) && was.Definition.Replaces() {
				return swapTables(ctx, tx, was, to, o, set)
			}
			if to == Contract || was.Phase == Contract && to == Switch {
				return swap(ctx, tx, was, to, o, set)
			}
			m, err := lockAsItWas(ctx, tx, was, o)
			if err != nil {
				return err
			}
			if to == Complete && !was.Definition.Replaces() {
				err = refuseRecalled(ctx, tx, m) // what Within has dropped comes back if it does
			}
			if err != nil {
				return err
			}
			if to == Complete {
				return set(m, guard.None)
			}
			return set(m, was.Guard)
		})
	})
	if was.Definition.Moved() {
		err = pg.NameBlockers(ctx, db, was.Definition.To, err)
	}
	return err
}

// lock is the statement that locks the tables of a pair, one after the other.
func lock(d pair.Definition, mode string) string {
	var names []string
	for _, t := range d.Tables() {
		names = append(names, t.SQL())
	}
	return "LOCK TABLE " + strings.Join(names, ", ") + " IN " + mode + " MODE"
}

// note logs the step. One to Switch begins with the canary that was asked for, but for the way back from Contract; no other leaves a share behind.
func note(ctx context.Context, tx *sqlx.Tx, m *state.Migration, kind string, from Phase, o Options) error {
	e := state.Event{Migration: m.Name, Kind: kind, From: from, To: m.Phase, Actor: o.Actor, Waived: o.Waive}
	c := state.Canary{Share: 1, Tolerance: defaultTolerance, Least: defaultLeast}
	if from < m.Phase && m.Phase == Switch {
		c = state.Canary(o.Canary)
		e.Detail = o.Canary.String()
	}
	if err := m.SetCanary(ctx, tx, c); err != nil {
		return err
	}
	return state.Log(ctx, tx, e)
}

// lockAsItWas locks the row, which must be as it was when the gates were asked, and runs what the caller wants done within the step.
func lockAsItWas(ctx context.Context, tx *sqlx.Tx, was *state.Migration, o Options) (*state.Migration, error) {
	m, err := state.Lock(ctx, tx, was.Name)
	if err != nil {
		return nil, err
	}
	if m.Epoch != was.Epoch || m.Guard != was.Guard {
		return nil, fmt.Errorf("somebody else has moved it to %s meanwhile: %w", m.Phase, ErrStep)
	}
	if o.Within != nil {
		err = o.Within(ctx, tx)
	}
	return m, err
}

// swap exchanges the guard between Switch and Contract, and sets the phase. Writers stand still from its second lock to the commit, and wait for each message of this
// program meanwhile: so all that needs no more than a table at rest comes before, under a lock that holds up neither writers nor readers.
func swap(ctx context.Context, tx *sqlx.Tx, was *state.Migration, to Phase, o Options, set func(*state.Migration, guard.Mode) error) error {
	mode := map[Phase]guard.Mode{Contract: guard.Reject, Switch: guard.Reverse}[to]
	// It keeps columns, triggers and constraints as they are; and a VACUUM or CREATE INDEX CONCURRENTLY is waited for here, not with the writers.
	if _, err := tx.ExecContext(ctx, lock(was.Definition, "SHARE UPDATE EXCLUSIVE")); err != nil {
		return err
	}
	m, err := lockAsItWas(ctx, tx, was, o)
	if err != nil {
		return err
	}
	t, err := catalog.Read(ctx, tx, was.Definition.Table)
	if err != nil {
		return err
	}
	exchange := strings.Join(guard.Install(t.Spec(m.Definition), mode), ";\n") // one message
	if err := set(m, mode); err != nil {
		return err
	}
	// It conflicts with the ROW EXCLUSIVE lock that a writer holds to its commit: each writing transaction is wholly before or wholly after the swap.
	if _, err := tx.ExecContext(ctx, lock(was.Definition, "SHARE ROW EXCLUSIVE")); err != nil {
		return err
	}
	if mode == guard.Reject {
		if err := refuseDirty(ctx, tx, was); err != nil {
			return err
		}
		if err := m.Swapped(ctx, tx); err != nil {
			return err
		}
	}
	_, err = tx.ExecContext(ctx, exchange)
	return err
}

// refuseDirty asks once more, now that no stray can come.
func refuseDirty(ctx context.Context, tx *sqlx.Tx, was *state.Migration) error {
	rows, err := state.Unconverted(ctx, tx, was.Name)
	if err != nil || rows == 0 {
		return err
	}
	return &GateError{Migration: was.Name, From: was.Phase, To: Contract, Gates: []Gate{{Name: "dirty",
		Missing: fmt.Sprintf("%d rows of strays came while the swap waited for its lock: run backfill.Sweep", rows)}}}
}
