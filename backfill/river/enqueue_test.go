package tandemriver_test

import (
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	tandemriver "github.com/tandem-go/tandem/backfill/river"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pgtest"
)

// To insert the jobs again inserts those that are not there: other slots, the other direction, another migration, and what is finished.
func TestUnique(t *testing.T) {
	t.Parallel()
	b := newBed(t, fullName)
	c := b.inserter()
	inserted := func(migration string, o tandemriver.EnqueueOptions) (slots []int) {
		t.Helper()
		results, err := tandemriver.Enqueue(b.ctx, c, migration, o)
		require.NoError(t, err)
		require.Len(t, results, max(o.Slots, 1))
		for i, r := range results {
			if !r.UniqueSkippedAsDuplicate {
				slots = append(slots, i+1)
			}
		}
		return slots
	}
	name := b.pair.Name()
	require.Equal(t, []int{1, 2}, inserted(name, tandemriver.EnqueueOptions{Slots: 2}))
	require.Empty(t, inserted(name, tandemriver.EnqueueOptions{Slots: 2}))
	require.Empty(t, inserted(name, tandemriver.EnqueueOptions{Insert: &river.InsertOpts{Queue: "backfill", Priority: 4}}), "in another queue as well")
	require.Equal(t, []int{3}, inserted(name, tandemriver.EnqueueOptions{Slots: 3}))
	require.Equal(t, []int{1}, inserted(name, tandemriver.EnqueueOptions{Reverse: true}))
	require.Equal(t, []int{1}, inserted("users.email", tandemriver.EnqueueOptions{}))
	for _, state := range []rivertype.JobState{rivertype.JobStateRunning, rivertype.JobStateScheduled, rivertype.JobStateRetryable} {
		b.exec(`UPDATE river_job SET state = $1`, state)
		require.Empty(t, inserted(name, tandemriver.EnqueueOptions{Slots: 3}), state)
	}
	for _, state := range []rivertype.JobState{rivertype.JobStateCompleted, rivertype.JobStateCancelled, rivertype.JobStateDiscarded} {
		b.exec(`UPDATE river_job SET state = $1, finalized_at = now() WHERE finalized_at IS NULL`, state)
		require.Equal(t, []int{1, 2, 3}, inserted(name, tandemriver.EnqueueOptions{Slots: 3}), state)
	}
}

// Jobs go to the queue that is asked for, also in the caller's transaction.
func TestJobsInTx(t *testing.T) {
	t.Parallel()
	b := newBed(t, fullName)
	jobs, err := tandemriver.Jobs(b.pair.Name(), tandemriver.EnqueueOptions{Slots: 2, Insert: &river.InsertOpts{Queue: "backfill", MaxAttempts: 100}})
	require.NoError(t, err)
	tx, err := b.db.BeginTx(b.ctx, nil)
	require.NoError(t, err)
	_, err = b.inserter().InsertManyTx(b.ctx, tx, jobs)
	require.NoError(t, err)
	const there = `SELECT count(*) FROM river_job WHERE queue = 'backfill' AND max_attempts = 100 AND kind = 'tandem_backfill' AND args->>'migration' = 'users.full_name'`
	require.Zero(t, b.number(there))
	require.NoError(t, tx.Commit())
	require.Equal(t, 2, b.number(there))
	results, err := b.inserter().InsertMany(b.ctx, jobs)
	require.NoError(t, err)
	require.True(t, results[0].UniqueSkippedAsDuplicate && results[1].UniqueSkippedAsDuplicate)
}

func TestEnqueueRefused(t *testing.T) {
	t.Parallel()
	for says, o := range map[string]tandemriver.EnqueueOptions{
		"enqueue users.full_name: options: -1 slots: must lie between 1 and 100":  {Slots: -1},
		"enqueue users.full_name: options: 101 slots: must lie between 1 and 100": {Slots: 101},
	} {
		_, err := tandemriver.Jobs("users.full_name", o)
		require.EqualError(t, err, says)
	}
	_, err := tandemriver.Jobs("", tandemriver.EnqueueOptions{})
	require.EqualError(t, err, "enqueue: no migration: name it as Pair.Name does")
}

func TestWorkerRefused(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	for says, list := range map[string][]tandemriver.Migration{
		"no pair":                            {{DB: db}},
		"users.full_name: no database":       {{Pair: fullName}},
		"users.full_name: it is named twice": {{DB: db, Pair: fullName}, {DB: db, Pair: odd}},
		"users.full_name: options: Reverse: EnqueueOptions say so":         {{DB: db, Pair: fullName, Run: backfill.Options{Reverse: true}}},
		"users.full_name: options: for -1ns: must be positive":             {{DB: db, Pair: fullName, Run: backfill.Options{For: -1}}},
		"users.full_name: timeout 10s: must be longer than a slice of 10s": {{DB: db, Pair: fullName, Timeout: 10 * time.Second}},
		"Forward is missing": {{DB: db, Pair: expand.Convert(expand.Spec[string, int]{Table: "users", Old: "user_name", New: "full_name"})}},
	} {
		_, err := tandemriver.NewWorker(list...)
		require.ErrorContains(t, err, "worker of backfills: ", says)
		require.ErrorContains(t, err, says)
	}
}

// A job may last as long as its migration says, and is River's to time where nobody says.
func TestWorkerTimeout(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	w, err := tandemriver.NewWorker(tandemriver.Migration{DB: db, Pair: fullName}, tandemriver.Migration{DB: db, Pair: expand.Rename[string]("users", "mail", "email"), Timeout: time.Minute})
	require.NoError(t, err)
	for migration, want := range map[string]time.Duration{"users.full_name": time.Hour + 10*time.Second, "users.email": time.Minute, "users.other": 0} {
		require.Equal(t, want, w.Timeout(&river.Job[tandemriver.Args]{Args: tandemriver.Args{Migration: migration}}), migration)
	}
}
