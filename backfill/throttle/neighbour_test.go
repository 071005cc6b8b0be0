package throttle_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill/throttle"
	"github.com/tandem-go/tandem/internal/pgtest"
)

// Statistics that are lost, by a crash or a failover, do not make a table look small: it would wait for an autovacuum that is not due.
func TestDeadRowsWithoutStatistics(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	for _, c := range []struct{ name, sql string }{
		{"users", `CREATE TABLE users (id int PRIMARY KEY) WITH (autovacuum_enabled = off)`},
		{"parts", `CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE one PARTITION OF parts FOR VALUES FROM (0) TO (100000) WITH (autovacuum_enabled = off);
			CREATE TABLE two PARTITION OF parts FOR VALUES FROM (100000) TO (200000) WITH (autovacuum_enabled = off)`},
	} {
		db.MustExec(c.sql)
		db.MustExec(fmt.Sprintf(`INSERT INTO %s SELECT generate_series(1, 150000)`, c.name))
		db.MustExec(`ANALYZE ` + c.name)
		require.Eventually(t, func() bool {
			return count(t, db, `SELECT sum(n_tup_ins)::int FROM pg_stat_user_tables WHERE relname IN ('users', 'one', 'two')`) >= 150000
		}, waitTime, pollTime)
		db.MustExec(`SELECT pg_stat_reset()`)
		db.MustExec(fmt.Sprintf(`UPDATE %s SET id = id WHERE id <= 20000`, c.name))
		dead := throttle.DeadRows{Table: c.name, Soft: 0.001, Hard: 1}
		load := becomes(t, dead, db, 0.01)
		require.Less(t, load.Share, 0.2, load.Reason)
		require.Equal(t, fmt.Sprintf("%s has 20000 dead rows beside 150000 live ones: is autovacuum on, and does an old snapshot hinder it?", c.name), load.Reason)
		require.Zero(t, read(t, throttle.DeadRows{Table: c.name}, db).Share)
		db.MustExec(`DROP TABLE ` + c.name)
	}
}

// The session that has waited longest is named, and batches of another database are not ours.
func TestBlockedNames(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	db, elsewhere := pgtest.Open(t, dsn), pgtest.New(t)
	db.MustExec(`CREATE TABLE users (id int PRIMARY KEY); INSERT INTO users VALUES (1), (2)`)
	batch := db.MustBegin()
	batch.MustExec(`SET LOCAL application_name = 'tandem backfill users.full_name'; SELECT FROM users FOR UPDATE`)
	// the lower pid waits for less time
	late, err := db.Connx(t.Context())
	require.NoError(t, err)
	early, err := db.Connx(t.Context())
	require.NoError(t, err)
	pid := map[string]int{}
	done := make(chan error, 2)
	conns := map[string]*sqlx.Conn{"late": late, "early": early}
	for name, c := range conns {
		var p int
		require.NoError(t, c.GetContext(t.Context(), &p, `SELECT pg_backend_pid()`))
		pid[name] = p
	}
	wait := func(id int, name string) {
		go func() {
			_, err := conns[name].ExecContext(context.Background(), `UPDATE users SET id = id WHERE id = $1`, id)
			done <- err
		}()
		require.Eventually(t, func() bool {
			return count(t, db, `SELECT count(*) FROM pg_locks WHERE pid = $1 AND waitstart < clock_timestamp() - interval '50 ms'`, pid[name]) > 0
		}, waitTime, pollTime)
	}
	first, second := "early", "late"
	if pid["early"] < pid["late"] {
		first, second = "late", "early"
	}
	wait(1, first) // that of the higher pid
	wait(2, second)
	load := read(t, throttle.Blocked{Soft: time.Millisecond, Hard: 20 * time.Millisecond}, db)
	require.Regexp(t, fmt.Sprintf(`^2 sessions wait for the backfill, one for .* \(pid %d\): `, pid[first]), load.Reason)
	require.InDelta(t, 1, load.Share, 0)
	require.Zero(t, read(t, throttle.Blocked{Soft: time.Millisecond, Hard: 20 * time.Millisecond}, elsewhere).Share)
	require.NoError(t, batch.Rollback())
	require.NoError(t, <-done)
	require.NoError(t, <-done)
	require.NoError(t, late.Close())
	require.NoError(t, early.Close())
}

// Where max_slot_wal_keep_size bounds what a slot keeps, it counts before it has lost its place, however far the limits are.
func TestSlotAboutToBeLost(t *testing.T) {
	t.Parallel()
	_, db := own(t, map[string]string{"max_slot_wal_keep_size": "96MB", "min_wal_size": "32MB"})
	db.MustExec(`CHECKPOINT`)
	db.MustExec(`SELECT pg_create_physical_replication_slot('forgotten', true)`)
	require.Zero(t, read(t, throttle.Slots{}, db).Share)
	seen := false
	require.Eventually(t, func() bool {
		db.MustExec(writeSQL)
		load := read(t, throttle.Slots{}, db)
		seen = seen || load.Share > 0 && load.Share < 1
		return load.Share == 1
	}, waitTime, pollTime)
	require.True(t, seen, "it slows down before it stops")
	require.Contains(t, read(t, throttle.Slots{}, db).Reason, "is about to lose its place")
	require.NotEqual(t, 0, count(t, db, `SELECT count(*) FROM pg_replication_slots WHERE wal_status <> 'lost'`))
}

// An archive_command that hangs does not fail. What waits is seen without pg_monitor too.
func TestArchiverHangs(t *testing.T) {
	t.Parallel()
	hang := filepath.Join(os.TempDir(), fmt.Sprintf("tandem-hang-%d", os.Getpid()))
	srv, db := own(t, map[string]string{"archive_mode": "on", "archive_command": "while test -f " + hang + "; do sleep 0.1; done"})
	db.MustExec(`CREATE ROLE app LOGIN`)
	app := pgtest.Open(t, srv.DSN("postgres", "user=app"))
	archiver := func() *throttle.Archiver { return &throttle.Archiver{SoftBytes: 16 << 20, HardBytes: 64 << 20} }
	db.MustExec(`SELECT pg_switch_wal()`)
	require.Eventually(t, func() bool { return count(t, db, `SELECT archived_count FROM pg_stat_archiver`) > 0 }, waitTime, pollTime)
	require.Zero(t, read(t, archiver(), db).Share)
	require.Zero(t, read(t, archiver(), app).Share)
	require.NoError(t, os.WriteFile(hang, nil, 0o600))
	t.Cleanup(func() { _ = os.Remove(hang) })
	for range 6 {
		db.MustExec(writeSQL)
		db.MustExec(`SELECT pg_switch_wal()`)
	}
	require.Zero(t, count(t, db, `SELECT failed_count FROM pg_stat_archiver`))
	for _, as := range []string{"owner", "app"} {
		pool := db
		if as == "app" {
			pool = app
		}
		load := read(t, archiver(), pool)
		require.InDelta(t, 1, load.Share, 0, as)
		require.Regexp(t, `^\d+ MiB of WAL wait to be archived: `, load.Reason)
	}
	require.NoError(t, os.Remove(hang))
	require.Eventually(t, func() bool { return read(t, archiver(), db).Share == 0 && read(t, archiver(), app).Share == 0 }, 2*waitTime, pollTime)
}

// A standby that is asked itself tells how far it is to any role, and that it is none.
func TestReplica(t *testing.T) {
	t.Parallel()
	srv, db := own(t, nil)
	db.MustExec(`CREATE ROLE app LOGIN`)
	standby, err := srv.Standby(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, standby.Close()) })
	app := pgtest.Open(t, srv.DSN("postgres", "user=app"))
	replica := &throttle.Replica{Standby: "web2", DB: pgtest.Open(t, standby.DSN("postgres", "user=app")), Soft: time.Millisecond, Hard: 10 * time.Millisecond, Bytes: 1 << 40}
	require.Equal(t, "standby web2", replica.Name())
	require.Eventually(t, func() bool { return read(t, replica, app).Share == 0 }, waitTime, pollTime)
	replay := pgtest.Open(t, standby.DSN("postgres"))
	replay.MustExec(`SELECT pg_wal_replay_pause()`)
	db.MustExec(writeSQL)
	require.Regexp(t, `^standby web2 has replayed .* less than the primary has written: `, becomes(t, replica, app, 1).Reason)
	require.InDelta(t, 1, read(t, &throttle.Lag{Bytes: 1 << 20}, db).Share, 0)
	require.Zero(t, read(t, &throttle.Lag{Bytes: 1 << 20, Ignore: []string{"walreceiver"}}, db).Share)
	replay.MustExec(`SELECT pg_wal_replay_resume()`)
	require.Eventually(t, func() bool { return read(t, replica, app).Share == 0 }, waitTime, pollTime)

	_, err = (&throttle.Replica{Standby: "web2", DB: db}).Read(t.Context(), db)
	require.ErrorContains(t, err, "it is no standby")
	_, err = (&throttle.Replica{Standby: "web2"}).Read(t.Context(), db)
	require.ErrorContains(t, err, "standby web2: its DB is missing")
}
