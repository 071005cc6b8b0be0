package contract_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/contract"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/switchover"
)

// interrupted runs something that applies steps, ends its context when the first step begins, then when the second does, and so on, each time from
// what the last try left, until it gets through. The steps that follow one another are thus cut between any two.
func (w *walker) interrupted(apply func(ctx context.Context, o expand.Options) error) (cuts int) {
	w.Helper()
	for at := 1; ; at++ {
		ctx, cancel := context.WithCancel(w.ctx)
		steps := 0
		err := apply(ctx, expand.Options{Log: func(string) {
			if steps++; steps == at {
				cancel()
			}
		}})
		cancel()
		if err == nil {
			return at - 1
		}
		require.ErrorIs(w, err, context.Canceled)
	}
}

func (w *walker) interruptedStage(stage contract.Stage) int {
	w.Helper()
	return w.interrupted(func(ctx context.Context, o expand.Options) error {
		return contract.Apply(ctx, w.db, w.pair, stage, contract.Options{Gates: quick, Locks: o})
	})
}

// A walk that is cut between any two steps, there and back and there again, ends where an undisturbed one does.
func TestCutBetweenAnyTwoSteps(t *testing.T) {
	t.Parallel()
	w := newRich(t, plain)
	w.toMigrate()
	twins := func(ctx context.Context, o expand.Options) error { return expand.ApplyTwins(ctx, w.db, w.pair, o) }
	require.Positive(t, w.interrupted(twins))
	w.toSwitch()
	before := w.describe()
	require.Equal(t, 1, w.interruptedStage(contract.Relax))
	w.advance(switchover.Contract)
	require.Positive(t, w.interruptedStage(contract.Finish))
	w.revert(switchover.Switch)
	w.reverse()
	require.Positive(t, w.interruptedStage(contract.Restore))
	require.Equal(t, before, w.describe())
	w.apply(contract.Relax)
	w.advance(switchover.Contract)
	w.end()
	require.Equal(t, w.renamed(plain), w.describe())
}

// Each cut from the same beginning, which needs a database for each: the stages that have few steps.
func TestCutAtEachStep(t *testing.T) {
	t.Parallel()
	for at := 1; at <= 4; at++ {
		w := newRich(t, plain)
		w.toSwitch()
		cut := func(stage contract.Stage) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			n := 0
			err := contract.Apply(ctx, w.db, w.pair, stage, contract.Options{Gates: quick, Locks: expand.Options{Log: func(string) {
				if n++; n == at {
					cancel()
				}
			}}})
			if n >= at {
				require.ErrorIs(t, err, context.Canceled)
			}
			require.NoError(t, contract.Apply(t.Context(), w.db, w.pair, stage, contract.Options{Gates: quick}))
		}
		cut(contract.Relax)
		w.advance(switchover.Contract)
		cut(contract.Finish)
		w.apply(contract.Drop)
		require.Equal(t, w.renamed(plain), w.describe())
	}
}

// A drop that fails at its end has dropped nothing: a lock holds up the last of what it touches.
func TestDropIsAllOrNothing(t *testing.T) {
	t.Parallel()
	w := newRich(t, plain)
	w.toContract()
	w.apply(contract.Finish)
	before := w.describe()
	release := w.hold(`SELECT FROM tandem.event LIMIT 1; LOCK TABLE tandem.event IN EXCLUSIVE MODE`)
	err := contract.Apply(t.Context(), w.db, w.pair, contract.Drop, contract.Options{Gates: quick, Locks: expand.Options{LockTimeout: 50 * time.Millisecond, Attempts: 2}})
	require.Error(t, err)
	require.Equal(t, before, w.describe())
	release()
	w.apply(contract.Drop)
	require.Equal(t, w.renamed(plain), w.describe())
}

// A stage that cannot be put on record is not done: its event is part of its last step.
func TestStageIsOnRecord(t *testing.T) {
	t.Parallel()
	w := newLonelyWalker(t, usersSQL, fullName)
	w.toSwitch()
	recorded := func(stage contract.Stage) int {
		return w.number(`SELECT count(*) FROM tandem.event WHERE kind = '` + stage.String() + `'`)
	}
	each := func(stage contract.Stage) {
		t.Helper()
		release := w.hold(`LOCK TABLE tandem.event IN EXCLUSIVE MODE`)
		ctx, cancel := context.WithTimeout(t.Context(), waitTime)
		defer cancel()
		err := contract.Apply(ctx, w.db, w.pair, stage, contract.Options{Gates: quick, Locks: expand.Options{LockTimeout: 50 * time.Millisecond, Attempts: 2}})
		require.Equal(t, pg.LockNotAvailable, pg.SQLState(err), "%v", err)
		release()
		left, err := contract.Plan(t.Context(), w.db, w.pair, stage)
		require.NoError(t, err)
		require.NotEmpty(t, left, "%s has still to do its last step", stage)
		before := recorded(stage)
		w.apply(stage)
		require.Equal(t, before+1, recorded(stage))
	}
	each(contract.Relax)
	each(contract.Restore)
	w.apply(contract.Relax)
	w.advance(switchover.Contract)
	each(contract.Finish)
}

// CREATE INDEX CONCURRENTLY is cut while it waits for an old transaction, and leaves an INVALID index: the next run drops it and builds it again.
func TestInvalidIndexIsBuiltAgain(t *testing.T) {
	t.Parallel()
	const invalid = `SELECT count(*) FROM pg_index WHERE NOT indisvalid`
	w := newLonelyWalker(t, usersSQL, fullName)
	cut := func(apply func(ctx context.Context) error) {
		t.Helper()
		release := w.hold(`SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class`)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- apply(ctx) }()
		require.Eventually(t, func() bool {
			return w.number(`SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE%INDEX CONCURRENTLY%' AND wait_event_type = 'Lock' AND datname = current_database()`) > 0
		}, waitTime, 5*time.Millisecond)
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
		release()
		require.Eventually(t, func() bool {
			return w.number(`SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE%INDEX CONCURRENTLY%' AND state = 'active' AND datname = current_database() AND pid <> pg_backend_pid()`) == 0
		}, waitTime, 5*time.Millisecond)
		require.Equal(t, 1, w.number(invalid))
	}
	w.toMigrate()
	cut(func(ctx context.Context) error { return expand.ApplyTwins(ctx, w.db, w.pair, expand.Options{}) })
	w.toSwitch()
	require.Zero(t, w.number(invalid))
	before := w.describe()
	w.apply(contract.Relax)
	w.advance(switchover.Contract)
	w.apply(contract.Finish)
	w.revert(switchover.Switch)
	w.reverse()
	cut(func(ctx context.Context) error {
		return contract.Apply(ctx, w.db, w.pair, contract.Restore, contract.Options{})
	})
	w.apply(contract.Restore)
	require.Zero(t, w.number(invalid))
	require.Equal(t, before, w.describe())
	_, err := backfill.Run(t.Context(), w.db, w.pair, backfill.Options{})
	require.NoError(t, err)
}
