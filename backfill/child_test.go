package backfill_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/expand"
)

// childEnv makes this binary a process that runs a backfill on the database it names, with childPair.
const (
	childEnv  = "TANDEM_BACKFILL_CHILD"
	childPair = "TANDEM_BACKFILL_PAIR"
)

var childPairs = map[string]expand.Any{"sql": fullName, "go": shout}

// child prints a line for each statement.
func child(dsn string) int {
	p := childPairs[os.Getenv(childPair)]
	if p == nil {
		p = bio
	}
	db, err := sqlx.Open("postgres", dsn)
	if err == nil && os.Getenv(childVerifies) != "" {
		err = verifyingChild(db, p)
	} else if err == nil {
		_, err = backfill.Run(context.Background(), db, p, backfill.Options{Batch: 50, Stripes: 1, Target: 10e9,
			Progress: func(p backfill.Progress) { fmt.Println(p.Rows) }})
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// writtenOnceSQL makes the second write of a row's stamp an error.
const writtenOnceSQL = `
	CREATE TABLE written (id bigint PRIMARY KEY);
	CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO public.written VALUES (NEW.id); RETURN NULL; END$$;
	CREATE TRIGGER note AFTER UPDATE ON users FOR EACH ROW EXECUTE FUNCTION note()`

// A process that is killed in its fourth statement has lost that statement and nothing else.
func TestKilledProcess(t *testing.T) {
	t.Parallel()
	for name, p := range childPairs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, usersSQL(1000), p)
			b.exec(writtenOnceSQL)
			release := b.lock(`SELECT FROM users WHERE id BETWEEN 101 AND 200 FOR UPDATE`)
			t.Cleanup(release)
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), childEnv+"="+b.dsn+" application_name=child", childPair+"="+name)
			cmd.Stderr = os.Stderr
			out, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			lines := bufio.NewScanner(out)
			for range 2 { // the first window
				require.True(t, lines.Scan())
			}
			b.eventually(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'tandem backfill%' AND wait_event_type = 'Lock' AND query LIKE 'UPDATE public.users%'`)
			require.NoError(t, cmd.Process.Kill())
			require.Error(t, cmd.Wait())
			release()

			done := b.number(stamped)
			require.Equal(t, 100, done)
			require.Equal(t, done, b.number(`SELECT rows FROM tandem.range`), "rows and position are one commit")
			require.Zero(t, b.number(`SELECT count(finished_at) FROM tandem.backfill`))
			b.exec(`UPDATE tandem.range SET seen_at = seen_at - interval '11 s'`) // its lease is over
			var first backfill.Progress
			res, err := backfill.Run(t.Context(), b.db, p, backfill.Options{Batch: 50, Stripes: 1, Target: 10e9, Progress: func(p backfill.Progress) {
				if first.Rows == 0 {
					first = p
				}
			}})
			require.NoError(t, err)
			require.True(t, res.Resumed)
			require.EqualValues(t, 1000-done, res.Rows)
			require.EqualValues(t, 150, first.Rows)
			require.Equal(t, 1000, b.number(`SELECT count(*) FROM written`))
			b.verified(1000)
		})
	}
}

// eventually waits until a query counts something.
func (b *bed) eventually(query string) {
	b.Helper()
	require.Eventually(b, func() bool { return b.number(query) > 0 }, waitTime, pollTime, query)
}

// A second call goes on where the first was canceled, even with other batches.
func TestCanceledRunResumes(t *testing.T) {
	t.Parallel()
	for name, p := range childPairs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, usersSQL(1000), p)
			b.exec(writtenOnceSQL)
			var total int64
			for calls, o := range []backfill.Options{{Batch: 50, Stripes: 1, Target: 10e9}, {Batch: 37, Stripes: 1, Target: 10e9}, {Batch: 100, Stripes: 1, Target: 10e9}, {Batch: 20, Target: 10e9}} {
				ctx, cancel := context.WithCancel(t.Context())
				statements := 0
				o.Progress = func(backfill.Progress) {
					if statements++; statements == calls+1 {
						cancel()
					}
				}
				res, err := backfill.Run(ctx, b.db, p, o)
				cancel()
				require.ErrorIs(t, err, context.Canceled)
				require.ErrorContains(t, err, "backfill users.full_name: ")
				require.Regexp(t, `in the first window|after key \[\d+\]`, err.Error())
				require.Equal(t, calls > 0, res.Resumed)
				total += res.Rows
				require.EqualValues(t, total, b.number(stamped))
				require.EqualValues(t, total, b.number(`SELECT rows FROM tandem.range`))
				require.Equal(t, []string{""}, b.texts(`SELECT owner FROM tandem.range`), "the next may begin at once")
			}
			res := b.run()
			require.True(t, res.Resumed)
			require.EqualValues(t, 1000, total+res.Rows)
			b.verified(1000)
		})
	}
}

// A context that has ended before the call writes nothing, and one with a cause tells it.
func TestEndedContext(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL(10), fullName)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errOdd)
	_, err := backfill.Run(ctx, b.db, b.pair, backfill.Options{})
	require.ErrorIs(t, err, errOdd)
	require.Zero(t, b.number(stamped))
}

// A resumed pass whose last key is gone, or whose whole rest is, ends.
func TestResumeWithoutTheLastRows(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL(500), fullName)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := backfill.Run(ctx, b.db, b.pair, backfill.Options{Batch: 100, Stripes: 1, Target: 10e9, Progress: func(backfill.Progress) { cancel() }})
	require.ErrorIs(t, err, context.Canceled)
	b.exec(`DELETE FROM users WHERE id > 350`)
	b.exec(`INSERT INTO users VALUES (900, 'later')`)
	require.EqualValues(t, 250, b.run().Rows)
	b.verified(351)
}
