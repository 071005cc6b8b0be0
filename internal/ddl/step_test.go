package ddl_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/ddl"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var users = ident.Table{Schema: "public", Name: "users"}

// columns shows what the table looks like.
func columns(t *testing.T, db *sqlx.DB) []string {
	t.Helper()
	out := []string{}
	require.NoError(t, db.Select(&out, `SELECT attname FROM pg_attribute WHERE attrelid = 'users'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum`))
	return out
}

func add(column string) ddl.Step {
	return ddl.Step{Name: "add " + column, Lock: "ACCESS EXCLUSIVE", SQL: []string{`ALTER TABLE users ADD COLUMN ` + column + ` int`}}
}

// While a session holds a lock on the table, a step times out and names it; when the session lets go, the same call goes through.
func TestRunNamesTheHolderAndGoesOn(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	db, other := pgtest.Open(t, dsn), pgtest.Open(t, dsn+" application_name='the report'")
	db.MustExec(`CREATE TABLE users (id int)`)
	held := other.MustBegin()
	held.MustExec(`LOCK TABLE users IN ACCESS SHARE MODE`)
	tries := 0
	counted := add("b")
	counted.SQL = append([]string{`SELECT 1`}, counted.SQL...)
	done, err := ddl.Run(t.Context(), db, users, []ddl.Step{{Name: "nothing"}, counted}, ddl.Options{LockTimeout: time.Millisecond, Attempts: 3})
	require.Equal(t, 1, done) // the first step took no lock
	require.Equal(t, pg.LockNotAvailable, pg.SQLState(err))
	require.ErrorContains(t, err, `step "add b": `)
	require.ErrorContains(t, err, "in the way on users: ")
	require.ErrorContains(t, err, "the report")
	require.ErrorContains(t, err, "LOCK TABLE users IN ACCESS SHARE MODE")
	require.Equal(t, []string{"id"}, columns(t, db))

	// the holder lets go at the third try, so no more are needed
	err = ddl.Try(t.Context(), db, users, ddl.Options{Attempts: 30}, func(ctx context.Context) error {
		if tries++; tries == 3 {
			require.NoError(t, held.Commit())
		}
		return pg.InTx(ctx, db, pg.Settings{LockTimeout: time.Millisecond}, counted.Exec)
	})
	require.NoError(t, err)
	require.Equal(t, 3, tries)
	require.Equal(t, []string{"id", "b"}, columns(t, db))
}

// One step is all or nothing, and a failed step stops those after it.
func TestFailedStepChangesNothing(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.MustExec(`CREATE TABLE users (id int); CREATE TABLE note (line text)`)
	refuse := errors.New("no")
	also := add("c")
	also.Also = func(ctx context.Context, tx *sqlx.Tx) error {
		tx.MustExecContext(ctx, `INSERT INTO note VALUES ('c')`)
		return refuse
	}
	broken := add("b")
	broken.SQL = append(broken.SQL, `ALTER TABLE users ADD COLUMN id int`)
	for _, s := range []ddl.Step{broken, also} {
		var log []string
		done, err := ddl.Run(t.Context(), db, users, []ddl.Step{s, add("later")}, ddl.Options{Log: func(line string) { log = append(log, line) }})
		require.Zero(t, done)
		require.ErrorContains(t, err, `step "`+s.Name+`": `)
		require.Equal(t, []string{s.Name}, log)
		require.Equal(t, []string{"id"}, columns(t, db))
	}
	_, err := ddl.Run(t.Context(), db, users, []ddl.Step{also}, ddl.Options{})
	require.ErrorIs(t, err, refuse)
	also.Also = func(ctx context.Context, tx *sqlx.Tx) error {
		tx.MustExecContext(ctx, `INSERT INTO note VALUES ('c')`)
		return nil
	}
	done, err := ddl.Run(t.Context(), db, users, []ddl.Step{also, add("later")}, ddl.Options{})
	require.NoError(t, err)
	require.Equal(t, 2, done)
	require.Equal(t, []string{"id", "c", "later"}, columns(t, db))
	var notes int
	require.NoError(t, db.Get(&notes, `SELECT count(*) FROM note`))
	require.Equal(t, 1, notes)
}

func TestConcurrently(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.MustExec(`CREATE TABLE users (id int)`)
	s := ddl.Step{Name: "index", Concurrently: true, SQL: []string{`CREATE INDEX CONCURRENTLY i ON users (id)`}}
	_, err := ddl.Run(t.Context(), db, users, []ddl.Step{s}, ddl.Options{})
	require.NoError(t, err)
	require.NoError(t, db.Get(new(bool), `SELECT indisvalid FROM pg_index WHERE indexrelid = 'i'::regclass`))
	tx := db.MustBegin()
	require.ErrorContains(t, s.Exec(t.Context(), tx), "cannot run in a transaction")
	require.NoError(t, tx.Rollback())
}

func TestRunEndsWithTheContext(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.MustExec(`CREATE TABLE users (id int)`)
	held := db.MustBegin()
	held.MustExec(`LOCK TABLE users`)
	ctx, cancel := context.WithCancel(t.Context())
	s := add("b")
	log := func(string) { cancel() }
	_, err := ddl.Run(ctx, db, users, []ddl.Step{s}, ddl.Options{LockTimeout: time.Minute, Log: log})
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, held.Rollback())
	require.Equal(t, []string{"id"}, columns(t, db))
}

func TestOptions(t *testing.T) {
	t.Parallel()
	o, err := ddl.Options{}.WithDefaults()
	require.NoError(t, err)
	require.Equal(t, 200*time.Millisecond, o.LockTimeout)
	require.Equal(t, 30, o.Attempts)
	require.NotPanics(t, func() { o.Log("x") })
	o, err = ddl.Options{LockTimeout: time.Minute, Attempts: 1}.WithDefaults()
	require.NoError(t, err)
	require.Equal(t, time.Minute, o.LockTimeout)
	require.Equal(t, 1, o.Attempts)
	for want, bad := range map[string]ddl.Options{
		"lock timeout -1ns: must lie between": {LockTimeout: -1},
		"lock timeout 1m0.001s: must lie":     {LockTimeout: time.Minute + time.Millisecond},
		"attempts -1: must not be negative":   {Attempts: -1},
	} {
		_, err := bad.WithDefaults()
		require.ErrorContains(t, err, want)
		_, err = ddl.Run(t.Context(), nil, users, []ddl.Step{add("b")}, bad)
		require.ErrorContains(t, err, want)
	}
}

func TestStepShowsItself(t *testing.T) {
	t.Parallel()
	s := add("b")
	s.Why = "because"
	require.Equal(t, "-- add b (lock: ACCESS EXCLUSIVE)\n-- because\nBEGIN;\nALTER TABLE users ADD COLUMN b int;\nCOMMIT;\n", s.String())
	s = ddl.Step{Name: "index", Lock: "SHARE UPDATE EXCLUSIVE", Concurrently: true, SQL: []string{"CREATE INDEX CONCURRENTLY i ON users (id)"}}
	require.Equal(t, "-- index (lock: SHARE UPDATE EXCLUSIVE)\nCREATE INDEX CONCURRENTLY i ON users (id);\n", s.String())
}
