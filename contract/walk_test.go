package contract_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/contract"
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
	err := switchover.Revert(w.ctx, w.db, fullName.Name(), switchover.Switch, quick)
	var refused *switchover.GateError
	require.ErrorAs(t, err, &refused)
	w.apply(contract.Finish)
	require.NoError(t, switchover.Revert(w.ctx, w.db, fullName.Name(), switchover.Switch, quick))
	require.NoError(t, w.member.Refresh(w.ctx))
	w.use()
	err = contract.Apply(w.ctx, w.db, fullName, contract.Restore, contract.Options{})
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
