package expand_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/lib/pq"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/switchover"
)

// What an attempt that was rolled back had read back into the rows is forgotten, or the next one would send it.
func TestRetryForgetsWhatWasReadBack(t *testing.T) {
	t.Parallel()
	b, r := newUsers(t)
	b.set(switchover.Expand)
	b.db.MustExec(`ALTER TABLE users ADD CONSTRAINT late UNIQUE (note) DEFERRABLE INITIALLY DEFERRED`)
	one := user{FullName: "one"}
	many := []*user{{FullName: "two", Email: "given"}, {FullName: "three"}}
	insert := func(ctx context.Context, tx *expand.Tx) error {
		if err := r.In(tx).Insert(ctx, &one); err != nil {
			return err
		}
		list := slices.Clone(many)
		defer clear(list) // the slice is ours
		return r.In(tx).InsertMany(ctx, list)
	}
	requireUnread := func() {
		t.Helper()
		require.Zero(t, one.ID)
		require.Empty(t, one.Email)
		require.Zero(t, many[0].ID)
		require.Equal(t, "given", many[0].Email)
		require.Empty(t, many[1].Email)
	}
	attempts := 0
	require.NoError(t, r.InTx(b.ctx, nil, func(ctx context.Context, tx *expand.Tx) error {
		requireUnread()
		if err := insert(ctx, tx); err != nil {
			return err
		}
		if attempts++; attempts == 1 {
			return &pq.Error{Code: pg.StaleStamp} // the migration of another table
		}
		return nil
	}))
	require.Equal(t, 2, attempts)
	for _, u := range append(many, &one) {
		requireUser(b.ctx, t, r, *u)
		require.NoError(t, r.Delete(b.ctx, u.ID))
	}

	one, many = user{FullName: "one"}, []*user{{FullName: "two", Email: "given"}, {FullName: "three"}}
	mine := errors.New("mine")
	require.ErrorIs(t, r.InTx(b.ctx, nil, func(ctx context.Context, tx *expand.Tx) error {
		return errors.Join(insert(ctx, tx), mine)
	}), mine)
	requireUnread()
	note := "twice" // refused at commit
	one.Note, many[0].Note = &note, &note
	require.ErrorContains(t, r.InTx(b.ctx, nil, insert), "late")
	requireUnread()
}

// A column that is nowhere is the application's mistake: its error comes back after one run.
func TestTypoIsNoStep(t *testing.T) {
	t.Parallel()
	b, r := newUsers(t)
	b.set(switchover.Expand)
	runs := 0
	typo := func(ctx context.Context, r *expand.Repository[user]) error {
		runs++
		_, err := r.Select(ctx, `WHERE nope = 1`)
		return err
	}
	requireTypo := func(err error) {
		t.Helper()
		require.Equal(t, pg.UndefinedColumn, pg.SQLState(err))
		require.NotErrorIs(t, err, expand.ErrPhaseMoved)
		require.Equal(t, 1, runs)
		runs = 0
	}
	requireTypo(r.InTx(b.ctx, nil, func(ctx context.Context, tx *expand.Tx) error { return typo(ctx, r.In(tx)) }))
	requireTypo(r.InTx(b.ctx, nil, func(ctx context.Context, tx *expand.Tx) error {
		runs++
		_, err := tx.ExecContext(ctx, `SELECT nope`)
		return err
	}))
	requireTypo(users.Do(b.ctx, b.member, func(*expand.Pinned[string, string]) error { return typo(b.ctx, r) }))

	// the pool's only connection is the transaction's own
	b.db.SetMaxOpenConns(1)
	ctx, cancel := context.WithTimeout(b.ctx, 8*time.Second)
	defer cancel()
	requireTypo(r.InTx(ctx, nil, func(ctx context.Context, tx *expand.Tx) error { return typo(ctx, r.In(tx)) }))
	require.NoError(t, ctx.Err(), "who holds the connection does not wait for another for long")
}

// The same error is a step's when one was taken after the transaction had begun, although the member does not know of it yet.
func TestStepUnknownToTheMember(t *testing.T) {
	t.Parallel()
	b, r := newUsers(t)
	b.set(switchover.Contract)
	tx, err := expand.Begin(b.ctx, b.db, b.member, nil)
	require.NoError(t, err)
	b.setUnseen(switchover.Complete)
	_, err = r.In(tx).Get(b.ctx, 1)
	require.ErrorIs(t, err, expand.ErrPhaseMoved)
	require.Equal(t, pg.UndefinedColumn, pg.SQLState(err))
	require.NoError(t, tx.Rollback())
}
