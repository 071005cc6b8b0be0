package throttle_test

import (
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill/throttle"
	"github.com/tandem-go/tandem/internal/pgtest"
)

// count is the number that a query says.
func count(t *testing.T, db *sqlx.DB, query string, args ...any) int {
	t.Helper()
	var n int
	require.NoError(t, db.Get(&n, query, args...))
	return n
}

// A transaction that has written and idles has no xmin, and holds dead rows all the same.
func TestSnapshotOfIdleTransaction(t *testing.T) {
	t.Parallel()
	_, db := own(t, nil)
	db.MustExec(`CREATE TABLE users (id int)`)
	snapshot := &throttle.Snapshot{Soft: time.Millisecond, Hard: 20 * time.Millisecond}
	tx, err := db.Beginx()
	require.NoError(t, err)
	tx.MustExec(`SET application_name = forgetful; INSERT INTO users VALUES (1)`)
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM pg_stat_activity WHERE application_name = 'forgetful' AND backend_xmin IS NULL AND backend_xid IS NOT NULL AND datname = current_database()`))
	require.Contains(t, becomes(t, snapshot, db, 1).Reason, "(forgetful) has held a transaction open for ")
	require.NoError(t, tx.Rollback())
}

// A transaction that has written is in the way of pruning in every database; one that only reads, in its own.
func TestSnapshotOfAnotherDatabase(t *testing.T) {
	t.Parallel()
	srv, db := own(t, nil)
	snapshot := &throttle.Snapshot{Soft: time.Hour, Hard: time.Hour}
	oldest := func(begin string) string {
		tx, err := pgtest.Open(t, srv.DSN("", "application_name=neighbour")).Beginx()
		require.NoError(t, err)
		tx.MustExec(begin)
		defer func() { require.NoError(t, tx.Rollback()) }()
		held, err := snapshot.Oldest(t.Context(), db)
		require.NoError(t, err)
		return held.String()
	}
	require.Contains(t, oldest(`CREATE TABLE users (id int)`), "(neighbour, in database postgres) has held a transaction open for ")
	require.NotContains(t, oldest(`SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT FROM pg_class`), "neighbour")
}

// A VACUUM has an xmin for as long as it takes, and holds no dead row.
func TestSnapshotOfVacuum(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	db := pgtest.Open(t, dsn)
	db.MustExec(`CREATE TABLE users (id int) WITH (autovacuum_enabled = off); INSERT INTO users SELECT generate_series(1, 200000); DELETE FROM users WHERE id % 2 = 0`)
	vacuum := pgtest.Open(t, dsn+" application_name=vacuum vacuum_cost_delay=100 vacuum_cost_limit=1")
	done := make(chan error, 1)
	go func() {
		_, err := vacuum.Exec(`VACUUM users`)
		done <- err
	}()
	const under = `FROM pg_stat_activity WHERE application_name = 'vacuum' AND datname = current_database() AND backend_xmin IS NOT NULL AND pid IN (SELECT pid FROM pg_stat_progress_vacuum)
		AND xact_start < clock_timestamp() - interval '100 ms'`
	require.Eventually(t, func() bool { return count(t, db, `SELECT count(*) `+under) == 1 }, waitTime, pollTime)
	snapshot := &throttle.Snapshot{Soft: time.Millisecond, Hard: 20 * time.Millisecond}
	require.NotContains(t, read(t, snapshot, db).Reason, "(vacuum)")
	require.Equal(t, 1, count(t, db, `SELECT count(*) `+under), "it was under way")
	db.MustExec(`SELECT pg_cancel_backend(pid) ` + under)
	require.ErrorContains(t, <-done, "canceling statement")
}

// A long transaction of READ COMMITTED has a snapshot for each statement. It is not old, and who may not see when it began sees that too.
func TestSnapshotOfReadCommitted(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	db := pgtest.Open(t, dsn)
	db.MustExec(`CREATE TABLE users (id int)`)
	tx, err := pgtest.Open(t, dsn+" application_name=batch").Beginx()
	require.NoError(t, err)
	tx.MustExec(`SELECT FROM users`)
	snapshot := &throttle.Snapshot{Soft: time.Hour, Hard: time.Hour}
	require.Zero(t, read(t, snapshot, db).Share)
	db.MustExec(`INSERT INTO users VALUES (1)`) // a transaction number that its next snapshot follows
	require.Eventually(t, func() bool {
		return count(t, db, `SELECT count(*) FROM pg_stat_activity WHERE application_name = 'batch' AND datname = current_database() AND xact_start < clock_timestamp() - interval '1 s'`) == 1
	}, waitTime, pollTime)
	require.Zero(t, read(t, snapshot, db).Share)
	db.MustExec(`INSERT INTO users VALUES (1)`)
	done := make(chan error, 1)
	go func() {
		_, err := tx.Exec(`SELECT pg_sleep(1000)`)
		done <- err
	}()
	const sleeps = `FROM pg_stat_activity WHERE application_name = 'batch' AND datname = current_database() AND backend_xmin IS NOT NULL AND wait_event = 'PgSleep'`
	require.Eventually(t, func() bool { return count(t, db, `SELECT count(*) `+sleeps) == 1 }, waitTime, pollTime)
	snapshot.Soft, snapshot.Hard = 900*time.Millisecond, time.Second
	require.NotContains(t, read(t, snapshot, db).Reason, "(batch)")
	db.MustExec(`SELECT pg_cancel_backend(pid) ` + sleeps)
	require.ErrorContains(t, <-done, "canceling statement")
	require.NoError(t, tx.Rollback())
}

// Without pg_monitor the age of another role's snapshot counts from the first reading on.
func TestSnapshotWithoutPrivilege(t *testing.T) {
	t.Parallel()
	srv, db := own(t, nil)
	db.MustExec(`CREATE ROLE app LOGIN; CREATE TABLE users (id int)`)
	name := ""
	require.NoError(t, db.Get(&name, `SELECT current_database()`))
	app := pgtest.Open(t, srv.DSN(name, "user=app"))
	snapshot := &throttle.Snapshot{Soft: time.Millisecond, Hard: 20 * time.Millisecond}
	require.Zero(t, read(t, snapshot, app).Share)
	tx, err := pgtest.Open(t, srv.DSN(name, "application_name=report")).Beginx()
	require.NoError(t, err)
	tx.MustExec(`SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT FROM users`)
	db.MustExec(`INSERT INTO users VALUES (1)`)
	require.Contains(t, becomes(t, snapshot, app, 1).Reason, "(report) has held a snapshot for ")
	require.NoError(t, tx.Rollback())
}
