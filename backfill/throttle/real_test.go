package throttle_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill/throttle"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/internal/server"
)

const (
	waitTime = 2 * time.Minute
	pollTime = 20 * time.Millisecond
)

func read(t *testing.T, s throttle.Signal, db *sqlx.DB) throttle.Load {
	t.Helper()
	load, err := s.Read(t.Context(), db)
	require.NoError(t, err)
	return load
}

// becomes waits until a signal asks for so much at least.
func becomes(t *testing.T, s throttle.Signal, db *sqlx.DB, least float64) throttle.Load {
	t.Helper()
	var load throttle.Load
	require.Eventually(t, func() bool { load = read(t, s, db); return load.Share >= least }, waitTime, pollTime)
	return load
}

// own is a server of the test's own.
func own(t *testing.T, settings map[string]string) (*server.Server, *sqlx.DB) {
	t.Helper()
	srv, err := server.StartLocal(t.Context(), server.Options{Settings: settings})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, srv.Close()) })
	return srv, pgtest.Open(t, pgtest.CopyOn(t, srv, "template0"))
}

const writeSQL = `CREATE TABLE IF NOT EXISTS filler (x text); INSERT INTO filler SELECT repeat(md5(i::text), 30) FROM generate_series(1, 10000) i`

// A standby that does not replay falls behind for as long as the primary writes; an idle primary has no lag.
func TestLag(t *testing.T) {
	t.Parallel()
	srv, db := own(t, nil)
	standby, err := srv.Standby(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, standby.Close()) })
	lag := &throttle.Lag{Soft: time.Millisecond, Hard: 10 * time.Millisecond, Bytes: 1 << 40}
	require.Eventually(t, func() bool { return read(t, lag, db).Share == 0 }, waitTime, pollTime)
	replay := pgtest.Open(t, standby.DSN("postgres"))
	replay.MustExec(`SELECT pg_wal_replay_pause()`)
	db.MustExec(writeSQL)
	load := becomes(t, lag, db, 1)
	require.Regexp(t, `^standby .* has replayed .* and [\d.e+]+ MiB less than the primary has written: `, load.Reason)
	require.InDelta(t, 1, read(t, &throttle.Lag{Bytes: 1 << 20}, db).Share, 0, "by bytes, at once")
	require.Zero(t, read(t, &throttle.Lag{}, db).Share)
	replay.MustExec(`SELECT pg_wal_replay_resume()`)
	require.Eventually(t, func() bool { return read(t, lag, db).Share == 0 }, waitTime, pollTime)

	gone := read(t, &throttle.Lag{Must: []string{"web2"}}, db)
	require.Equal(t, throttle.Load{Share: 1, Reason: "standby web2 is not connected: start it, or leave it out of Must"}, gone)

	// who may not see how far it is, is told so
	db.MustExec(`CREATE ROLE app LOGIN`)
	_, err = (&throttle.Lag{}).Read(t.Context(), pgtest.Open(t, srv.DSN("postgres", "user=app")))
	require.ErrorContains(t, err, "GRANT pg_monitor to this role")
}

func TestSlots(t *testing.T) {
	t.Parallel()
	_, db := own(t, nil)
	slots := throttle.Slots{Soft: 1 << 20, Hard: 4 << 20}
	require.Zero(t, read(t, slots, db).Share)
	db.MustExec(`CHECKPOINT`) // it keeps the log from the last one on
	db.MustExec(`SELECT pg_create_physical_replication_slot('forgotten', true)`)
	require.Zero(t, read(t, slots, db).Share)
	db.MustExec(writeSQL)
	load := read(t, slots, db)
	require.InDelta(t, 1, load.Share, 0)
	require.Regexp(t, `^replication slot forgotten \(nobody reads it\) keeps [\d.]+ MiB of WAL`, load.Reason)
	half := read(t, throttle.Slots{Soft: 1 << 20, Hard: 100 << 20}, db).Share
	require.Greater(t, half, 0.0)
	require.Less(t, half, 1.0)
	db.MustExec(`SELECT pg_drop_replication_slot('forgotten')`)
	require.Zero(t, read(t, slots, db).Share)
}

func TestBlocked(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	db := pgtest.Open(t, dsn)
	db.MustExec(`CREATE TABLE users (id int PRIMARY KEY); INSERT INTO users VALUES (1)`)
	blocked := throttle.Blocked{Soft: time.Millisecond, Hard: 50 * time.Millisecond}
	for name, want := range map[string]float64{"somebody": 0, throttle.Application + "users.full_name": 1} {
		tx, err := db.Beginx()
		require.NoError(t, err)
		tx.MustExec(fmt.Sprintf(`SET LOCAL application_name = '%s'; UPDATE users SET id = 1`, name))
		done := make(chan error, 1)
		go func() {
			_, err := db.Exec(`SET application_name = 'web'; UPDATE users SET id = 1`)
			done <- err
		}()
		require.Eventually(t, func() bool {
			var waiting int
			require.NoError(t, db.Get(&waiting, `SELECT count(*) FROM pg_locks WHERE waitstart < clock_timestamp() - interval '60 ms' AND pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database())`))
			return waiting > 0
		}, waitTime, pollTime)
		load := read(t, blocked, db)
		require.InDelta(t, want, load.Share, 0, name)
		if want > 0 {
			require.Regexp(t, `^1 sessions wait for the backfill, one for .*\(pid \d+\)`, load.Reason)
		}
		require.NoError(t, tx.Commit())
		require.NoError(t, <-done)
	}
	require.Zero(t, read(t, blocked, db).Share)
}

func TestSnapshot(t *testing.T) {
	t.Parallel()
	_, db := own(t, nil)
	db.MustExec(`CREATE TABLE users (id int)`)
	snapshot := &throttle.Snapshot{Soft: time.Millisecond, Hard: 20 * time.Millisecond}
	require.Zero(t, read(t, &throttle.Snapshot{Soft: time.Hour, Hard: time.Hour}, db).Share)
	tx, err := db.Beginx()
	require.NoError(t, err)
	tx.MustExec(`SET application_name = report; SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT FROM users`)
	require.Contains(t, becomes(t, snapshot, db, 1).Reason, "(report) has held a snapshot for ")
	require.NoError(t, tx.Rollback())

	db.MustExec(`BEGIN; INSERT INTO users VALUES (1); PREPARE TRANSACTION 'forgotten'`)
	require.Contains(t, becomes(t, snapshot, db, 1).Reason, "prepared transaction forgotten has held")
	db.MustExec(`ROLLBACK PREPARED 'forgotten'`)
}

func TestArchiver(t *testing.T) {
	t.Parallel()
	mounted := filepath.Join(os.TempDir(), fmt.Sprintf("tandem-archive-%d", os.Getpid())) // where the server's user can see it
	_, db := own(t, map[string]string{"archive_mode": "on", "archive_command": "test -f " + mounted})
	archiver := &throttle.Archiver{Soft: time.Millisecond, Hard: 50 * time.Millisecond}
	require.Zero(t, read(t, archiver, db).Share)
	db.MustExec(writeSQL)
	db.MustExec(`SELECT pg_switch_wal()`)
	require.Regexp(t, `^archive_command has been failing on [0-9A-F]+ for `, becomes(t, archiver, db, 1).Reason)
	require.NoError(t, os.WriteFile(mounted, nil, 0o600))
	t.Cleanup(func() { require.NoError(t, os.Remove(mounted)) })
	db.MustExec(writeSQL)
	db.MustExec(`SELECT pg_switch_wal()`) // wakes it
	require.Eventually(t, func() bool { return read(t, archiver, db).Share == 0 }, 2*waitTime, pollTime)
}

func TestDeadRows(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.MustExec(`CREATE TABLE users (id int PRIMARY KEY) WITH (autovacuum_enabled = off); INSERT INTO users SELECT generate_series(1, 20000)`)
	dead := throttle.DeadRows{Table: "users"}
	require.Zero(t, read(t, dead, db).Share)
	db.MustExec(`UPDATE users SET id = id + 20000`)
	require.Contains(t, becomes(t, dead, db, 0.9).Reason, "users has 20000 dead rows beside ")
	db.MustExec(`VACUUM users`)
	require.Eventually(t, func() bool { return read(t, dead, db).Share == 0 }, waitTime, pollTime)
	_, err := throttle.DeadRows{Table: "gone"}.Read(t.Context(), db)
	require.ErrorContains(t, err, "table gone is not there")
}

func TestWAL(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	wal := &throttle.WAL{Soft: 1, Hard: 2}
	require.Zero(t, read(t, wal, db).Share)
	db.MustExec(writeSQL)
	load := read(t, wal, db)
	require.InDelta(t, 1, load.Share, 0)
	require.Regexp(t, `^the server writes [\d.]+ [MG]iB of WAL a second: `, load.Reason)
	_, err := (&throttle.WAL{}).Read(t.Context(), db)
	require.ErrorContains(t, err, "say both")
}

func TestLimits(t *testing.T) {
	t.Parallel()
	for _, s := range []throttle.Signal{&throttle.Lag{Soft: -1}, throttle.Slots{Soft: 2, Hard: 1}, throttle.Blocked{Soft: -1}, &throttle.Snapshot{Hard: -1}, &throttle.Archiver{Soft: 9, Hard: 8}, throttle.DeadRows{Hard: -2}} {
		_, err := s.Read(t.Context(), nil)
		require.ErrorContains(t, err, s.Name()+": limits ")
	}
	require.Len(t, throttle.Default("users"), 5)
	db := pgtest.New(t)
	db.MustExec(`CREATE TABLE users ()`)
	for _, s := range throttle.Default("users") {
		_ = read(t, s, db)
	}
}
