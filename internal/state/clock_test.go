package state_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/phase"
	"github.com/tandem-go/tandem/internal/state"
)

// The database's clock was set back, so that what has happened lies in the future.
const hence = `clock_timestamp() + interval '1 hour'`

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
