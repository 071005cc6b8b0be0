package guard_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/internal/state"
)

func TestStrayIsRecordedOnceATransaction(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t, "application_name=cron.daily")
	b := bed{db: pgtest.Open(t, dsn), def: rename()}
	require.NoError(t, state.Install(t.Context(), b.db))
	b.db.MustExec(usersSQL)
	b.install(t, guard.Repair)
	for range 2 {
		tx := b.db.MustBegin()
		tx.MustExec(`UPDATE users SET user_name = user_name || '!'`)
		tx.MustExec(`INSERT INTO users (id) SELECT coalesce(max(id), 0) + 1 FROM users`)
		require.NoError(t, tx.Commit())
	}
	strays, err := state.Strays(t.Context(), b.db, b.def.Name())
	require.NoError(t, err)
	require.Len(t, strays, 1)
	require.Equal(t, "cron.daily", strays[0].Application)
	require.Equal(t, "postgres", strays[0].Role)
	require.Equal(t, "update", strays[0].Operation)
	require.EqualValues(t, 2, strays[0].Count)
	require.NotEmpty(t, strays[0].Address)
	var begun bool // query_start is the statement's, not the row's
	require.NoError(t, b.db.Get(&begun, `SELECT bool_and(query_start <= at) FROM tandem.stray`))
	require.True(t, begun)
}

func TestStrayOfTwoPairsIsRecordedForEach(t *testing.T) {
	t.Parallel()
	other := rename()
	other.Old, other.New, other.Stamp = []string{"email"}, []string{"address"}, "address_stamp"
	other.Forward, other.Backward = []string{"{email}"}, []string{"{address}"}
	b := newBed(t, usersSQL+`; ALTER TABLE users ADD address text, ADD address_stamp int`, rename(), guard.Repair)
	bed{db: b.db, def: other}.install(t, guard.Repair)
	tx := b.db.MustBegin()
	tx.MustExec(`UPDATE users SET user_name = 'x', email = 'y' WHERE id = 1`)
	tx.MustExec(`UPDATE users SET email = 'z' WHERE id = 2`)
	require.NoError(t, tx.Commit())
	require.Equal(t, []string{"users.address", "users.full_name"}, list(t, b.db, `SELECT migration FROM tandem.stray ORDER BY 1`))
	require.Equal(t, []string{"1|x|x|2", bob}, b.rows(t, b.db))
	require.Equal(t, []string{"1|y|y|2", "2|z|z|2"}, bed{def: other}.rows(t, b.db))
}

// The note that a transaction is on record ends with the savepoint that took the record along.
func TestStrayAfterRollbackToSavepointIsRecorded(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL, rename(), guard.Repair)
	tx := b.db.MustBegin()
	tx.MustExec(`SAVEPOINT s; UPDATE users SET user_name = 'lost' WHERE id = 1; ROLLBACK TO s`)
	require.Equal(t, []string{}, list(t, tx, `SELECT operation FROM tandem.stray`))
	tx.MustExec(`INSERT INTO users (id) VALUES (3)`)
	require.NoError(t, tx.Commit())
	require.Equal(t, []string{"insert"}, list(t, b.db, `SELECT operation FROM tandem.stray`))
	require.Equal(t, []string{ada, bob, "3|anon|anon|2"}, b.rows(t, b.db))
}

// Strays must not wait for one another.
func TestTwoStraysAtOnce(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL, rename(), guard.Repair)
	first, second := b.db.MustBegin(), b.db.MustBegin()
	first.MustExec(`SET LOCAL lock_timeout = '1ms'; UPDATE users SET user_name = 'x' WHERE id = 1`)
	second.MustExec(`SET LOCAL lock_timeout = '1ms'; UPDATE users SET user_name = 'y' WHERE id = 2`)
	require.NoError(t, second.Commit())
	require.NoError(t, first.Commit())
	require.Equal(t, []string{"1|x|x|2", "2|y|y|2"}, b.rows(t, b.db))
	require.Len(t, list(t, b.db, `SELECT operation FROM tandem.stray`), 2)
}

func TestReplicaRole(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL, rename(), guard.Repair)
	replica := `SET LOCAL session_replication_role = replica; `
	b.run(t, []deed{
		{name: "insert", sql: replica + `INSERT INTO users (id, user_name) VALUES (3, 'cy')`, rows: []string{ada, bob, "3|cy|cy|2"}, stray: "insert"},
		{name: "update", sql: replica + `UPDATE users SET user_name = 'eve' WHERE id = 1`, rows: []string{"1|eve|eve|2", bob}, stray: "update"},
	})
	b.install(t, guard.Reject)
	b.run(t, []deed{
		{name: "rejected insert", sql: replica + `INSERT INTO users (id, user_name) VALUES (3, 'cy')`, err: "TD001"},
		{name: "rejected update", sql: replica + `UPDATE users SET user_name = 'eve'`, err: "TD001"},
	})
}

// A role of the application needs no right on schema tandem: the guard's functions run as their owner.
func TestRoleWithoutRights(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL, goOnly(), guard.Repair)
	var role string
	require.NoError(t, b.db.Get(&role, `SELECT current_database() || '_app'`)) // roles belong to the whole server
	b.db.MustExec(`CREATE ROLE ` + role)
	t.Cleanup(func() { b.db.MustExec(`DROP OWNED BY ` + role + `; DROP ROLE ` + role) })
	b.db.MustExec(`GRANT SELECT, INSERT, UPDATE ON users TO ` + role + `; REVOKE ALL ON SCHEMA tandem FROM PUBLIC`)
	tx := b.db.MustBegin()
	tx.MustExec(`SET LOCAL ROLE ` + role + `; INSERT INTO users (id) VALUES (3); UPDATE users SET user_name = 'eve' WHERE id = 1`)
	require.NoError(t, tx.Commit())
	require.Equal(t, []string{"1|eve|NULL|NULL", bob, "3|anon|NULL|NULL"}, b.rows(t, b.db))
	require.Equal(t, []string{"1", "3"}, list(t, b.db, `SELECT key[1] FROM tandem.dirty ORDER BY 1`))
	b.fails(t, "42501", `SET ROLE `+role+`; SELECT tandem.record_stray('x', 'y')`)
	b.install(t, guard.Reject)
	b.fails(t, "TD001", `SET ROLE `+role+`; INSERT INTO users (id) VALUES (4)`)
}
