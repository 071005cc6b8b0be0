package state_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/phase"
	"github.com/tandem-go/tandem/internal/state"
)

// The database's clock was set back, so that what has happened lies in the future.
const hence = `clock_timestamp() + interval '1 hour'`

// A runner that died before is taken over once it has been silent for the lease by our clock; one that lives and beats by the new time is not.
func TestTakeAfterTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	const lease = 200 * time.Millisecond
	db := installed(t)
	for _, kind := range []string{"copy", "verify"} {
		db.MustExec(`INSERT INTO tandem.backfill (migration, kind, owner, updated_at) VALUES ('m', $1, 'other', `+hence+`)`, kind)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c, err := state.Take(ctx, db, "m", "copy", lease)
	require.NoError(t, err)
	require.EqualValues(t, 2, c.Token)
	var now time.Time
	require.NoError(t, db.Get(&now, `UPDATE tandem.backfill SET owner = '' WHERE kind = 'copy' RETURNING updated_at`))
	require.Less(t, time.Until(now), time.Minute)

	done := make(chan error)
	go func() {
		_, err := state.Take(ctx, db, "m", "verify", 10*time.Second)
		done <- err
	}()
	beat := time.NewTicker(10 * time.Millisecond)
	defer beat.Stop()
	for {
		select {
		case err := <-done:
			require.ErrorIs(t, err, state.ErrRunning)
			return
		case <-beat.C:
			db.MustExec(`UPDATE tandem.backfill SET updated_at = updated_at - interval '1 second' WHERE kind = 'verify'`)
		}
	}
}

func TestMemberOfTheFuture(t *testing.T) {
	t.Parallel()
	db := installed(t)
	db.MustExec(`INSERT INTO tandem.member (id, service, build, host, pid, seen_at) VALUES ('x', 'dead', '', '', 1, ` + hence + `)`)
	list, err := state.Members(t.Context(), db)
	require.NoError(t, err)
	require.Greater(t, list[0].Silent, time.Minute.Seconds())
	require.NoError(t, state.Beat(t.Context(), db, list[0]))
	list, err = state.Members(t.Context(), db)
	require.NoError(t, err)
	require.Less(t, list[0].Silent, time.Minute.Seconds())
}

// What a read finds in a phase counts in that phase, whatever the clock says.
func TestMismatchAfterTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	db := installed(t)
	_, err := register(t, db, rename())
	require.NoError(t, err)
	name := rename().Name()
	db.MustExec(`UPDATE tandem.migration SET phase = 'Switch', changed_at = ` + hence)
	require.NoError(t, state.Mismatches(t.Context(), db, []state.Mismatch{{Migration: name, Key: []string{"1"}, Phase: phase.Switch, Source: "read"}}))
	counts, err := state.Count(t.Context(), db, name)
	require.NoError(t, err)
	require.EqualValues(t, 1, counts.Mismatches)
}
