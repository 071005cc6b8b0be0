package state_test

import (
	"context"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/phase"
	"github.com/tandem-go/tandem/internal/state"
)

// A member that would take the migration back, and an operator who takes a step at that moment, do not wait for each other: whoever comes second finds what the first has done.
func TestCompareBesideAStep(t *testing.T) {
	t.Parallel()
	db := installed(t)
	m, err := register(t, db, rename())
	require.NoError(t, err)
	require.NoError(t, in(t, db, func(ctx context.Context, tx *sqlx.Tx) error {
		if err := m.Move(ctx, tx, phase.Switch, guard.Repair); err != nil {
			return err
		}
		return m.SetCanary(ctx, tx, state.Canary{Share: 1, Tolerance: 0.5, Least: 100})
	}))
	require.NoError(t, state.Beat(t.Context(), db, state.Member{ID: "a"}))
	seen := state.Compared{Migration: m.Name, Epoch: m.Epoch, Compared: 10, Different: 10}
	why, err := state.Compare(t.Context(), db, "a", seen)
	require.NoError(t, err)
	require.Empty(t, why)

	done := make(chan error, 1)
	require.NoError(t, pg.InTx(t.Context(), db, pg.Settings{LockTimeout: 5 * time.Second}, func(ctx context.Context, tx *sqlx.Tx) error {
		locked, err := state.Lock(ctx, tx, m.Name)
		require.NoError(t, err)
		go func() {
			seen.Compared, seen.Different = 1000, 1000
			why, err := state.Compare(t.Context(), db, "a", seen)
			if why != "" {
				t.Error("it went back from a phase that was over: " + why)
			}
			done <- err
		}()
		require.Eventually(t, func() bool {
			var n int
			return db.Get(&n, `SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%tandem.compare%' AND datname = current_database()`) == nil && n == 1
		}, waitTime, pollTime)
		return locked.Move(ctx, tx, phase.Contract, guard.Reject)
	}))
	require.NoError(t, <-done)
	now, err := state.Load(t.Context(), db, m.Name)
	require.NoError(t, err)
	require.Equal(t, phase.Contract, now.Phase)
}

// What is judged is the last minutes, by every report: neither a long clean past nor a report without differences hides what is wrong now.
func TestCompareJudgesTheLastMinutes(t *testing.T) {
	t.Parallel()
	db := installed(t)
	m, err := register(t, db, rename())
	require.NoError(t, err)
	require.NoError(t, in(t, db, func(ctx context.Context, tx *sqlx.Tx) error {
		if err := m.Move(ctx, tx, phase.Switch, guard.Repair); err != nil {
			return err
		}
		return m.SetCanary(ctx, tx, state.Canary{Share: 1, Tolerance: 0.01, Least: 1000})
	}))
	for _, id := range []string{"a", "b"} {
		require.NoError(t, state.Beat(t.Context(), db, state.Member{ID: id}))
	}
	db.MustExec(`INSERT INTO tandem.comparison SELECT $1, $2, 'a', now() - i * interval '7 minutes', 1000000, 0 FROM generate_series(1, 100) i`, m.Name, m.Epoch)
	report := func(member string, compared, different int64) string {
		t.Helper()
		why, err := state.Compare(t.Context(), db, member, state.Compared{Migration: m.Name, Epoch: m.Epoch, Compared: compared, Different: different})
		require.NoError(t, err)
		return why
	}
	require.Empty(t, report("a", 600, 600), "too few of the last minutes")
	var kept int
	require.NoError(t, db.Get(&kept, `SELECT count(*) FROM tandem.comparison`))
	require.Less(t, kept, 12, "what is older than an hour goes")
	require.Contains(t, report("b", 500, 0), "600 of 1100 compared reads")
}

// A name that begins again does so with an epoch that no member has acknowledged in its life before.
func TestEpochsDoNotComeAgain(t *testing.T) {
	t.Parallel()
	db := installed(t)
	require.NoError(t, state.Beat(t.Context(), db, state.Member{ID: "a", Epochs: map[string]int64{rename().Name(): 7, "users.other": 9}}))
	m, err := register(t, db, rename())
	require.NoError(t, err)
	require.EqualValues(t, 8, m.Epoch)
}
