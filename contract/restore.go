package contract

import (
	"context"
	"fmt"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/state"
	"github.com/tandem-go/tandem/switchover"
)

// restore plans the end of the way back. Each step takes itself off the list of what old still misses, in its own transaction, so a crash
// repeats nothing. The repair guard comes last: from then on old binaries may write again.
func (w *work) restore(ctx context.Context) ([]expand.Step, error) {
	if w.reversing() {
		if err := w.refuseUnreversed(ctx); err != nil {
			return nil, err
		}
	}
	steps, err := w.takenFromNew()
	if err != nil {
		return nil, err
	}
	missing := w.m.Relaxed.Restore
	noted := len(missing) // of them, before each step
	for i, s := range missing {
		if !s.Concurrently {
			s.Also = w.restored(noted, missing[i+1:])
			noted = len(missing) - i - 1
		}
		steps = append(steps, s)
	}
	last := expand.Step{Name: "note it", Lock: "none", Why: "old is whole again"}
	if w.reversing() {
		last = expand.Step{Name: "repair guard", Lock: "ACCESS EXCLUSIVE", Why: "old is whole again: strays may write it, and the triggers that only reject go",
			// the strongest lock first: a transaction that has read and then writes would deadlock with one that is made stronger on the way
			SQL: append([]string{w.lockTables("ACCESS EXCLUSIVE")}, guard.Install(w.table.Spec(w.d), guard.Repair)...)}
	}
	if len(steps) == 0 && len(last.SQL) == 0 {
		return nil, nil
	}
	last.Also = w.repaired(noted)
	return append(steps, last), nil
}

// refuseUnreversed counts what backfill.Run with Reverse has still to do. It reads the table once; the reverse guard lets no such row come.
func (w *work) refuseUnreversed(ctx context.Context) error {
	var n int64
	err := w.db.GetContext(ctx, &n, fmt.Sprintf(`SELECT count(*) FROM (SELECT FROM %s AS t WHERE %s LIMIT 1000) x`, w.d.Table.SQL(), w.d.Contracted()))
	if err != nil {
		return pg.Cause(ctx, err)
	}
	if n > 0 {
		return fmt.Errorf("%w: %d rows (counted to 1000): run backfill.Run with Reverse", ErrUnreversed, n)
	}
	return nil
}

// takenFromNew takes back what Finish gave to new: a stray's INSERT would fail on it.
func (w *work) takenFromNew() ([]expand.Step, error) {
	var out []expand.Step
	for _, name := range w.d.New {
		c := w.there.Column(name)
		if c == nil {
			return nil, fmt.Errorf("column %s: %w", ident.Quote(name), expand.ErrNoColumn)
		}
		alter := "ALTER TABLE " + w.there.SQL() + " ALTER COLUMN " + ident.Quote(name)
		s := expand.Step{Name: "new nullable and without default again", Lock: "ACCESS EXCLUSIVE", Why: "metadata only"}
		if c.NotNull {
			s.SQL = append(s.SQL, alter+" DROP NOT NULL")
		}
		if c.Default != "" {
			s.SQL = append(s.SQL, alter+" DROP DEFAULT")
		}
		if len(s.SQL) > 0 {
			out = append(out, s)
		}
	}
	return out, nil
}

// restored notes that a step is done. If other things are noted than before it, somebody else gives back the same: to write over that would leave a list of what is there already.
func (w *work) restored(noted int, left []expand.Step) func(ctx context.Context, tx *sqlx.Tx) error {
	return func(ctx context.Context, tx *sqlx.Tx) error {
		m, err := w.lockNoted(ctx, tx, noted)
		if err != nil {
			return err
		}
		r := m.Relaxed
		r.Restore = left
		return m.SetRelaxed(ctx, tx, r)
	}
}

func (w *work) repaired(noted int) func(ctx context.Context, tx *sqlx.Tx) error {
	return func(ctx context.Context, tx *sqlx.Tx) error {
		m, err := w.lockNoted(ctx, tx, noted)
		if err != nil {
			return err
		}
		if err := m.SetRelaxed(ctx, tx, state.Relaxed{}); err != nil {
			return err
		}
		if !w.reversing() {
			return nil
		}
		// The reverse pass is done with; another way back begins another.
		if _, err := tx.ExecContext(ctx, `DELETE FROM tandem.backfill WHERE migration = $1 AND kind = 'reverse'`, m.Name); err != nil {
			return err
		}
		return m.SetGuard(ctx, tx, guard.Repair)
	}
}

func (w *work) lockNoted(ctx context.Context, tx *sqlx.Tx, noted int) (*state.Migration, error) {
	m, err := w.lock(ctx, tx)
	if err == nil && len(m.Relaxed.Restore) != noted {
		err = fmt.Errorf("somebody else is giving things back to old at this moment, run it again: %w", switchover.ErrStep)
	}
	return m, err
}

// lock reads the migration again and refuses if it has moved since the plan.
func (w *work) lock(ctx context.Context, tx *sqlx.Tx) (*state.Migration, error) {
	m, err := state.Lock(ctx, tx, w.m.Name)
	if err != nil {
		return nil, err
	}
	if m.Epoch != w.m.Epoch || m.Guard != w.m.Guard {
		return nil, fmt.Errorf("somebody else has moved this migration meanwhile, run it again: %w", switchover.ErrStep)
	}
	return m, nil
}
