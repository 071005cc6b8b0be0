package recipes_test

import (
	"context"
	"testing"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/contract"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/switchover"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// fullName is the pair of all recipes.
var fullName = expand.Rename[string]("users", "user_name", "full_name")

const usersSQL = `CREATE TABLE users (id bigint PRIMARY KEY, user_name text NOT NULL UNIQUE, email text NOT NULL DEFAULT '')`

// hurried are gates that wait for nothing but the members.
var hurried = switchover.Options{Quiet: switchover.None, Soak: switchover.None, Wait: true}

// migrate takes the table through the whole migration, as an operator on a pool of its own, and calls try with the application's member in each phase.
func migrate(t *testing.T, operator, db *sqlx.DB, try func(m *switchover.Member, ph switchover.Phase)) {
	t.Helper()
	ctx := t.Context()
	require.NoError(t, expand.Apply(ctx, operator, fullName, expand.Options{}))
	m, err := switchover.Join(ctx, db, switchover.JoinOptions{Service: "recipe",
		OnDifference: func(d switchover.Difference) { t.Errorf("old and new differ: %+v", d) }})
	require.NoError(t, err)
	defer func() { require.NoError(t, m.Leave(context.WithoutCancel(ctx))) }()
	to := func(ph switchover.Phase) {
		t.Helper()
		require.NoError(t, switchover.Advance(ctx, operator, fullName.Name(), ph, hurried))
		require.NoError(t, m.Refresh(ctx))
		before := strays(t, operator)
		try(m, ph)
		require.Equal(t, before, strays(t, operator), "the guard has mended a write of %s", ph)
	}
	stages := func(list ...contract.Stage) {
		t.Helper()
		for _, stage := range list {
			require.NoError(t, contract.Apply(ctx, operator, fullName, stage, contract.Options{Gates: hurried}), stage)
		}
	}
	try(m, switchover.Start)
	to(switchover.Expand)
	to(switchover.Migrate)
	copyOld(t, operator)
	to(switchover.Switch)
	stages(contract.Relax)
	to(switchover.Contract)
	stages(contract.Finish, contract.Drop)
	require.NoError(t, m.Refresh(ctx))
	try(m, switchover.Complete)
}

// copyOld brings the old rows into step.
func copyOld(t *testing.T, operator *sqlx.DB) {
	t.Helper()
	_, err := backfill.Run(t.Context(), operator, fullName, backfill.Options{})
	require.NoError(t, err)
	require.NoError(t, expand.ApplyTwins(t.Context(), operator, fullName, expand.Options{}))
	report, err := backfill.Verify(t.Context(), operator, fullName, backfill.VerifyOptions{})
	require.NoError(t, err)
	require.Zero(t, report.Differences)
}

// strays counts the writes that the guard took for those of a program without the pair, as it does in Start with all.
func strays(t *testing.T, operator *sqlx.DB) (n int) {
	t.Helper()
	require.NoError(t, operator.GetContext(t.Context(), &n, `SELECT count(*) FROM tandem.stray`))
	return n
}
