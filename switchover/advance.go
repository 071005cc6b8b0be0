package switchover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/ddl"
	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/state"
)

// DefaultLease is how long a silent member still counts as live. No safety depends on it: it only decides whom a gate waits for.
const DefaultLease = 30 * time.Second

// None as a duration of Options means no time at all, where zero means the default.
const None time.Duration = -1

// ErrStep is in the chain of the error when the phase cannot follow the present one, or somebody else has moved the migration meanwhile.
var ErrStep = errors.New("not the next step")

// Errors of the state schema that callers branch on.
var (
	ErrUnknown   = state.ErrUnknown   // no migration of that name
	ErrNoSchema  = state.ErrNoSchema  // the state schema is not installed
	ErrOlder     = state.ErrOlder     // the state schema is older than this library
	ErrLost      = state.ErrLost      // the migration's row is gone, its guard is not
	ErrNewer     = state.ErrNewer     // the state schema is newer than this library
	ErrOverlap   = state.ErrOverlap   // the pair shares a column with another migration that is under way
	ErrRedeclare = state.ErrRedeclare // the declaration differs from the one the migration was started with
)

// Options of a step. The zero value is complete.
type Options struct {
	Actor string            // who asks, for the event log; defaults to user@host
	Waive map[string]string // gate name: reason, for the event log; defaults to none. Gates that guard data cannot be waived.
	Quiet time.Duration     // no stray may have written for so long; defaults to 1 minute
	Soak  time.Duration     // how long Switch, and then Contract, must have lasted; defaults to 10 minutes
	Lease time.Duration     // a member silent for longer is not waited for; defaults to DefaultLease
	Wait  bool              // wait until the gates open or ctx ends, instead of refusing; defaults to false

	Canary Canary // how the reads of new begin when the step is to Switch; defaults to all keys at once

	LockTimeout time.Duration // one try for a table lock; defaults to 200 ms
	Attempts    int           // tries for it, with full jitter between them; defaults to 30

	// Within runs in the transaction that sets the phase, before it is set and behind the lock of the migration's row. Package contract drops the columns in it.
	Within func(ctx context.Context, tx *sqlx.Tx) error
}

// gatePoll is how often Wait asks again.
const gatePoll = 500 * time.Millisecond

func (o Options) withDefaults() (Options, ddl.Options, error) {
	for _, d := range []struct {
		field    *time.Duration
		fallback time.Duration
	}{{&o.Quiet, time.Minute}, {&o.Soak, 10 * time.Minute}, {&o.Lease, DefaultLease}} {
		switch {
		case *d.field == 0:
			*d.field = d.fallback
		case *d.field == None:
			*d.field = 0
		case *d.field < 0:
			return o, ddl.Options{}, fmt.Errorf("options: a negative duration %s", *d.field)
		}
	}
	for gate, reason := range o.Waive {
		if !slices.Contains(gateNames, gate) {
			return o, ddl.Options{}, fmt.Errorf("options: there is no gate %q to waive; there are %s", gate, strings.Join(gateNames, ", "))
		}
		if reason == "" {
			return o, ddl.Options{}, fmt.Errorf("options: gate %q is waived without a reason", gate)
		}
	}
	var err error
	if o.Canary, err = o.Canary.withDefaults(); err != nil {
		return o, ddl.Options{}, fmt.Errorf("options: %w", err)
	}
	locks, err := ddl.Options{LockTimeout: o.LockTimeout, Attempts: o.Attempts}.WithDefaults()
	return o, locks, err
}

// Advance moves a migration to the next phase. It refuses with a *GateError that lists everything missing, with ErrStep when to is
// not the next phase, and with ErrUnknown. Locks: none on the application's tables, except for Contract (the swap), which takes
// SHARE UPDATE EXCLUSIVE and then, for a moment, SHARE ROW EXCLUSIVE: it waits for writers, at most LockTimeout a try, and blocks no
// reader; and for Complete, see contract.Apply.
func Advance(ctx context.Context, db *sqlx.DB, migration string, to Phase, o Options) error {
	if !to.Valid() {
		return fmt.Errorf("advance %s: %v: %w", migration, to, ErrStep)
	}
	o, locks, err := o.withDefaults()
	if err != nil {
		return fmt.Errorf("advance %s: %w", migration, err)
	}
	m, waived, err := waitFor(ctx, db, migration, to, o, gatesOf[to])
	if err != nil {
		return fmt.Errorf("advance %s: %w", migration, err)
	}
	if to == Complete && o.Within == nil {
		return fmt.Errorf("advance %s: to Complete only with the drop of old: run contract.Apply with Drop: %w", migration, ErrStep)
	}
	o.Waive = waived
	if err := move(ctx, db, m, to, "advance", o, locks); err != nil {
		return fmt.Errorf("advance %s from %s to %s: %w", migration, m.Phase, to, err)
	}
	return nil
}

// Gates lists what is missing for the next phase, without moving. It reads the whole table for Complete.
func Gates(ctx context.Context, db *sqlx.DB, migration string, to Phase, o Options) ([]Gate, error) {
	o, _, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	o.Wait = false
	_, _, err = waitFor(ctx, db, migration, to, o, gatesOf[to])
	var refused *GateError
	if errors.As(err, &refused) {
		return refused.Gates, nil
	}
	return nil, err
}

// Settled asks, in Switch, what contract.Apply with Relax must know before it takes anything from old: that every live member has acknowledged the phase, and that
// nobody has written around the wrappers for the quiet time. It returns the waivers that were used, or a *GateError. With Wait it waits.
func Settled(ctx context.Context, db *sqlx.DB, migration string, o Options) (waived map[string]string, err error) {
	o, _, err = o.withDefaults()
	if err != nil {
		return nil, err
	}
	_, waived, err = waitFor(ctx, db, migration, Contract, o, settledBy)
	return waived, err
}

// waitFor returns the migration as it was when nothing was missing any more, and which gates were waived.
func waitFor(ctx context.Context, db *sqlx.DB, migration string, to Phase, o Options, questions []func(*asker, context.Context) error) (*state.Migration, map[string]string, error) {
	var refused error // joined to the error when ctx ends in the middle of a later question
	for {
		m, err := state.Load(ctx, db, migration)
		if err != nil {
			return nil, nil, errors.Join(err, refused)
		}
		if to == m.Phase {
			return nil, nil, fmt.Errorf("%s is in %s already, by somebody else or an earlier try: %w", migration, m.Phase, ErrStep)
		}
		if to != m.Phase+1 {
			return nil, nil, fmt.Errorf("%s is in %s, only %s follows it, not %s: %w", migration, m.Phase, min(m.Phase+1, Complete), to, ErrStep)
		}
		gates, waived, err := ask(ctx, db, m, to, o, questions)
		if err != nil {
			return nil, nil, errors.Join(err, refused)
		}
		if len(gates) == 0 {
			return m, waived, nil
		}
		refused = &GateError{Migration: migration, From: m.Phase, To: to, Gates: gates}
		if !o.Wait {
			return nil, nil, refused
		}
		if err := pg.Sleep(ctx, gatePoll); err != nil {
			return nil, nil, fmt.Errorf("%w: %w", err, refused)
		}
	}
}

// Revert takes a migration back to the phase before. Start, Expand and Migrate are reached by a flip of the flag. From Contract
// back to Switch it takes SHARE ROW EXCLUSIVE as the swap does, and makes every writer write both columns at once; old is whole
// again after backfill.Run with Reverse and contract.Apply with Restore. After contract.Apply with Relax the flip to Migrate is open as ever, but below it only
// after Restore, and before that no old binary should be started: it would miss old's default and NOT NULL. From Complete there is no way back, and none from
// Contract for a pair without Backward. Errors: ErrStep, ErrUnknown.
func Revert(ctx context.Context, db *sqlx.DB, migration string, to Phase, o Options) error {
	o, locks, err := o.withDefaults()
	if err != nil {
		return fmt.Errorf("revert %s: %w", migration, err)
	}
	m, err := state.Load(ctx, db, migration)
	if err != nil {
		return fmt.Errorf("revert %s: %w", migration, err)
	}
	switch {
	case !to.Valid() || to != m.Phase-1:
		return fmt.Errorf("revert %s: it is in %s, only %s precedes it, not %s: %w", migration, m.Phase, max(m.Phase-1, Start), to, ErrStep)
	case m.Phase == Complete:
		return fmt.Errorf("revert %s: old is dropped, there is no way back from Complete: %w", migration, ErrStep)
	case m.Phase == Contract && m.Definition.OneWay:
		return fmt.Errorf("revert %s: the pair has no backward conversion, so rows of Contract have no old value: there is no way back: %w", migration, ErrStep)
	case m.Guard == guard.Reverse:
		return fmt.Errorf("revert %s: rows of Contract wait for their old value: run backfill.Run with Reverse, then contract.Apply with Restore: %w", migration, ErrStep)
	}
	if to < Migrate && len(m.Relaxed.Restore) > 0 {
		return fmt.Errorf("revert %s to %s: old lacks what contract.Apply with Relax took from it: run contract.Apply with Restore first: %w", migration, to, ErrStep)
	}
	if m.Definition.Replaces() {
		err = refuseApart(ctx, db, m)
	} else {
		err = refuseUniques(ctx, db, m)
	}
	if err != nil {
		return fmt.Errorf("revert %s: %w", migration, err)
	}
	if err := move(ctx, db, m, to, "revert", o, locks); err != nil {
		return fmt.Errorf("revert %s from %s to %s: %w", migration, m.Phase, to, err)
	}
	return nil
}

// refuseUniques keeps the way back from Contract from running into unique indexes of old: its values are stale, and a writer that writes both
// columns again would meet a value there that no row has any more.
func refuseUniques(ctx context.Context, db *sqlx.DB, m *state.Migration) error {
	if m.Phase != Contract {
		return nil
	}
	t, err := catalog.Read(ctx, db, m.Definition.Table)
	if err != nil {
		return err
	}
	uniques, err := catalog.Uniques(ctx, db, t, m.Definition)
	if err != nil || len(uniques) == 0 {
		return err
	}
	return &GateError{Migration: m.Name, From: Contract, To: Switch, Gates: []Gate{{Name: "uniques",
		Missing: fmt.Sprintf("old has the unique index %s with stale values: drop it, and build it again after the way back", uniques[0].Name)}}}
}
