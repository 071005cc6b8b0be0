//go:build unix

package backfill_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/internal/server"
)

// streamed is a bed on a primary of its own, with a standby.
func streamed(t *testing.T, create string, p expand.Any, settings map[string]string) (b *bed, standby *sqlx.DB) {
	t.Helper()
	primary, err := server.StartLocal(t.Context(), server.Options{})
	if err != nil && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, primary.Close()) })
	b = &bed{T: t, ctx: t.Context(), dsn: primary.DSN(""), pair: p}
	b.db = pgtest.Open(t, b.dsn)
	there, err := primary.StandbyWith(t.Context(), settings) // before there is anything: it replays the whole migration
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, there.Close()) })
	standby = pgtest.Open(t, there.DSN(""))
	b.exec(create)
	b.migrate(p)
	b.run()
	return b, standby
}

func pause(t *testing.T, standby *sqlx.DB) {
	t.Helper()
	standby.MustExec(`SELECT pg_wal_replay_pause()`)
	require.Eventually(t, func() bool {
		var state string
		require.NoError(t, standby.Get(&state, `SELECT pg_get_wal_replay_pause_state()`))
		return state == "paused"
	}, waitTime, pollTime)
}

// Rows are read on the standby, once it has replayed what was there as the verification began, and the result is written to the primary.
func TestVerifyOnAStandby(t *testing.T) {
	t.Parallel()
	for name, p := range childPairs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, standby := streamed(t, usersSQL(20_000), p, map[string]string{"max_standby_streaming_delay": "-1"})
			o := backfill.VerifyOptions{Standby: standby, Lag: 50 * time.Millisecond}
			pause(t, standby)
			b.around(`UPDATE users SET full_name = 'wrong' WHERE id IN (1, 20000)`)
			_, err := backfill.Verify(b.ctx, b.db, p, o)
			require.ErrorIs(t, err, backfill.ErrLag)
			require.Regexp(t, `it is at \w+/\w+, [1-9]\d* bytes behind the primary's .*; its replay is paused`, err.Error())

			ctx, cancel := context.WithTimeoutCause(b.ctx, 50*time.Millisecond, errOdd)
			defer cancel()
			_, err = backfill.Verify(ctx, b.db, p, backfill.VerifyOptions{Standby: standby})
			require.ErrorIs(t, err, errOdd)

			o.Lag = waitTime
			done := make(chan error, 1)
			var report backfill.Report
			go func() {
				var err error
				report, err = backfill.Verify(b.ctx, b.db, p, o)
				done <- err
			}()
			standby.MustExec(`SELECT pg_wal_replay_resume()`)
			require.NoError(t, <-done)
			requireReport(t, backfill.Report{Rows: 20_000, Differences: 2, Keys: [][]string{{"1"}, {"20000"}}}, report)
			require.Equal(t, 2, b.number(`SELECT differences FROM tandem.backfill WHERE kind = 'verify' AND finished_at IS NOT NULL`))

			// the standby stands still behind the beginning: what the primary has written since is not what was read
			first := true
			b.around(`UPDATE users SET full_name = 'wrong' WHERE id IN (7, 19999)`)
			report, err = backfill.Verify(b.ctx, b.db, p, backfill.VerifyOptions{Standby: standby, Batch: 10_000, Target: 10e9, Progress: func(backfill.Progress) {
				if first {
					first = false
					pause(t, standby)
					b.exec(`ALTER TABLE users DISABLE TRIGGER USER`)
					b.exec(`UPDATE users SET full_name = user_name`)
					b.exec(`UPDATE users SET full_name = upper(user_name)`)
				}
			}})
			standby.MustExec(`SELECT pg_wal_replay_resume()`)
			require.NoError(t, err)
			require.EqualValues(t, 4, report.Differences)
		})
	}
}

// A primary, a standby of another server and one that was promoted are refused.
func TestVerifyRefusesWhatIsNoStandby(t *testing.T) {
	t.Parallel()
	b, standby := streamed(t, usersSQL(2000), fullName, nil)
	_, err := backfill.Verify(b.ctx, b.db, b.pair, backfill.VerifyOptions{Standby: b.db})
	require.ErrorIs(t, err, backfill.ErrStandby)
	require.ErrorContains(t, err, "it is a primary")

	other := newBed(t, usersSQL(10), fullName)
	_, err = backfill.Verify(b.ctx, other.db, b.pair, backfill.VerifyOptions{Standby: standby})
	require.ErrorIs(t, err, backfill.ErrStandby)
	require.ErrorContains(t, err, "system identifier")

	// without the right to see the identifiers the state's own row tells: it is never there
	for _, db := range []*sqlx.DB{b.db, other.db} {
		_, err = db.ExecContext(b.ctx, `REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC`)
		require.NoError(t, err)
	}
	role := `CREATE ROLE reader LOGIN; GRANT ALL ON SCHEMA tandem TO reader; GRANT ALL ON ALL TABLES IN SCHEMA tandem, public TO reader; GRANT ALL ON ALL SEQUENCES IN SCHEMA tandem TO reader`
	b.exec(role)
	b.exec(`SELECT pg_switch_wal()`)
	b.eventuallyOn(standby, `SELECT count(*) FROM pg_roles WHERE rolname = 'reader'`)
	as := pgtest.Open(t, b.standbyAs(standby, "reader"))
	_, err = backfill.Verify(b.ctx, other.db, b.pair, backfill.VerifyOptions{Standby: as, Lag: 50 * time.Millisecond})
	require.ErrorIs(t, err, backfill.ErrLag)

	_, err = backfill.Verify(b.ctx, b.db, b.pair, backfill.VerifyOptions{Standby: as, Batch: 100, Target: 10e9, Progress: func(p backfill.Progress) {
		if p.Rows == 100 {
			standby.MustExec(`SELECT pg_promote()`)
		}
	}})
	require.ErrorIs(t, err, backfill.ErrStandby)
	require.ErrorContains(t, err, "any more")
	require.Zero(t, b.number(`SELECT count(finished_at) FROM tandem.backfill WHERE kind = 'verify'`))
}

func (b *bed) eventuallyOn(db *sqlx.DB, query string) {
	b.Helper()
	require.Eventually(b, func() bool {
		var n int
		return db.Get(&n, query) == nil && n > 0
	}, waitTime, pollTime)
}

// standbyAs is the address of a standby for another role.
func (b *bed) standbyAs(standby *sqlx.DB, role string) string {
	b.Helper()
	var dsn string
	require.NoError(b, standby.Get(&dsn, `SELECT format('host=%s port=%s dbname=postgres sslmode=disable user=', split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port'))`))
	return dsn + role
}

// A query that recovery cancels is tried again.
func TestVerifyOutlivesConflictsWithRecovery(t *testing.T) {
	t.Parallel()
	waits := `CREATE FUNCTION waits(v text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN v; END$$;`
	p := expand.Convert(expand.Spec[string, string]{Table: "users", Old: "user_name", New: "full_name", Type: "text", Forward: same, Backward: same,
		ForwardSQL: "public.waits({user_name})", BackwardSQL: "{full_name}"})
	b, standby := streamed(t, waits+usersSQL(100), p, map[string]string{"max_standby_streaming_delay": "0"})
	holder, err := standby.Connx(b.ctx)
	require.NoError(t, err)
	defer func() { _ = holder.Close() }()
	_, err = holder.ExecContext(b.ctx, `SELECT pg_advisory_lock(7)`)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() {
		_, err := backfill.Verify(b.ctx, b.db, p, backfill.VerifyOptions{Standby: standby})
		done <- err
	}()
	const waiting = ` FROM pg_locks WHERE locktype = 'advisory' AND NOT granted`
	b.eventuallyOn(standby, `SELECT count(*)`+waiting)
	var first string
	require.NoError(t, standby.Get(&first, `SELECT virtualtransaction`+waiting))
	b.exec(`BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE; COMMIT`)
	b.eventuallyOn(standby, `SELECT count(*)`+waiting+` AND virtualtransaction <> '`+first+`'`) // the second attempt
	_, err = holder.ExecContext(b.ctx, `SELECT pg_advisory_unlock(7)`)
	require.NoError(t, err)
	require.NoError(t, <-done)
	require.Equal(t, 100, b.number(`SELECT rows FROM tandem.backfill WHERE kind = 'verify' AND differences = 0 AND finished_at IS NOT NULL`))
}
