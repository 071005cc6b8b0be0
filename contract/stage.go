package contract

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/ddl"
	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/phase"
	"github.com/tandem-go/tandem/internal/state"
	"github.com/tandem-go/tandem/switchover"
)

// Stage is one of the four things that this package does.
type Stage int

// The stages. Relax, Advance to Contract, Finish, Drop is the way forward; Restore ends the way back.
const (
	// Relax, in Switch, takes from old what would fail or mislead once it is no longer written: NOT NULL, the default, its foreign keys
	// and checks, and its unique indexes. New has twins of them all.
	Relax Stage = iota + 1
	// Finish, in Contract, makes new NOT NULL if old was, and gives it old's default.
	Finish
	// Drop, in Contract, drops old, stamp and guard, gives the twins the names of old's indexes and constraints, and sets Complete, all in one transaction.
	Drop
	// Restore gives old back what Relax took: in Switch or Migrate before the swap, or in Switch after Revert and the reverse backfill; then it also
	// takes back what Finish gave to new, and installs the repair guard again.
	Restore
)

var stageNames = map[Stage]string{Relax: "relax", Finish: "finish", Drop: "drop", Restore: "restore"}

func (s Stage) String() string {
	if name, ok := stageNames[s]; ok {
		return name
	}
	return fmt.Sprintf("Stage(%d)", int(s))
}

// Errors that callers branch on.
var (
	ErrPhase      = expand.ErrPhase                            // the stage does not belong to the present phase
	ErrStage      = errors.New("no such stage")                // not one of the four
	ErrDependents = errors.New("objects depend on the column") // DROP COLUMN without CASCADE would fail
	ErrUnreversed = errors.New("rows of Contract wait for their old value")
)

// Options of Apply. The zero value is complete.
type Options struct {
	Gates switchover.Options // for Relax and for Drop, which is the step to Complete: times, waivers, actor, and whether to wait
	Locks expand.Options     // waiting for locks
}

// Check lists what names the old column and does not move by itself. Those that block keep Drop from running; ask before the start of a migration, and again before
// Relax. Where it can be told, Dependent.Fixes has the SQL that solves one, and the phase to run it in: PostgreSQL is asked to spell it on a temporary table, in a transaction that is rolled
// back, under ACCESS SHARE on the table for that moment. Without the right to that, as on a standby, the list comes without.
func Check(ctx context.Context, db *sqlx.DB, p expand.Any) ([]expand.Dependent, error) {
	return expand.Dependents(ctx, db, p)
}

// Plan returns what Apply would do for a stage, as plain values; for Restore without the reinstalled guard's text if it is in force already. Nothing
// is left to do where the list is empty. Nothing is changed, but PostgreSQL is asked to spell definitions on an empty copy of the table in schema tandem, in a
// transaction that is rolled back: it needs a role that may create tables there, on a server that takes writes.
func Plan(ctx context.Context, db *sqlx.DB, p expand.Any, stage Stage) ([]expand.Step, error) {
	w, err := load(ctx, db, p, stage)
	if err != nil {
		return nil, err
	}
	steps, err := w.plan(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", stage, p.Name(), err)
	}
	return steps, nil
}

// Apply runs Plan. It may be run again after a crash at any point; what is done already is not done twice. For Relax it first asks switchover.Settled, for Drop the
// gates of the step to Complete, and returns their *switchover.GateError; what is dropped is planned once more after them, under a lock that keeps indexes from
// coming. Locks: ACCESS EXCLUSIVE on the table for a moment in each step that is not said to be CONCURRENTLY, waiting at
// most Options.Locks.LockTimeout a try; the error after the last try names who held the lock. Never CASCADE.
func Apply(ctx context.Context, db *sqlx.DB, p expand.Any, stage Stage, o Options) error {
	w, err := load(ctx, db, p, stage)
	if err != nil {
		return err
	}
	switch {
	case w.d.Replaces():
		err = w.dropTable(ctx, o)
	case stage == Drop:
		err = w.outrun(ctx, nil, 0, w.drop(ctx, o))
	default:
		err = w.run(ctx, o)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", stage, p.Name(), err)
	}
	return nil
}

// work is a stage of one migration.
type work struct {
	db    *sqlx.DB
	stage Stage
	d     expand.Definition
	m     *state.Migration
	table *catalog.Table
	there *catalog.Table // of new and stamp, mostly the same
}

func load(ctx context.Context, db *sqlx.DB, p expand.Any, stage Stage) (*work, error) {
	if err := p.Err(); err != nil {
		return nil, err
	}
	if _, ok := stageNames[stage]; !ok {
		return nil, fmt.Errorf("%s: %v: %w", p.Name(), stage, ErrStage)
	}
	w := &work{db: db, stage: stage, d: p.Definition()}
	if err := w.read(ctx, db); err != nil {
		return nil, fmt.Errorf("%s %s: %w", stage, p.Name(), err)
	}
	return w, nil
}

// read reads the migration and its table.
func (w *work) read(ctx context.Context, q sqlx.QueryerContext) (err error) {
	if w.m, err = state.Load(ctx, q, w.d.Name()); err != nil {
		return err
	}
	if err := w.m.Same(w.d); err != nil {
		return err
	}
	if want := belongs[w.stage]; !slices.Contains(want, w.m.Phase) {
		return fmt.Errorf("%w: it is in %s, %s belongs to %v", ErrPhase, w.m.Phase, w.stage, want)
	}
	if w.d.Replaces() {
		return nil
	}
	if w.table, err = catalog.Read(ctx, q, w.d.Table); err != nil {
		return err
	}
	w.there, err = catalog.There(ctx, q, w.table, w.d)
	return err
}

// belongs lists the phases of each stage. Restore is there in Migrate too, because the flip from Switch to Migrate does not wait for it.
var belongs = map[Stage][]phase.Phase{
	Relax: {phase.Switch}, Finish: {phase.Contract}, Drop: {phase.Contract}, Restore: {phase.Switch, phase.Migrate},
}

func (w *work) plan(ctx context.Context) ([]expand.Step, error) {
	if w.d.Replaces() {
		return w.tableSteps(ctx)
	}
	switch w.stage {
	case Relax:
		return w.relax(ctx)
	case Finish:
		return w.finish()
	case Drop:
		var s expand.Step
		err := pg.InTx(ctx, w.db, pg.Settings{LockTimeout: catalog.LockTimeout}, func(ctx context.Context, tx *sqlx.Tx) (err error) {
			s, err = w.dropStep(ctx, tx)
			return err
		})
		return []expand.Step{s}, err
	default:
		return w.restore(ctx)
	}
}

// run runs a plan; each of its steps writes what it took into the state, in its own transaction.
func (w *work) run(ctx context.Context, o Options) error {
	var waived map[string]string
	if w.stage == Relax {
		if err := w.refuseDependents(ctx, w.db); err != nil {
			return err
		}
		var err error
		if waived, err = switchover.Settled(ctx, w.db, w.m.Name, o.Gates); err != nil {
			return err
		}
		if err := w.read(ctx, w.db); err != nil { // it may have waited
			return err
		}
	}
	steps, err := w.plan(ctx)
	done := 0
	if err == nil && len(steps) > 0 {
		last := &steps[len(steps)-1]
		last.Also = w.logged(last.Also, state.Event{Migration: w.m.Name, Kind: w.stage.String(), From: w.m.Phase, To: w.m.Phase, Actor: o.Gates.Actor, Waived: waived})
		done, err = ddl.Run(ctx, w.db, w.d.Table, steps, o.Locks)
	}
	return w.outrun(ctx, steps, done, err)
}

// logged writes the event in the transaction of the last step: after it, a crash would leave a stage that is done and that nobody is on record for.
func (w *work) logged(also func(ctx context.Context, tx *sqlx.Tx) error, e state.Event) func(ctx context.Context, tx *sqlx.Tx) error {
	return func(ctx context.Context, tx *sqlx.Tx) error {
		if also != nil {
			if err := also(ctx, tx); err != nil {
				return err
			}
		}
		return state.Log(ctx, tx, e)
	}
}

// refuseDependents lists what would keep old from being dropped, before anything is taken from it.
func (w *work) refuseDependents(ctx context.Context, q sqlx.QueryerContext) error {
	list, err := catalog.Dependents(ctx, q, w.table, w.d)
	if db, ok := q.(*sqlx.DB); ok && err == nil { // under the locks of the drop nobody waits for the SQL that mends
		err = catalog.Fixes(ctx, db, w.table, w.d, list)
	}
	if err != nil {
		return err
	}
	var blocking error
	for _, d := range list {
		if d.Blocks {
			blocking = errors.Join(blocking, errors.New(d.String()))
		}
	}
	if blocking != nil {
		return fmt.Errorf("%w:\n%w", ErrDependents, blocking)
	}
	return nil
}

// drop is the step to Complete: switchover asks the gates, and the columns go in the transaction that sets the phase. What the gates would only
// wait for is refused before; what came while they waited is seen after.
func (w *work) drop(ctx context.Context, o Options) error {
	if _, err := w.plan(ctx); err != nil {
		return err
	}
	gates := o.Gates
	gates.LockTimeout, gates.Attempts = o.Locks.LockTimeout, o.Locks.Attempts
	gates.Within = func(ctx context.Context, tx *sqlx.Tx) error {
		// It conflicts with CREATE INDEX, and lets everybody read and write until the drop.
		if _, err := tx.ExecContext(ctx, w.lockTables("SHARE UPDATE EXCLUSIVE")); err != nil {
			return err
		}
		if err := w.read(ctx, tx); err != nil {
			return err
		}
		if err := w.refuseDependents(ctx, tx); err != nil {
			return err
		}
		s, err := w.dropStep(ctx, tx)
		if err != nil {
			return err
		}
		return s.Exec(ctx, tx)
	}
	return switchover.Advance(ctx, w.db, w.m.Name, switchover.Complete, gates)
}

// reversing tells whether the migration is on its way back from Contract.
func (w *work) reversing() bool { return w.m.Guard == guard.Reverse }
