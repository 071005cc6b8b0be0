package switchover_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/internal/state"
	"github.com/tandem-go/tandem/switchover"
)

// Do, again, undo, do: every flip up to Switch, and back.
func TestStepsAndBack(t *testing.T) {
	t.Parallel()
	b := newBed(t, switchover.Start)
	steps := []switchover.Phase{switchover.Expand, switchover.Migrate, switchover.Switch}
	for range 2 {
		for _, to := range steps {
			epoch := b.migration().Epoch
			require.NoError(t, b.advance(to, open))
			require.ErrorIs(t, b.advance(to, open), switchover.ErrStep) // again
			m := b.migration()
			require.Equal(t, to, m.Phase)
			require.Equal(t, epoch+1, m.Epoch)
			require.Equal(t, guard.Repair, m.Guard)
			require.NoError(t, switchover.Revert(t.Context(), b.db, name, to-1, open))
			require.ErrorIs(t, switchover.Revert(t.Context(), b.db, name, to-1, open), switchover.ErrStep)
			require.Equal(t, to-1, b.migration().Phase)
			require.NoError(t, b.advance(to, open))
		}
		for _, to := range []switchover.Phase{switchover.Migrate, switchover.Expand, switchover.Start} {
			require.NoError(t, switchover.Revert(t.Context(), b.db, name, to, open))
		}
	}
	events, err := state.Events(t.Context(), b.db, name)
	require.NoError(t, err)
	require.Len(t, events, 2*(3*3+3))
	require.Equal(t, "revert", events[1].Kind)
	require.Equal(t, []switchover.Phase{switchover.Expand, switchover.Start}, []switchover.Phase{events[1].From, events[1].To})
}

func TestNotTheNextStep(t *testing.T) {
	t.Parallel()
	b := newBed(t, switchover.Migrate)
	revert := func(to switchover.Phase) error { return switchover.Revert(t.Context(), b.db, name, to, open) }
	for _, to := range []switchover.Phase{switchover.Start, switchover.Expand, switchover.Migrate, switchover.Contract, switchover.Complete, 0, 7, -1} {
		require.ErrorIs(t, b.advance(to, open), switchover.ErrStep, "advance to %v", to)
	}
	for _, to := range []switchover.Phase{switchover.Start, switchover.Migrate, switchover.Switch, switchover.Contract, switchover.Complete, 0, 7} {
		require.ErrorIs(t, revert(to), switchover.ErrStep, "revert to %v", to)
	}
	require.ErrorContains(t, b.advance(switchover.Complete, open), "users.full_name is in Migrate, only Switch follows it, not Complete")
	b.set(switchover.Start)
	require.ErrorIs(t, revert(0), switchover.ErrStep)
	b.set(switchover.Contract)
	b.db.MustExec(`UPDATE users SET full_name_stamp = 83886081 WHERE false`)
	require.ErrorContains(t, b.advance(switchover.Complete, open), "run contract.Apply with Drop")
	b.set(switchover.Complete)
	require.ErrorContains(t, revert(switchover.Contract), "no way back from Complete")
	require.ErrorIs(t, b.advance(7, open), switchover.ErrStep)
}

func TestUnknownMigrationAndNoSchema(t *testing.T) {
	t.Parallel()
	b := newBed(t, switchover.Start)
	require.ErrorIs(t, switchover.Advance(t.Context(), b.db, "users.other", switchover.Expand, open), switchover.ErrUnknown)
	require.ErrorIs(t, switchover.Revert(t.Context(), b.db, "users.other", switchover.Start, open), switchover.ErrUnknown)
	_, err := switchover.Gates(t.Context(), b.db, "users.other", switchover.Expand, open)
	require.ErrorIs(t, err, switchover.ErrUnknown)
	bare := pgtest.New(t)
	require.ErrorIs(t, switchover.Advance(t.Context(), bare, name, switchover.Expand, open), switchover.ErrNoSchema)
	_, err = switchover.Status(t.Context(), bare, open)
	require.ErrorIs(t, err, switchover.ErrNoSchema)
}

func TestOptionsThatMakeNoSense(t *testing.T) {
	t.Parallel()
	b := newBed(t, switchover.Start)
	for want, o := range map[string]switchover.Options{
		"a negative duration -2ns": {Quiet: -2},
		"a negative duration -1s":  {Soak: -time.Second},
		"a negative duration -5ns": {Lease: -5},
		"lock timeout -1ns":        {LockTimeout: -1},
		"attempts -1":              {Attempts: -1},
		"without a reason":         {Waive: map[string]string{"soak": ""}},
	} {
		require.ErrorContains(t, b.advance(switchover.Expand, o), want)
		require.ErrorContains(t, switchover.Revert(t.Context(), b.db, name, switchover.Start, o), want)
	}
	require.Equal(t, switchover.Start, b.migration().Phase)
}

// Of many operators who take the same step at once, exactly one does; the others learn that it is done.
func TestTwoOperatorsAtOnce(t *testing.T) {
	t.Parallel()
	b := newBed(t, switchover.Expand)
	held := b.db.MustBegin() // so that all have asked the gates before the first moves
	held.MustExec(`SELECT FROM tandem.migration FOR UPDATE`)
	errs := make([]error, 5)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() {
			o := open
			o.LockTimeout = time.Minute
			errs[i] = b.advance(switchover.Migrate, o)
		})
	}
	b.soon(func() bool {
		var n int
		require.NoError(t, b.db.Get(&n, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`))
		return n == len(errs)
	}, "all wait for the row")
	require.NoError(t, held.Rollback())
	all.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		require.ErrorIs(t, err, switchover.ErrStep)
		require.ErrorContains(t, err, "somebody else has moved it to Migrate meanwhile")
	}
	require.Equal(t, 1, won)
	events, err := state.Events(t.Context(), b.db, name)
	require.NoError(t, err)
	require.Len(t, events, 1)
}

// Wait asks until the gates open, or the context ends; then the error has both reasons.
func TestWait(t *testing.T) {
	t.Parallel()
	b := newBed(t, switchover.Expand)
	b.db.MustExec(memberRow)
	o := open
	o.Wait = true
	stop := errors.New("operator said stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error)
	go func() { done <- switchover.Advance(ctx, b.db, name, switchover.Migrate, o) }()
	select {
	case err := <-done:
		t.Fatalf("did not wait: %v", err)
	case <-time.After(250 * time.Millisecond): // longer than one round
	}
	cancel(stop)
	err := <-done
	require.ErrorIs(t, err, stop)
	require.Equal(t, switchover.Expand, b.migration().Phase)

	go func() { done <- switchover.Advance(t.Context(), b.db, name, switchover.Migrate, o) }()
	b.db.MustExec(allMember)
	require.NoError(t, <-done)
	require.Equal(t, switchover.Migrate, b.migration().Phase)
	ended, end := context.WithCancel(t.Context())
	end()
	require.ErrorIs(t, switchover.Advance(ended, b.db, name, switchover.Switch, o), context.Canceled)
}

// What belongs to the step is in its transaction: an error of it leaves the phase.
func TestWithin(t *testing.T) {
	t.Parallel()
	b := newBed(t, switchover.Contract)
	refuse := errors.New("not yet")
	o := open
	o.Within = func(ctx context.Context, tx *sqlx.Tx) error {
		tx.MustExecContext(ctx, `DROP TRIGGER zz_tandem_full_name_insert ON users`)
		return refuse
	}
	require.ErrorIs(t, b.advance(switchover.Complete, o), refuse)
	require.Equal(t, switchover.Contract, b.migration().Phase)
	require.Equal(t, guard.Reject, b.migration().Guard)
	var triggers int
	require.NoError(t, b.db.Get(&triggers, `SELECT count(*) FROM pg_trigger WHERE tgrelid = 'users'::regclass`))
	require.Equal(t, 3, triggers)
	refuse = nil
	require.NoError(t, b.advance(switchover.Complete, o))
	require.Equal(t, switchover.Complete, b.migration().Phase)
	require.Equal(t, guard.None, b.migration().Guard)
}

// Any other step keeps its guard, whatever else is done in its transaction.
func TestWithinOfAnotherStep(t *testing.T) {
	t.Parallel()
	b := newBed(t, switchover.Expand)
	o := open
	o.Within = func(context.Context, *sqlx.Tx) error { return nil }
	require.NoError(t, b.advance(switchover.Migrate, o))
	require.Equal(t, guard.Repair, b.migration().Guard)
}

// What Relax has taken from old must come back before old is all there is.
func TestRevertRelaxed(t *testing.T) {
	t.Parallel()
	b := newBed(t, switchover.Switch)
	b.db.MustExec(`UPDATE tandem.migration SET relaxed = '{"restore": [{"Name": "default of old"}]}'`)
	revert := func(to switchover.Phase) error { return switchover.Revert(t.Context(), b.db, name, to, open) }
	require.NoError(t, revert(switchover.Migrate))
	err := revert(switchover.Expand)
	require.ErrorIs(t, err, switchover.ErrStep)
	require.ErrorContains(t, err, "run contract.Apply with Restore first")
	b.db.MustExec(`UPDATE tandem.migration SET relaxed = '{}'`)
	require.NoError(t, revert(switchover.Expand))
}

// Before anything is taken from old: nobody late, nobody who writes around the wrappers.
func TestSettled(t *testing.T) {
	t.Parallel()
	b := newBed(t, switchover.Switch)
	settled := func(o switchover.Options) (map[string]string, error) {
		return switchover.Settled(t.Context(), b.db, name, o)
	}
	waived, err := settled(open)
	require.NoError(t, err)
	require.Empty(t, waived)
	b.db.MustExec(strayRow + `; ` + memberRow)
	o := open
	o.Quiet = time.Hour
	_, err = settled(o)
	var refused *switchover.GateError
	require.ErrorAs(t, err, &refused)
	require.Len(t, refused.Gates, 2)
	o.Waive = map[string]string{"strays": "known", "members": "it hangs", "soak": "unused"}
	waived, err = settled(o)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"strays": "known", "members": "it hangs"}, waived)
	b.set(switchover.Migrate)
	_, err = settled(o)
	require.ErrorIs(t, err, switchover.ErrStep)
}
