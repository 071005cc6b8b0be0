package expand

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/ddl"
	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pair"
	"github.com/tandem-go/tandem/internal/phase"
	"github.com/tandem-go/tandem/internal/state"
)

// Step is one transaction of a schema change, a plain value: print it, test it, run it.
type Step = ddl.Step

// Options bound the waiting for locks.
type Options = ddl.Options

// Dependent is something in the database that names the old column and will not move to the new one by itself.
type Dependent = catalog.Dependent

// Fix is a piece of SQL that solves a dependent, and the phase to run it in.
type Fix = catalog.Fix

// Errors of Plan and Apply that callers branch on.
var (
	ErrNoTable  = catalog.ErrNoTable  // the table is not there
	ErrNoColumn = catalog.ErrNoColumn // a column is not there
	ErrKey      = catalog.ErrKey      // no primary key, or another than the pair's
	ErrRefused  = catalog.ErrRefused  // a kind of table or column that no migration works on
	ErrMapping  = catalog.ErrMapping  // the columns of a table cannot be made of those of the one that it replaces
	ErrType     = errors.New("the new column exists and is not what the pair needs")
	ErrPhase    = errors.New("not in this phase")

	// ErrConversion: a conversion depends on more than the row's value, its forms in Go and in SQL disagree, or its way back does not lead back.
	ErrConversion = errors.New("the conversion cannot be relied on")
)

// Plan returns what Apply would do: one transaction that adds the new and the stamp column and the guard, or nothing when they are there or the migration
// is complete. It leaves nothing behind, but needs a connection that may write: to learn how PostgreSQL spells Spec.Type it makes a temporary
// table and rolls back. Of a pair without Backward Step.Why says what that closes off, of a column set which indexes and
// constraints of old have no twins by themselves. A new column that is there already must be empty, for which it reads the table once.
//
// Before a migration begins it tries the conversions on some 1,000 of the table's rows, at most 128 pages and what an index on old finds of NULLs and ends: in Go, in SQL,
// there and back. Step.Why says how many of them do not convert, are NULL where the Go type has none, or come back as another old value.
//
// Errors: ErrNoTable, ErrNoColumn, ErrKey, ErrRefused, ErrType, ErrRedeclare, ErrOverlap, ErrConversion, or a conversion that PostgreSQL cannot parse.
func Plan(ctx context.Context, db *sqlx.DB, p Any) ([]Step, error) {
	if err := p.Err(); err != nil {
		return nil, err
	}
	if p.Definition().Replaces() {
		return planReplace(ctx, db, p.Definition())
	}
	steps, err := plan(ctx, db, p)
	if err != nil {
		return nil, fmt.Errorf("plan %s: %w", p.Name(), err)
	}
	if len(steps) > 0 {
		standing, err := alone(ctx, db, p.Definition())
		if err != nil {
			return nil, fmt.Errorf("plan %s: %w", p.Name(), err)
		}
		for _, says := range []string{closedOff(p), standing} {
			if says != "" {
				steps[0].Why += "; " + says
			}
		}
	}
	return steps, nil
}

// Apply installs the state schema and runs Plan. It may be run again at any time, by any number of processes, also after a crash. The
// transaction takes ACCESS EXCLUSIVE on the table for a moment, waiting at most Options.LockTimeout a try; the error after the last
// try names who held the lock. The way back is Undo.
//
// A migration whose row was taken away by hand is registered again: in Contract, or on the way back from it, if its guard is that of these phases, else in
// Start, which is right as long as the repairing guard is there. ErrLost (of package switchover) where the rows are of Contract and no guard is left.
func Apply(ctx context.Context, db *sqlx.DB, p Any, o Options) error {
	if err := p.Err(); err != nil {
		return err
	}
	if err := state.Upgrade(ctx, db); err != nil { // Plan reads it
		return fmt.Errorf("apply %s: %w", p.Name(), err)
	}
	steps, err := Plan(ctx, db, p)
	if err != nil {
		return err
	}
	if err := state.Install(ctx, db); err != nil {
		return fmt.Errorf("apply %s: %w", p.Name(), err)
	}
	if _, err := ddl.Run(ctx, db, p.Definition().Table, steps, o); err != nil {
		return fmt.Errorf("apply %s: %w", p.Name(), err)
	}
	return nil
}

// Dependents lists what names the old column and does not move by itself: views, policies, foreign keys that point at it, function bodies and so on.
// Ask before the start: those that block would keep the old column from being dropped at the end. Their Fixes say what to do about it: PostgreSQL spells them on a temporary table, which is
// rolled back, under ACCESS SHARE on the table for that moment; on a standby, or without the right to temporary tables, there are none.
func Dependents(ctx context.Context, db *sqlx.DB, p Any) ([]Dependent, error) {
	if err := p.Err(); err != nil {
		return nil, err
	}
	if p.Definition().Replaces() {
		return dependentsOfTable(ctx, db, p.Definition())
	}
	t, err := catalog.Read(ctx, db, p.Definition().Table)
	if err != nil {
		return nil, err
	}
	list, err := catalog.Dependents(ctx, db, t, p.Definition())
	if err != nil {
		return nil, err
	}
	return list, catalog.Fixes(ctx, db, t, p.Definition(), list)
}

func plan(ctx context.Context, db *sqlx.DB, p Any) ([]Step, error) {
	d := p.Definition()
	t, err := catalog.Read(ctx, db, d.Table)
	if err != nil {
		return nil, err
	}
	to, err := catalog.There(ctx, db, t, d)
	if err != nil {
		return nil, err
	}
	m, err := registered(ctx, db, d)
	if err != nil {
		return nil, err
	}
	if m == nil {
		if err := refuseOverlap(ctx, db, d); err != nil {
			return nil, err
		}
	}
	if m != nil && m.Phase == phase.Complete {
		if m.Same(d) == nil && over(t, to, d) {
			return nil, nil
		}
		m = nil // its name begins again
	}
	if m != nil && (m.Phase > phase.Switch || m.Guard == guard.Reverse) {
		return nil, nil // the guard is another one now, and the columns are contract's
	}
	if m == nil {
		if steps, err := recovery(ctx, db, t, d); err != nil || steps != nil {
			return steps, err
		}
	}
	if err := t.Fits(d); err != nil {
		return nil, err
	}
	if err := t.FitsThere(ctx, db, to, d); err != nil {
		return nil, err
	}
	there := t.Typed(d)
	if err := checkExisting(ctx, db, to, there); err != nil {
		return nil, err
	}
	if m == nil {
		if err := errors.Join(refuseFilled(ctx, db, to, there), refuseContracted(ctx, db, to, there)); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(checkForward(ctx, db, d), checkBackward(ctx, db, t, d), refuseDomain(ctx, db, to, there)); err != nil {
		return nil, err
	}
	says := ""
	if m == nil { // once it runs, nothing may keep a lost guard from coming back
		if err := checkPure(ctx, db, t, d.Apart()); err != nil {
			return nil, err
		}
		if says, err = checkSample(ctx, db, t, p); err != nil {
			return nil, err
		}
	}
	steps, err := planStep(ctx, db, t, to, d, m)
	if says != "" && len(steps) > 0 {
		steps[0].Why += "; " + says
	}
	return steps, err
}

// planStep is the one transaction of Apply on a table that has passed all checks; none where everything is there.
func planStep(ctx context.Context, db *sqlx.DB, t, to *catalog.Table, d pair.Definition, m *state.Migration) ([]Step, error) {
	s := columnsStep(to, t.Typed(d))
	if len(s.SQL) > 0 && !d.Moved() { // a role with rights on single columns can write the new ones from the first moment
		grants, err := catalog.Grants(ctx, db, t, d.Old, append(slices.Clone(d.New), d.Stamp))
		if err != nil {
			return nil, err
		}
		s.SQL = append(s.SQL, grants...)
	}
	unguarded, err := catalog.Unguarded(ctx, db, t, d, guard.Repair)
	if err != nil {
		return nil, err
	}
	if m != nil && m.Guard != guard.None && len(s.SQL) == 0 && unguarded == "" {
		return nil, nil
	}
	if d.Moved() {
		s = lockBoth(s, d)
	} else if len(s.SQL) == 0 { // two at once would trip over each other in the catalog
		s.SQL = []string{"LOCK TABLE " + d.Table.SQL() + " IN SHARE ROW EXCLUSIVE MODE"}
		s.Lock = "SHARE ROW EXCLUSIVE"
	}
	s.SQL = append(s.SQL, guard.Install(t.Spec(d), guard.Repair)...)
	detail := "columns and guard"
	switch {
	case m != nil && m.Guard != guard.None:
		detail = "guard installed again"
	case m == nil && unguarded == "":
		detail = lostText
	}
	s.Also = func(ctx context.Context, tx *sqlx.Tx) error { return register(ctx, tx, d, detail) }
	return []Step{s}, nil
}

// registered reads the migration, nil when there is none. Before the first Apply there is no state schema.
func registered(ctx context.Context, db *sqlx.DB, d pair.Definition) (*state.Migration, error) {
	m, err := state.Load(ctx, db, d.Name())
	if errors.Is(err, state.ErrUnknown) || errors.Is(err, state.ErrNoSchema) {
		return nil, nil //nolint:nilnil // nothing is registered, which is no error
	}
	if err != nil {
		return nil, err
	}
	if m.Phase == phase.Complete { // another declaration may begin again with its name
		return m, nil
	}
	return m, m.Same(d)
}

// over tells whether the table is as a migration leaves it.
func over(t, to *catalog.Table, d pair.Definition) bool {
	here := func(name string) bool { return t.Column(name) != nil }
	missing := func(name string) bool { return to.Column(name) == nil }
	return !slices.ContainsFunc(d.Old, here) && !slices.ContainsFunc(d.New, missing)
}

// columnsStep adds what is missing. New has no default, so PostgreSQL only changes the catalog.
func columnsStep(t *catalog.Table, d pair.Definition) Step {
	s := Step{Name: "add columns and guard", Lock: "ACCESS EXCLUSIVE",
		Why: "metadata only; in one transaction, so that no write of the new column goes unguarded"}
	alter := "ALTER TABLE " + d.Table.SQL() + " ADD COLUMN IF NOT EXISTS "
	for i, name := range d.New {
		if t.Column(name) == nil {
			s.SQL = append(s.SQL, alter+ident.Quote(name)+" "+newTypeSQL(t, d, i))
		}
	}
	if t.Column(d.Stamp) == nil {
		s.SQL = append(s.SQL, alter+ident.Quote(d.Stamp)+" "+catalog.StampType)
	}
	return s
}

// register notes the migration and its guard. A guard that had been lost in the middle may have missed writes: what was verified no longer counts.
func register(ctx context.Context, tx *sqlx.Tx, d pair.Definition, detail string) error {
	m, err := state.Register(ctx, tx, d)
	if err != nil {
		return err
	}
	if m.Phase > phase.Switch {
		return fmt.Errorf("%w: the migration has reached %s meanwhile", ErrPhase, m.Phase)
	}
	if m.Guard != guard.None {
		if err := state.Unverify(ctx, tx, d.Name()); err != nil {
			return err
		}
	}
	if err := m.SetGuard(ctx, tx, guard.Repair); err != nil {
		return err
	}
	return state.Log(ctx, tx, state.Event{Migration: d.Name(), Kind: "apply", From: m.Phase, To: m.Phase, Detail: detail})
}
