package state_test

import (
	"context"
	"os"
	"testing"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/internal/phase"
	"github.com/tandem-go/tandem/internal/state"
)

// firstVersion is a database whose state schema was installed by the first version of the library, with a migration in Switch.
func firstVersion(t *testing.T) (db *sqlx.DB, dsn string) {
	t.Helper()
	dsn = pgtest.DSN(t)
	db = pgtest.Open(t, dsn)
	first, err := os.ReadFile("schema_1.sql")
	require.NoError(t, err)
	db.MustExec(`CREATE SCHEMA tandem; ` + string(first) + `; COMMENT ON SCHEMA tandem IS 'tandem state, version 1'`)
	db.MustExec(`INSERT INTO tandem.migration (name, definition, fingerprint, phase, guard, epoch) VALUES ($1, '{}', $2, 'Switch', 'repair', 4);
		`, rename().Name(), rename().Fingerprint())
	db.MustExec(`INSERT INTO tandem.member (id, service, build, host, pid, epochs) VALUES ('a', 'web', 'v1', 'h', 7, '{"users.full_name": 4}')`)
	return db, dsn
}

// A program of today that meets a schema of yesterday says what to do; installing keeps all rows, reads no other column than before and never falls back by itself.
func TestUpgradeFromTheFirstVersion(t *testing.T) {
	t.Parallel()
	db, _ := firstVersion(t)
	for name, call := range map[string]func() error{
		"load":    func() error { _, err := state.Load(t.Context(), db, rename().Name()); return err },
		"list":    func() error { _, err := state.List(t.Context(), db); return err },
		"members": func() error { _, err := state.Members(t.Context(), db); return err },
		"beat":    func() error { return state.Beat(t.Context(), db, state.Member{ID: "a"}) },
		"compare": func() error { _, err := state.Compare(t.Context(), db, "a", state.Compared{}); return err },
	} {
		err := call()
		require.ErrorIs(t, err, state.ErrOlder, name)
		require.ErrorContains(t, err, "run expand.Apply, or switchover.Join, as its owner")
	}
	require.NoError(t, state.Install(t.Context(), db))
	m, err := state.Load(t.Context(), db, rename().Name())
	require.NoError(t, err)
	require.Equal(t, phase.Switch, m.Phase)
	require.EqualValues(t, 4, m.Epoch)
	require.Equal(t, state.Canary{Share: 1, Tolerance: 1, Least: 1000}, m.Canary)
	members, err := state.Members(t.Context(), db)
	require.NoError(t, err)
	require.EqualValues(t, 4, members[0].Epochs[m.Name])
	fresh := installed(t)
	require.Equal(t, objects(t, fresh), objects(t, db))
}

// An upgrade that meets a long reader lets go again and again: nobody who polls waits behind it for longer than its timeout.
func TestUpgradeDoesNotHoldUpThePolls(t *testing.T) {
	t.Parallel()
	db, dsn := firstVersion(t)
	reader := db.MustBegin()
	reader.MustExec(`SELECT count(*) FROM tandem.migration`)
	done := make(chan error, 1)
	other := pgtest.Open(t, dsn)
	go func() { done <- state.Install(t.Context(), other) }()
	waits := func() (n int) {
		require.NoError(t, db.Get(&n, `SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'tandem.migration'::regclass`))
		return n
	}
	for range 2 { // it waits, lets go, and waits again
		require.Eventually(t, func() bool { return waits() > 0 }, waitTime, pollTime)
		_, err := db.Exec(`SELECT name FROM tandem.migration`) // behind it in the queue
		require.NoError(t, err)
		require.Eventually(t, func() bool { return waits() == 0 }, waitTime, pollTime)
	}
	require.NoError(t, reader.Rollback())
	require.NoError(t, <-done)
}

// A hand that empties the tables is stopped while a migration is under way, and told how one ends.
func TestPhasesAreKept(t *testing.T) {
	t.Parallel()
	db := installed(t)
	db.MustExec(`CREATE TABLE users (id int PRIMARY KEY, user_name text)`)
	m, err := register(t, db, rename())
	require.NoError(t, err)
	refused := func(statement string) {
		t.Helper()
		_, err := db.Exec(statement)
		require.Equal(t, pg.KeptMigration, pg.SQLState(err), statement)
		require.ErrorContains(t, err, "users.full_name in Start")
	}
	for _, table := range []string{"migration", "dirty", "bad_row", "migration, tandem.stray, tandem.member"} {
		refused(`TRUNCATE tandem.` + table)
	}
	db.MustExec(`DELETE FROM tandem.migration`) // the table has no stamp, so nothing is under way
	m, err = register(t, db, rename())
	require.NoError(t, err)
	db.MustExec(`ALTER TABLE users ADD full_name text, ADD full_name_stamp int`)
	refused(`DELETE FROM tandem.migration`)
	require.NoError(t, in(t, db, func(ctx context.Context, tx *sqlx.Tx) error { return m.Move(ctx, tx, phase.Complete, guard.None) }))
	db.MustExec(`TRUNCATE tandem.migration, tandem.dirty`)
	_, err = state.Load(t.Context(), db, m.Name)
	require.ErrorIs(t, err, state.ErrUnknown)
}
