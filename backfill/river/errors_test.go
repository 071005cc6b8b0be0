package tandemriver_test

import (
	"testing"

	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	tandemriver "github.com/tandem-go/tandem/backfill/river"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/switchover"
)

// What nobody has mended yet cancels the job, with the reason, at the first attempt. Once it is mended the job can be inserted again.
func TestCancelled(t *testing.T) {
	t.Parallel()
	type wrong struct {
		pair    expand.Any
		options backfill.Options
		reverse bool
		make    func(b *bed)
		mend    func(b *bed) // nil: not in this test
		says    string
	}
	for name, is := range map[string]wrong{
		"phase": {pair: fullName, says: "users.full_name: not in this phase: in Expand; advance to Migrate first",
			make: func(b *bed) {
				require.NoError(b, switchover.Revert(b.ctx, b.db, b.pair.Name(), switchover.Expand, switchover.Options{}))
			},
			mend: func(b *bed) { b.advance(switchover.Migrate) }},
		"direction": {pair: fullName, reverse: true, says: "not in this phase: in Migrate with guard repair; the reverse direction needs switchover.Revert"},
		"not begun": {pair: fullName, says: "no such migration: run expand.Apply first",
			make: func(b *bed) {
				require.NoError(b, switchover.Revert(b.ctx, b.db, b.pair.Name(), switchover.Expand, switchover.Options{}))
				require.NoError(b, switchover.Revert(b.ctx, b.db, b.pair.Name(), switchover.Start, switchover.Options{}))
				require.NoError(b, expand.Undo(b.ctx, b.db, b.pair, expand.Options{}))
			}},
		"declared otherwise": {pair: fullName, says: "the pair's declaration differs",
			make: func(b *bed) { b.pair = odd }},
		"no table": {pair: fullName, says: "no such table",
			make: func(b *bed) { b.exec(`ALTER TABLE users RENAME TO people`) },
			mend: func(b *bed) { b.exec(`ALTER TABLE people RENAME TO users`) }},
		"bad rows": {pair: odd, options: backfill.Options{BadRows: 3}, says: "too many rows do not convert"},
		"cancelled": {pair: fullName, says: "cancelled by ",
			make: func(b *bed) { require.NoError(b, backfill.Cancel(b.ctx, b.db, b.pair.Name())) },
			mend: func(b *bed) { require.NoError(b, backfill.Resume(b.ctx, b.db, b.pair.Name())) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, is.pair)
			if is.make != nil {
				is.make(b)
			}
			b.client(config("one", b.worker(is.options)))
			results, err := tandemriver.Enqueue(b.ctx, b.inserter(), b.pair.Name(), tandemriver.EnqueueOptions{Reverse: is.reverse})
			require.NoError(t, err)
			job := b.is(results[0].Job, rivertype.JobStateCancelled)
			require.Equal(t, 1, job.Attempt)
			require.Len(t, job.Errors, 1)
			require.Contains(t, job.Errors[0].Error, is.says)
			if is.mend == nil {
				return
			}
			is.mend(b)
			b.is(b.enqueue(1)[0], rivertype.JobStateCompleted)
			b.copied()
		})
	}
}

// An error that may be over by itself is tried again, as River's policy has it.
func TestTriedAgain(t *testing.T) {
	t.Parallel()
	const function = `CREATE OR REPLACE FUNCTION same(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1'`
	b := newBedOn(t, function, expand.Convert(expand.Spec[string, string]{Table: "users", Old: "user_name", New: "full_name", Type: "text", ForwardSQL: `public.same({user_name})`,
		Forward: func(s string) (string, error) { return s, nil }}))
	b.exec(`ALTER FUNCTION same RENAME TO other`)
	b.client(config("one", b.worker(backfill.Options{})))
	job := b.fails(b.enqueue(1)[0])
	b.exec(function)
	job = b.is(job, rivertype.JobStateCompleted)
	require.Contains(t, job.Errors[0].Error, "backfill users.full_name: ")
	require.Contains(t, job.Errors[0].Error, "function public.same(text) does not exist")
	require.Greater(t, job.Attempt, 1)
	b.copied()
}

// A process that does not know the pair leaves the job to another one.
func TestUnknownPair(t *testing.T) {
	t.Parallel()
	b := newBed(t, fullName)
	w, err := tandemriver.NewWorker()
	require.NoError(t, err)
	old := b.client(config("old", w))
	job := b.fails(b.enqueue(1)[0])
	require.Contains(t, job.Errors[0].Error, "this process does not know the pair")
	require.NoError(t, old.Stop(b.ctx))
	b.client(config("new", b.worker(backfill.Options{})))
	b.is(job, rivertype.JobStateCompleted)
	b.copied()
}
