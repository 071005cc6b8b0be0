package contract_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/contract"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/switchover"
)

// use writes and reads through the wrappers in the present phase.
func (w *walker) use() {
	w.Helper()
	name := "in " + w.member.Phase(w.pair.Name()).String()
	u := user{FullName: name, Email: "a@example.org"}
	require.NoError(w, w.users.Insert(w.ctx, &u))
	require.NotZero(w, u.ID)
	got, err := w.users.Get(w.ctx, u.ID)
	require.NoError(w, err)
	require.Equal(w, u, got)
	u.FullName += ", changed"
	require.NoError(w, w.users.Update(w.ctx, &u))
	list, err := w.users.Select(w.ctx, `WHERE {full_name} = $1`, fullName.Arg(u.FullName))
	require.NoError(w, err)
	require.Equal(w, []user{u}, list)
	require.NoError(w, w.users.Delete(w.ctx, u.ID))
}

func TestWalkToTheEnd(t *testing.T) {
	t.Parallel()
	w := newWalker(t)
	w.use()
	w.advance(switchover.Expand)
	w.use()
	w.advance(switchover.Migrate)
	w.use()
	res, err := backfill.Run(w.ctx, w.db, fullName, backfill.Options{})
	require.NoError(t, err)
	require.EqualValues(t, 1000, res.Rows)
	w.toSwitch()
	w.use()
	w.apply(contract.Relax)
	w.use()
	w.advance(switchover.Contract)
	w.use()
	w.apply(contract.Finish)
	w.use()
	w.apply(contract.Drop)
	w.refresh(switchover.Complete)
	w.use()
}

func TestWayBackFromContract(t *testing.T) {
	t.Parallel()
	w := newWalker(t)
	w.toContract()
	// names change hands while old is stale
	for _, step := range [][2]string{{"user 1", "x"}, {"user 2", "user 1"}, {"x", "user 2"}} {
		list, err := w.users.Select(w.ctx, `WHERE {full_name} = $1`, fullName.Arg(step[0]))
		require.NoError(t, err)
		list[0].FullName = step[1]
		require.NoError(t, w.users.UpdateColumns(w.ctx, &list[0], "full_name"))
	}
	w.apply(contract.Finish)
	require.NoError(t, switchover.Revert(w.ctx, w.db, fullName.Name(), switchover.Switch, quick))
	require.NoError(t, w.member.Refresh(w.ctx))
	w.use()
	err := contract.Apply(w.ctx, w.db, fullName, contract.Restore, contract.Options{})
	require.ErrorIs(t, err, contract.ErrUnreversed)
	res, err := backfill.Run(w.ctx, w.db, fullName, backfill.Options{Reverse: true})
	require.NoError(t, err)
	require.EqualValues(t, 2, res.Rows)
	w.apply(contract.Restore)
	require.NoError(t, switchover.Revert(w.ctx, w.db, fullName.Name(), switchover.Migrate, quick))
	require.NoError(t, w.member.Refresh(w.ctx))
	w.use()
	var wrong int
	require.NoError(t, w.db.Get(&wrong, `SELECT count(*) FROM users WHERE user_name IS DISTINCT FROM full_name`))
	require.Zero(t, wrong)
	_, err = w.db.Exec(`INSERT INTO users (user_name) VALUES ('user 3')`)
	require.ErrorContains(t, err, "users_name")
	_, err = w.db.Exec(`INSERT INTO users (email) VALUES ('only')`)
	require.NoError(t, err)
}

// Writers take rows off what the reverse backfill has to do. That the number is another at every look does not mean that another operator is at work.
func TestRestoreTooEarlyUnderLoad(t *testing.T) {
	t.Parallel()
	w := newWalker(t)
	w.toContract()
	list, err := w.users.Select(w.ctx, `ORDER BY id LIMIT 500`)
	require.NoError(t, err)
	touch := func(list []user) error {
		for i := range list {
			if err := w.users.UpdateColumns(w.ctx, &list[i], "full_name"); err != nil {
				return err
			}
		}
		return nil
	}
	require.NoError(t, touch(list))
	require.NoError(t, switchover.Revert(w.ctx, w.db, fullName.Name(), switchover.Switch, quick))
	require.NoError(t, w.member.Refresh(w.ctx))
	written := make(chan error, 1)
	go func() { written <- touch(list[1:]) }()
	for len(written) == 0 {
		err := contract.Apply(w.ctx, w.db, fullName, contract.Restore, contract.Options{})
		require.ErrorIs(t, err, contract.ErrUnreversed)
		require.NotErrorIs(t, err, switchover.ErrStep)
	}
	require.NoError(t, <-written)
}

// A member that has not seen the swap yet decides by new: old's unique indexes, whose values are of yesterday, are gone.
func TestLateMemberAfterTheSwap(t *testing.T) {
	t.Parallel()
	w := newWalker(t)
	w.toSwitch()
	w.apply(contract.Relax)
	require.Zero(t, w.number(`SELECT count(*) FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) AND a.attname = 'user_name' WHERE i.indisunique`))
	late, err := switchover.Join(w.ctx, w.db, switchover.JoinOptions{Service: "late", Poll: time.Hour})
	require.NoError(t, err)
	t.Cleanup(func() { _ = late.Leave(context.WithoutCancel(w.ctx)) })
	users, err := expand.NewRepository[user](w.db, late, w.pair)
	require.NoError(t, err)
	w.advance(switchover.Contract)
	first := user{ID: 1, FullName: "renamed", Email: "1"}
	require.NoError(t, w.users.Update(w.ctx, &first)) // its old still says user 1
	again := user{FullName: "user 1", Email: "another"}
	require.NoError(t, users.Upsert(w.ctx, &again, "full_name"))
	require.NotEqual(t, first.ID, again.ID)
	require.NoError(t, users.Update(w.ctx, &user{ID: again.ID, FullName: "user 1001", Email: "another"}))
	require.NoError(t, users.Update(w.ctx, &user{ID: 2, FullName: "user 1", Email: "2"}))
	require.Equal(t, switchover.Switch, late.Phase(w.pair.Name()))
	got, err := w.users.Get(w.ctx, 1)
	require.NoError(t, err)
	require.Equal(t, first, got)
}

// The flip back to Migrate does not wait for Restore, which is open there too.
func TestRestoreInMigrate(t *testing.T) {
	t.Parallel()
	w := newRich(t, plain)
	w.toSwitch()
	before := w.describe()
	w.apply(contract.Relax)
	w.revert(switchover.Migrate)
	require.NotEqual(t, before, w.describe())
	w.apply(contract.Restore)
	require.Equal(t, before, w.describe())
	w.advance(switchover.Switch)
	w.apply(contract.Relax)
	w.advance(switchover.Contract)
	w.end()
	require.Equal(t, w.renamed(plain), w.describe())
}
