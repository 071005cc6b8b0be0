package switchover_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/state"
	"github.com/tandem-go/tandem/switchover"
)

// race lets all come to the point where they would change the migration, and then lets them go. Each has asked its gates before.
func (b bed) race(acts ...func() error) []error {
	b.Helper()
	held := b.db.MustBegin()
	held.MustExec(`SELECT FROM tandem.migration FOR UPDATE`)
	errs := make([]error, len(acts))
	var all sync.WaitGroup
	for i, act := range acts {
		all.Go(func() { errs[i] = act() })
	}
	b.soon(func() bool {
		var n int
		require.NoError(b, b.db.Get(&n, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`))
		return n == len(acts)
	}, "all wait for the row, or for the table behind one who does")
	require.NoError(b, held.Rollback())
	all.Wait()
	return errs
}

// Operators who go different ways at once, at every phase and through the swap: one gets through, the others are told who was first, and phase and guard agree.
func TestOperatorsGoDifferentWays(t *testing.T) {
	t.Parallel()
	for _, from := range []switchover.Phase{switchover.Expand, switchover.Migrate, switchover.Switch, switchover.Contract} {
		t.Run(from.String(), func(t *testing.T) {
			t.Parallel()
			b := newBed(t, from)
			o := open
			o.LockTimeout = time.Minute
			forth := func() error { return b.advance(from+1, o) }
			back := func() error { return switchover.Revert(t.Context(), b.db, name, from-1, o) }
			acts := []func() error{forth, back, forth, back, back}
			if from == switchover.Contract {
				acts = []func() error{back, back, back}
			}
			before := b.migration()
			errs := b.race(acts...)
			after := b.migration()
			require.Equal(t, before.Epoch+1, after.Epoch, "one step")
			won := 0
			for _, err := range errs {
				if err == nil {
					won++
					continue
				}
				require.ErrorIs(t, err, switchover.ErrStep)
				require.ErrorContains(t, err, "somebody else has moved it to "+after.Phase.String()+" meanwhile")
			}
			require.Equal(t, 1, won)
			require.NotEqual(t, from, after.Phase)
			want := map[switchover.Phase]guard.Mode{switchover.Contract: guard.Reject}[after.Phase]
			switch {
			case from == switchover.Contract:
				want = guard.Reverse
			case want == "":
				want = guard.Repair
			}
			require.Equal(t, want, after.Guard)
			table, err := catalog.Read(t.Context(), b.db, after.Definition.Table)
			require.NoError(t, err)
			missing, err := catalog.Unguarded(t.Context(), b.db, table, after.Definition, after.Guard)
			require.NoError(t, err)
			require.Empty(t, missing)
			events, err := state.Events(t.Context(), b.db, name)
			require.NoError(t, err)
			require.Len(t, events, 1)
		})
	}
}
