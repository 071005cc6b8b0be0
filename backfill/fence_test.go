package backfill_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/switchover"
)

// Bounds of waiting for something that happens within milliseconds.
const (
	waitTime = 20 * time.Second
	pollTime = 5 * time.Millisecond
)

// A second runner is refused while the first lives.
func TestSecondRunner(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL(100_000), fullName)
	ctx, cancel := context.WithCancel(t.Context())
	begun, first := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		_, err := backfill.Run(ctx, b.db, b.pair, backfill.Options{Window: 100, Stripes: 8, Pause: time.Millisecond, Progress: func(backfill.Progress) {
			select {
			case begun <- struct{}{}:
			default:
			}
		}})
		first <- err
	}()
	<-begun
	res, err := backfill.Run(t.Context(), b.db, b.pair, backfill.Options{})
	cancel()
	require.ErrorIs(t, err, backfill.ErrRunning)
	require.ErrorContains(t, err, fmt.Sprintf("pid %d", os.Getpid()))
	require.Zero(t, res.Rows)
	require.ErrorIs(t, <-first, context.Canceled)
	// verify is another pass: both may run at once
	_, err = backfill.Verify(t.Context(), b.db, b.pair, backfill.VerifyOptions{})
	require.NoError(t, err)
}

// A runner that was taken for dead writes nothing more, in no kind of pass, and does not give the claim away.
func TestTakenRunner(t *testing.T) {
	t.Parallel()
	for name, p := range childPairs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, usersSQL(1000), p)
			take := func(backfill.Progress) {
				b.exec(`UPDATE tandem.backfill SET token = token + 1, owner = 'another' WHERE finished_at IS NULL`)
			}
			res, err := backfill.Run(t.Context(), b.db, p, backfill.Options{Window: 100, Stripes: 2, Progress: take})
			require.ErrorIs(t, err, backfill.ErrTaken)
			require.EqualValues(t, 50, res.Rows)
			require.Equal(t, 50, b.number(stamped))
			require.Equal(t, []string{"another"}, b.texts(`SELECT owner FROM tandem.backfill`))
			b.exec(`UPDATE tandem.backfill SET owner = ''`)
			require.EqualValues(t, 950, b.run().Rows)

			_, err = backfill.Verify(t.Context(), b.db, p, backfill.VerifyOptions{Window: 100, Progress: take})
			require.ErrorIs(t, err, backfill.ErrTaken)
			require.Zero(t, b.number(`SELECT count(finished_at) FROM tandem.backfill WHERE kind = 'verify'`))
		})
	}
}

func TestOptionsOutOfRange(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL(10), fullName)
	for _, o := range []backfill.Options{{Window: 99}, {Window: 1_000_001}, {Window: -1}, {Stripes: 3}, {Stripes: 128}, {Stripes: -2}, {Pause: -1}, {Pause: time.Hour}} {
		_, err := backfill.Run(t.Context(), b.db, b.pair, o)
		require.ErrorContains(t, err, "backfill users.full_name: options: ", "%+v", o)
	}
	_, err := backfill.Verify(t.Context(), b.db, b.pair, backfill.VerifyOptions{Window: 5})
	require.ErrorContains(t, err, "verify users.full_name: options: window of 5 rows")
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
