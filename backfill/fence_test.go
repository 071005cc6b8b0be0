package backfill_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/switchover"
)

// Bounds of waiting for something that happens within milliseconds, on a machine that has nothing else to do.
const (
	waitTime = 2 * time.Minute
	pollTime = 5 * time.Millisecond
)

func TestOptionsOutOfRange(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL(10), fullName)
	for _, o := range []backfill.Options{{Batch: 9}, {Batch: 50_001}, {Batch: -1}, {Stripes: 3}, {Stripes: 128}, {Stripes: -2}, {Workers: -1}, {Workers: 33},
		{Target: time.Microsecond}, {Target: time.Hour}, {Target: -1}, {For: -1}} {
		_, err := backfill.Run(t.Context(), b.db, b.pair, o)
		require.ErrorContains(t, err, "backfill users.full_name: options: ", "%+v", o)
	}
	_, err := backfill.Verify(t.Context(), b.db, b.pair, backfill.VerifyOptions{Batch: 5})
	require.ErrorContains(t, err, "verify users.full_name: options: batch of 5 rows")
	require.Zero(t, b.number(`SELECT count(*) FROM tandem.backfill`))
	require.Zero(t, b.number(stamped))
}

// each calls everything that works on a pair.
func (b *bed) each(p expand.Any) map[string]error {
	errs := map[string]error{}
	_, errs["run"] = backfill.Run(b.ctx, b.db, p, backfill.Options{})
	_, errs["verify"] = backfill.Verify(b.ctx, b.db, p, backfill.VerifyOptions{})
	_, errs["sweep"] = backfill.Sweep(b.ctx, b.db, p)
	return errs
}

func TestWrongPhaseAndPair(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL(10), fullName)
	for want, p := range map[error]expand.Any{
		switchover.ErrUnknown:   expand.Rename[string]("users", "user_name", "unheard"),
		switchover.ErrRedeclare: shout,
	} {
		for name, err := range b.each(p) {
			require.ErrorIs(t, err, want, name)
		}
	}
	wrong := expand.Rename[string]("users", "user_name", "user_name")
	for name, err := range b.each(wrong) {
		require.ErrorContains(t, err, wrong.Err().Error(), name)
	}
	_, err := backfill.Run(t.Context(), b.db, fullName, backfill.Options{Reverse: true})
	require.ErrorIs(t, err, backfill.ErrPhase)
	for _, to := range []switchover.Phase{switchover.Expand, switchover.Start} {
		require.NoError(t, switchover.Revert(t.Context(), b.db, fullName.Name(), to, switchover.Options{}))
		for name, err := range b.each(fullName) {
			require.ErrorIs(t, err, backfill.ErrPhase, name)
			require.ErrorContains(t, err, "in "+to.String(), name)
		}
	}
	require.Zero(t, b.number(stamped))
	require.NoError(t, expand.Undo(t.Context(), b.db, fullName, expand.Options{}))
	b.exec(`DROP SCHEMA tandem CASCADE`)
	for name, err := range b.each(fullName) {
		require.ErrorIs(t, err, switchover.ErrNoSchema, name)
	}
}
