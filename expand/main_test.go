package expand_test

import (
	"context"
	"testing"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/switchover"
)

func TestMain(m *testing.M) { pgtest.MainWithExamples(m) }

// users is the pair of most tests.
var users = expand.Rename[string]("users", "user_name", "full_name")

const usersSQL = `CREATE TABLE users (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	user_name text NOT NULL,
	email text NOT NULL DEFAULT 'none',
	note text,
	UNIQUE (user_name))`

type user struct {
	ID       int64   `db:"id" tandem:"default"`
	FullName string  `db:"full_name"`
	Email    string  `db:"email" tandem:"default"`
	Note     *string `db:"note"`
}

// bed is a database with a table, its migrations applied, and a member.
type bed struct {
	t      testing.TB
	ctx    context.Context
	db     *sqlx.DB
	member *switchover.Member
	pairs  []expand.Any
}

// newBed makes the table and applies the pairs; all migrations are in Start.
func newBed(t testing.TB, tableSQL string, pairs ...expand.Any) *bed {
	t.Helper()
	b := &bed{t: t, ctx: t.Context(), db: pgtest.New(t), pairs: pairs}
	b.db.MustExec(tableSQL)
	for _, p := range pairs {
		require.NoError(t, expand.Apply(b.ctx, b.db, p, expand.Options{}))
	}
	b.member = b.join()
	return b
}

func (b *bed) join() *switchover.Member {
	b.t.Helper()
	m, err := switchover.Join(b.ctx, b.db, switchover.JoinOptions{Service: "test"})
	require.NoError(b.t, err)
	b.t.Cleanup(func() { _ = m.Leave(context.WithoutCancel(b.ctx)) })
	return m
}

// set puts every migration into a phase, without its gates: the wrappers' tests are not about those. The guard goes with it.
func (b *bed) set(ph switchover.Phase) {
	b.t.Helper()
	b.setUnseen(ph)
	require.NoError(b.t, b.member.Refresh(b.ctx))
}

// setUnseen is set without telling the member.
func (b *bed) setUnseen(ph switchover.Phase) {
	b.t.Helper()
	for _, p := range b.pairs {
		setPhase(b.t, b.db, p, ph)
	}
}
