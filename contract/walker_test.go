package contract_test

import (
	"context"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/contract"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/switchover"
)

var fullName = expand.Rename[string]("users", "user_name", "full_name")

type user struct {
	ID       int64  `db:"id" tandem:"default"`
	FullName string `db:"full_name"`
	Email    string `db:"email"`
}

const usersSQL = `
	CREATE TABLE users (
		id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
		user_name text NOT NULL DEFAULT 'anonymous' CONSTRAINT named CHECK (user_name <> ''),
		email text NOT NULL DEFAULT '',
		UNIQUE (email, user_name));
	CREATE INDEX users_lower ON users (lower(user_name)) WHERE email <> '';
	CREATE UNIQUE INDEX users_name ON users (user_name);
	INSERT INTO users (user_name, email) SELECT 'user ' || i, i || '@example.org' FROM generate_series(1, 1000) i;
	CREATE TABLE orders (user_id bigint REFERENCES users (id))`

// waitTime bounds the waiting for something that happens within milliseconds.
const waitTime = 20 * time.Second

// quick are gates without waiting times.
var quick = switchover.Options{Quiet: switchover.None, Soak: switchover.None, Wait: true}

// walker takes one migration through its phases.
type walker struct {
	*testing.T
	ctx  context.Context
	dsn  string
	db   *sqlx.DB
	pair expand.Any

	gates  switchover.Options // quick
	member *switchover.Member // nil: no wrapper is at work
	users  *expand.Repository[user]
}

// newWalker begins with usersSQL and one member.
func newWalker(t *testing.T) *walker {
	t.Helper()
	w := newLonelyWalker(t, usersSQL, fullName)
	w.member, w.users = w.join()
	return w
}

// newLonelyWalker begins with any table, in Start.
func newLonelyWalker(t *testing.T, create string, p expand.Any) *walker {
	t.Helper()
	w := &walker{T: t, ctx: t.Context(), dsn: pgtest.DSN(t), pair: p, gates: quick}
	w.db = pgtest.Open(t, w.dsn)
	w.exec(create)
	require.NoError(t, expand.Apply(w.ctx, w.db, p, expand.Options{}))
	return w
}

func (w *walker) join() (*switchover.Member, *expand.Repository[user]) {
	w.Helper()
	m, err := switchover.Join(w.ctx, w.db, switchover.JoinOptions{Service: "test", Poll: 20e6})
	require.NoError(w, err)
	w.Cleanup(func() { _ = m.Leave(context.WithoutCancel(w.ctx)) })
	users, err := expand.NewRepository[user](w.db, m, w.pair)
	require.NoError(w, err)
	return m, users
}

func (w *walker) exec(query string, args ...any) {
	w.Helper()
	_, err := w.db.ExecContext(w.ctx, query, args...)
	require.NoError(w, err)
}

// number is the one number that a query returns.
func (w *walker) number(query string) (n int) {
	w.Helper()
	require.NoError(w, w.db.GetContext(w.ctx, &n, query), query)
	return n
}

// refresh lets the member see the phase.
func (w *walker) refresh(want switchover.Phase) {
	w.Helper()
	if w.member != nil {
		require.NoError(w, w.member.Refresh(w.ctx))
		require.Equal(w, want, w.member.Phase(w.pair.Name()))
	}
}

func (w *walker) advance(to switchover.Phase) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, waitTime) // the error then lists the gates
	defer cancel()
	require.NoError(w, switchover.Advance(ctx, w.db, w.pair.Name(), to, w.gates))
	w.refresh(to)
}

func (w *walker) revert(to switchover.Phase) {
	w.Helper()
	require.NoError(w, switchover.Revert(w.ctx, w.db, w.pair.Name(), to, w.gates))
	w.refresh(to)
}

func (w *walker) apply(stage contract.Stage) {
	w.Helper()
	require.NoError(w, contract.Apply(w.ctx, w.db, w.pair, stage, contract.Options{Gates: w.gates}))
	// done once more it does nothing
	if stage != contract.Drop {
		require.NoError(w, contract.Apply(w.ctx, w.db, w.pair, stage, contract.Options{Gates: w.gates}))
		steps, err := contract.Plan(w.ctx, w.db, w.pair, stage)
		require.NoError(w, err)
		require.Empty(w, steps)
	}
}

// toMigrate ends with all rows copied.
func (w *walker) toMigrate() {
	w.Helper()
	w.advance(switchover.Expand)
	w.advance(switchover.Migrate)
	_, err := backfill.Run(w.ctx, w.db, w.pair, backfill.Options{})
	require.NoError(w, err)
}

// toSwitch goes from Migrate, or from Start, to Switch.
func (w *walker) toSwitch() {
	w.Helper()
	if w.number(`SELECT count(*) FROM tandem.migration WHERE phase = 'Start'`) > 0 {
		w.toMigrate()
	}
	require.NoError(w, expand.ApplyTwins(w.ctx, w.db, w.pair, expand.Options{}))
	report, err := backfill.Verify(w.ctx, w.db, w.pair, backfill.VerifyOptions{})
	require.NoError(w, err)
	require.Zero(w, report.Differences)
	w.advance(switchover.Switch)
}

func (w *walker) toContract() {
	w.Helper()
	w.toSwitch()
	w.apply(contract.Relax)
	w.advance(switchover.Contract)
}

// end goes from Contract to Complete.
func (w *walker) end() {
	w.Helper()
	w.apply(contract.Finish)
	w.apply(contract.Drop)
	w.refresh(switchover.Complete)
}

// back goes from Contract to Switch, with old whole again.
func (w *walker) back() {
	w.Helper()
	w.apply(contract.Finish)
	w.revert(switchover.Switch)
	w.reverse()
	w.apply(contract.Restore)
}

func (w *walker) reverse() {
	w.Helper()
	_, err := backfill.Run(w.ctx, w.db, w.pair, backfill.Options{Reverse: true})
	require.NoError(w, err)
}

// describe is what the catalog says of the pair's table.
func (w *walker) describe() []string {
	w.Helper()
	lines, err := catalog.Describe(w.ctx, w.db, w.pair.Definition().Table)
	require.NoError(w, err)
	return lines
}

// hold begins a transaction that runs a query, and returns its end.
func (w *walker) hold(query string) (release func()) {
	w.Helper()
	tx, err := w.db.BeginTxx(w.ctx, nil)
	require.NoError(w, err)
	_, err = tx.ExecContext(w.ctx, query)
	require.NoError(w, err)
	w.Cleanup(func() { _ = tx.Rollback() })
	return func() { require.NoError(w, tx.Rollback()) }
}
