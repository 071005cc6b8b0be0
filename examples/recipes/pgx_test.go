package recipes_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/switchover"
)

// user is the model in its final shape.
type user struct {
	ID       int64  `db:"id"`
	FullName string `db:"full_name"`
	Email    string `db:"email"`
}

// userRow is for hand-written SQL.
type userRow struct {
	ID       int64                        `db:"id"`
	FullName expand.Value[string, string] `db:"full_name"`
	Email    string                       `db:"email"`
}

// Use this where the application has pgx already: its driver for database/sql takes lib/pq's place in *sqlx.DB, for the repository, for hand-written SQL
// and for the operator's steps. A query that a context ends is over for the program at once; the server may still carry it out, for pgx closes the
// connection. The library's own steps can be run again after that, as after any lost connection.
func TestPgx(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	onPgx(t, openPgx(t, dsn), openPgx(t, dsn))
}

// Use this behind PgBouncer in transaction mode: default_query_exec_mode is exec or cache_describe. The default leaves prepared statements in a session
// that will be another client's, and describe_exec sends a statement in two halves. Join refuses both.
func TestPgxBehindPgBouncer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		mode string
		safe bool
	}{{"exec", true}, {"cache_describe", true}, {"cache_statement", false}, {"describe_exec", false}} {
		t.Run(c.mode, func(t *testing.T) {
			t.Parallel()
			direct := openPgx(t, pgtest.DSN(t))
			var name string
			require.NoError(t, direct.Get(&name, `SELECT current_database()`))
			db := openPgx(t, pgtest.Pooler(t, "transaction", 4).DSN(name, "default_query_exec_mode="+c.mode))
			if c.safe {
				onPgx(t, direct, db)
				return
			}
			_, err := switchover.Join(t.Context(), db, switchover.JoinOptions{})
			require.ErrorIs(t, err, switchover.ErrMixedUp)
			require.ErrorContains(t, err, "default_query_exec_mode=exec")
		})
	}
}

// openPgx opens a pool of pgx's driver.
func openPgx(t *testing.T, dsn string) *sqlx.DB {
	t.Helper()
	db, err := sqlx.ConnectContext(t.Context(), "pgx", dsn)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// onPgx is an application on db, and an operator on another pool.
func onPgx(t *testing.T, operator, db *sqlx.DB) {
	t.Helper()
	operator.MustExec(usersSQL)
	operator.MustExec(`INSERT INTO users SELECT i, 'old ' || i FROM generate_series(1, 100) i`)
	migrate(t, operator, db, func(m *switchover.Member, ph switchover.Phase) {
		ctx, id := t.Context(), 1000*int64(ph)
		users, err := expand.NewRepository[user](db, m, fullName)
		require.NoError(t, err)
		ada := user{ID: id, FullName: "Ada " + ph.String()}
		require.NoError(t, users.Insert(ctx, &ada))
		ada.Email = "ada@example.com"
		require.NoError(t, users.Upsert(ctx, &ada, "full_name"))
		list, err := users.Select(ctx, `WHERE {full_name} = $1`, fullName.Arg(ada.FullName))
		require.NoError(t, err)
		require.Equal(t, []user{ada}, list)

		bob := user{ID: id + 1, FullName: "Bob " + ph.String()}
		require.NoError(t, expand.InTx(ctx, db, m, nil, func(ctx context.Context, tx *expand.Tx) error { return byHand(ctx, tx, bob) }))
		eve, fay := user{ID: id + 2, FullName: "Eve " + ph.String()}, user{ID: id + 3, FullName: "Fay " + ph.String()}
		require.NoError(t, copyIn(ctx, db, m, eve, fay))
		for _, want := range []user{bob, eve, fay} {
			got, err := users.Get(ctx, want.ID)
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
	})
}

// byHand is SQL with the fragments, as with lib/pq.
func byHand(ctx context.Context, tx *expand.Tx, u user) error {
	p, err := fullName.In(tx)
	if err != nil {
		return err
	}
	v, err := p.Value(u.FullName)
	if err != nil {
		return err
	}
	_, err = tx.NamedExecContext(ctx, `INSERT INTO users (id, email, `+p.Columns()+`) VALUES (:id, :email, `+p.Params()+`)`, userRow{u.ID, v, u.Email})
	return err
}

// copyIn is COPY by pgx's own connection: in binary, for as many rows as there are.
func copyIn(ctx context.Context, db *sqlx.DB, m *switchover.Member, list ...user) error {
	conn, err := db.Connx(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	return fullName.Do(ctx, m, func(p *expand.Pinned[string, string]) error {
		var rows [][]any
		for _, u := range list {
			v, err := p.Value(u.FullName)
			if err != nil {
				return err
			}
			rows = append(rows, append([]any{u.ID, u.Email}, p.Values(v)...))
		}
		return conn.Raw(func(driver any) error {
			_, err := driver.(*stdlib.Conn).Conn().CopyFrom(ctx, pgx.Identifier{"users"}, append([]string{"id", "email"}, p.Names()...), pgx.CopyFromRows(rows)) //nolint:errcheck // the pool has no other driver
			return err
		})
	})
}
