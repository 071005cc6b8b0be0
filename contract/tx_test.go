package contract_test

import (
	"context"
	"testing"

	"github.com/lib/pq"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/contract"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/switchover"
)

// across runs a transaction in which a step happens between its begin and its write: it is tried once more and succeeds. One of Begin fails, and says why.
func (w *walker) across(state string, step, undo func()) {
	w.Helper()
	attempts := 0
	u := user{ID: 1, FullName: "across", Email: "across@example.org"}
	require.NoError(w, w.users.InTx(w.ctx, nil, func(ctx context.Context, tx *expand.Tx) error {
		if attempts++; attempts == 1 {
			step()
		}
		return w.users.In(tx).Update(ctx, &u)
	}))
	require.Equal(w, 2, attempts)
	got, err := w.users.Get(w.ctx, 1)
	require.NoError(w, err)
	require.Equal(w, u, got)
	if undo == nil {
		return
	}
	undo()
	require.NoError(w, w.member.Refresh(w.ctx))
	tx, err := expand.Begin(w.ctx, w.db, w.member, nil)
	require.NoError(w, err)
	step()
	err = w.users.In(tx).Update(w.ctx, &u)
	require.ErrorIs(w, err, expand.ErrPhaseMoved)
	var pgErr *pq.Error
	require.ErrorAs(w, err, &pgErr)
	require.EqualValues(w, state, pgErr.Code)
	require.NoError(w, tx.Rollback())
	require.NoError(w, w.member.Refresh(w.ctx))
}

// Back from Contract: new-only writes are refused from then on.
func TestTransactionAcrossTheWayBack(t *testing.T) {
	t.Parallel()
	w := newWalker(t)
	w.toContract()
	w.apply(contract.Finish)
	o := contract.Options{Gates: switchover.Options{Soak: switchover.None, Quiet: switchover.None}}
	w.across("TD001",
		func() {
			require.NoError(t, switchover.Revert(t.Context(), w.db, w.pair.Name(), switchover.Switch, o.Gates))
		},
		func() {
			w.reverse()
			require.NoError(t, contract.Apply(t.Context(), w.db, w.pair, contract.Restore, o))
			w.refresh(switchover.Switch)
			w.apply(contract.Relax)
			w.advance(switchover.Contract)
			w.apply(contract.Finish)
		})
	w.use()
}

// A member so late that it still is in Migrate when the swap comes, whose gate is waived.
func TestTransactionAcrossTheSwap(t *testing.T) {
	t.Parallel()
	w := newWalker(t)
	w.toMigrate()
	step := func() {
		o := quick
		o.Waive = map[string]string{"members": "test"}
		require.NoError(t, switchover.Advance(t.Context(), w.db, w.pair.Name(), switchover.Switch, o))
		require.NoError(t, contract.Apply(t.Context(), w.db, w.pair, contract.Relax, contract.Options{Gates: o}))
		require.NoError(t, switchover.Advance(t.Context(), w.db, w.pair.Name(), switchover.Contract, o))
	}
	require.NoError(t, expand.ApplyTwins(t.Context(), w.db, w.pair, expand.Options{}))
	_, err := backfill.Verify(t.Context(), w.db, w.pair, backfill.VerifyOptions{})
	require.NoError(t, err)
	w.across("TD001", step, func() {
		w.refresh(switchover.Contract)
		w.back()
		w.revert(switchover.Migrate)
	})
}

// The columns go between begin and write.
func TestTransactionAcrossTheDrop(t *testing.T) {
	t.Parallel()
	for _, retried := range []bool{true, false} {
		w := newWalker(t)
		w.toContract()
		w.apply(contract.Finish)
		// let the member acknowledge before a transaction keeps it from doing so
		require.NoError(t, w.member.Refresh(t.Context()))
		drop := func() { w.apply(contract.Drop) }
		if retried {
			w.across("42703", drop, nil)
			continue
		}
		tx, err := expand.Begin(t.Context(), w.db, w.member, nil)
		require.NoError(t, err)
		drop()
		err = w.users.In(tx).Update(t.Context(), &user{ID: 1, FullName: "x"})
		require.ErrorIs(t, err, expand.ErrPhaseMoved)
		require.ErrorContains(t, err, "42703")
		require.NoError(t, tx.Rollback())
		w.refresh(switchover.Complete)
		w.use()
	}
}

// Members write both columns during the reverse pass, and read what they wrote.
func TestMembersDuringTheWayBack(t *testing.T) {
	t.Parallel()
	w := newWalker(t)
	w.toContract()
	w.use()
	w.exec(`UPDATE users SET full_name = full_name || '!', full_name_stamp = 83886081`)
	w.apply(contract.Finish)
	w.revert(switchover.Switch)
	statements := 0
	_, err := backfill.Run(t.Context(), w.db, w.pair, backfill.Options{Reverse: true, Batch: 50, Stripes: 1, Progress: func(backfill.Progress) {
		statements++
		w.use()
		u, err := w.users.Get(t.Context(), 1000-statements)
		require.NoError(t, err)
		u.FullName = "during"
		require.NoError(t, w.users.Update(t.Context(), &u))
		u.FullName = "during " + u.Email
		require.NoError(t, w.users.Update(t.Context(), &u))
	}})
	require.NoError(t, err)
	require.Greater(t, statements, 10)
	w.apply(contract.Restore)
	require.Zero(t, w.number(`SELECT count(*) FROM users WHERE user_name IS DISTINCT FROM full_name`))
	require.Equal(t, statements, w.number(`SELECT count(*) FROM users WHERE user_name LIKE 'during %'`))
	w.use()
	report, err := backfill.Verify(t.Context(), w.db, w.pair, backfill.VerifyOptions{})
	require.NoError(t, err)
	require.Zero(t, report.Differences)
}
