package backfill_test

import (
	"fmt"
	"testing"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/internal/pgtest"
)

// Run waits 200 ms for a row that another transaction holds, lets go of its other rows, tries again, and is done once the row is free.
func TestRetryBehindARowLock(t *testing.T) {
	t.Parallel()
	for name, p := range childPairs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, usersSQL(300), p)
			release := b.lock(`SELECT FROM users WHERE id = 150 FOR UPDATE`)
			t.Cleanup(release)
			runner := pgtest.Open(t, b.dsn+" application_name=runner")
			done := make(chan error, 1)
			go func() {
				_, err := backfill.Run(t.Context(), runner, p, backfill.Options{Batch: 100, Stripes: 1, Target: 10e9})
				done <- err
			}()
			waiting := map[string]bool{} // begins of transactions that were seen waiting
			require.Eventually(t, func() bool {
				for _, begin := range b.texts(`SELECT xact_start FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'tandem backfill%' AND wait_event_type = 'Lock'`) {
					waiting[begin] = true
				}
				return len(waiting) > 1
			}, waitTime, pollTime)
			require.Equal(t, 100, b.number(stamped))
			_, err := b.db.Exec(`SET lock_timeout = '10s'; UPDATE users SET user_name = 'free' WHERE id = 120; RESET lock_timeout`)
			require.NoError(t, err, "the application is not held up by what Run holds")
			release()
			require.NoError(t, <-done)
			_, err = backfill.Sweep(t.Context(), b.db, p)
			require.NoError(t, err)
			b.verified(300)
		})
	}
}

// Run's connections are cut between any two statements, up to the last.
func TestConnectionsCut(t *testing.T) {
	t.Parallel()
	for name, p := range childPairs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, usersSQL(300), p)
			runner, err := sqlx.Open("postgres", b.dsn+" application_name=runner")
			require.NoError(t, err)
			t.Cleanup(func() { _ = runner.Close() }) // of connections that are cut: an error
			cut := 0
			cutAll := func(backfill.Progress) {
				cut += b.number(`SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'runner'`)
			}
			res, err := backfill.Run(t.Context(), runner, p, backfill.Options{Batch: 50, Stripes: 1, Target: 10e9, Progress: cutAll})
			require.NoError(t, err)
			require.EqualValues(t, 300, res.Rows)
			require.GreaterOrEqual(t, cut, 6)
			_, err = backfill.Verify(t.Context(), runner, p, backfill.VerifyOptions{Batch: 100, Target: 10e9, Progress: cutAll})
			require.NoError(t, err)
			b.verified(300)
		})
	}
}

// A statement fails in the middle, once, for a reason that passes: a trigger sees to it. A sequence counts, because it is not rolled back.
func TestStatementFailsOnce(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		reason, body string
		fatal        bool
	}{
		{"deadlock", `RAISE EXCEPTION USING ERRCODE = '40P01'`, false},
		{"serialization", `RAISE EXCEPTION USING ERRCODE = '40001'`, false},
		{"statement timeout", `RAISE EXCEPTION USING ERRCODE = '57014'`, false},
		{"connection", `PERFORM pg_terminate_backend(pg_backend_pid())`, false},
		{"constraint", `RAISE EXCEPTION USING ERRCODE = '0L000'`, true},
	} {
		t.Run(c.reason, func(t *testing.T) {
			t.Parallel()
			for _, p := range childPairs {
				b := newBed(t, usersSQL(300), p)
				b.exec(writtenOnceSQL)
				b.exec(fmt.Sprintf(`CREATE SEQUENCE n; CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
					IF nextval('public.n') = 160 THEN %s; END IF; RETURN NEW; END$$;
					CREATE TRIGGER fail BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION fail()`, c.body))
				res, err := backfill.Run(t.Context(), b.db, p, backfill.Options{Batch: 100, Stripes: 1, Target: 10e9})
				if c.fatal {
					require.ErrorContains(t, err, "backfill users.full_name: after key [")
					require.EqualValues(t, 100, res.Rows, "what was done is told")
					require.EqualValues(t, 200, b.run().Rows)
				} else {
					require.NoError(t, err)
					require.EqualValues(t, 300, res.Rows)
				}
				b.verified(300)
			}
		})
	}
}

// A commit that fails takes the position back with the rows.
func TestCommitFails(t *testing.T) {
	t.Parallel()
	for name, p := range childPairs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, usersSQL(300), p)
			b.exec(`CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'not row 150' USING ERRCODE = '55000'; END$$;
				CREATE CONSTRAINT TRIGGER fail AFTER UPDATE ON users DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.id = 150) EXECUTE FUNCTION fail()`)
			res, err := backfill.Run(t.Context(), b.db, p, backfill.Options{Batch: 100, Stripes: 1, Target: 10e9})
			require.ErrorContains(t, err, "not row 150")
			require.EqualValues(t, 100, res.Rows)
			require.Equal(t, 100, b.number(stamped))
			require.Equal(t, []string{"100 100"}, b.texts(`SELECT rows || ' ' || (position->'low'->>0) FROM tandem.range`))
			b.exec(`DROP TRIGGER fail ON users`)
			require.EqualValues(t, 200, b.run().Rows)
			b.verified(300)
		})
	}
}

// A guard that lost a trigger lets rows without a stamp come for ever.
func TestRowsKeepComing(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL(10), fullName)
	b.exec(`ALTER TABLE users DISABLE TRIGGER zz_tandem_full_name_insert`)
	id := 10
	res, err := backfill.Run(t.Context(), b.db, b.pair, backfill.Options{Stripes: 1, Progress: func(backfill.Progress) {
		id++
		b.exec(`INSERT INTO users VALUES ($1, 'unguarded')`, id)
	}})
	require.ErrorIs(t, err, backfill.ErrLeft)
	require.EqualValues(t, 14, res.Rows)
}
