package backfill_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/switchover"
)

// A statement that is under way as somebody pauses ends; none follows it until somebody resumes.
func TestPause(t *testing.T) {
	t.Parallel()
	for name, p := range childPairs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, usersSQL(1000), p)
			b.exec(`CREATE TABLE statements (n bigint GENERATED ALWAYS AS IDENTITY);
				CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO public.statements DEFAULT VALUES; RETURN NULL; END$$;
				CREATE TRIGGER note AFTER UPDATE ON users EXECUTE FUNCTION note()`)
			release := b.lock(`SELECT FROM users WHERE id BETWEEN 101 AND 150 FOR UPDATE`)
			t.Cleanup(release)
			operator := pgtest.Open(t, b.dsn) // another process
			held := make(chan string, 1)
			done := make(chan backfill.Result, 1)
			go func() {
				res, err := backfill.Run(b.ctx, b.db, p, backfill.Options{Batch: 50, Stripes: 1, Target: 10e9, Progress: func(p backfill.Progress) {
					if p.Held != "" {
						select {
						case held <- p.Held:
						default:
						}
					}
				}})
				assert.NoError(t, err)
				done <- res
			}()
			b.eventually(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'tandem backfill%' AND wait_event_type = 'Lock'`)
			require.NoError(t, backfill.Pause(b.ctx, operator, p.Name()))
			release()
			require.Contains(t, <-held, "paused by ")
			require.Equal(t, 150, b.number(stamped), "the one that was under way has ended")
			statements := b.number(`SELECT count(*) FROM statements`)
			require.Equal(t, 3, statements)
			<-held // it has asked again
			<-held
			require.Equal(t, statements, b.number(`SELECT count(*) FROM statements`))
			s, err := switchover.Status(b.ctx, operator, switchover.Options{})
			require.NoError(t, err)
			require.Regexp(t, `copy: 150 rows.* under way, 1\d % of round 1, held: paused by `, s[0].String())
			require.NoError(t, backfill.Resume(b.ctx, operator, p.Name()))
			require.EqualValues(t, 1000, (<-done).Rows)
			b.verified(1000)
		})
	}
}

// Cancel ends runs that are under way and those that begin, with the position kept, until Resume.
func TestCancel(t *testing.T) {
	t.Parallel()
	for name, p := range childPairs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, usersSQL(1000), p)
			res, err := backfill.Run(b.ctx, b.db, p, backfill.Options{Batch: 50, Stripes: 1, Target: 10e9, Progress: func(backfill.Progress) {
				assert.NoError(t, backfill.Cancel(b.ctx, b.db, p.Name()))
			}})
			require.ErrorIs(t, err, backfill.ErrCancelled)
			require.EqualValues(t, 100, res.Rows, "the statement after it hears of it")
			_, err = backfill.Run(b.ctx, b.db, p, backfill.Options{})
			require.ErrorIs(t, err, backfill.ErrCancelled)
			_, err = backfill.Verify(b.ctx, b.db, p, backfill.VerifyOptions{})
			require.ErrorIs(t, err, backfill.ErrCancelled)
			require.Equal(t, 100, b.number(stamped))
			require.NoError(t, backfill.Resume(b.ctx, b.db, p.Name()))
			require.EqualValues(t, 900, b.run().Rows)
			require.Equal(t, []string{"cancel", "cancel", "resume"}, b.texts(`SELECT detail FROM tandem.event WHERE kind = 'control' ORDER BY id`))
			b.verified(1000)
		})
	}
}

// What is asked before a pass begins holds for it, and does not look like a pass to anybody.
func TestPausedBeforeItBegins(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL(100), fullName)
	require.NoError(t, backfill.Pause(b.ctx, b.db, b.pair.Name()))
	require.Zero(t, b.number(`SELECT count(*) FROM tandem.backfill`))
	done := make(chan backfill.Result, 1)
	held := make(chan string)
	go func() {
		first := true
		res, err := backfill.Run(b.ctx, b.db, b.pair, backfill.Options{Progress: func(p backfill.Progress) {
			if first {
				first = false
				held <- p.Held
			}
		}})
		assert.NoError(t, err)
		done <- res
	}()
	require.Contains(t, <-held, "paused")
	require.Zero(t, b.number(stamped))
	require.NoError(t, backfill.Resume(b.ctx, b.db, b.pair.Name()))
	require.EqualValues(t, 100, (<-done).Rows)
}

// Workers come and go while it runs.
func TestTune(t *testing.T) {
	t.Parallel()
	for name, p := range childPairs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, usersSQL(60_000), p)
			most, tuned := 0, false
			res, err := backfill.Run(b.ctx, b.db, p, backfill.Options{Batch: 500, Workers: 1, Progress: func(backfill.Progress) {
				if !tuned {
					tuned = true
					assert.NoError(t, backfill.Tune(b.ctx, b.db, fullName.Name(), backfill.Settings{Workers: 2}))
				}
				n := b.number(`SELECT count(*) FROM tandem.range WHERE owner <> ''`)
				most = max(most, n)
				if n == 2 { // and back
					assert.NoError(t, backfill.Tune(b.ctx, b.db, fullName.Name(), backfill.Settings{Workers: 1}))
				}
			}})
			require.NoError(t, err)
			require.EqualValues(t, 60_000, res.Rows)
			require.Equal(t, 2, most)
			c, err := backfill.Asked(b.ctx, b.db, p.Name())
			require.NoError(t, err)
			require.Equal(t, 1, c.Workers)
			b.verified(60_000)
		})
	}
	for _, s := range []backfill.Settings{{Target: 1}, {Target: time.Hour}, {Rate: -1}, {Workers: -1}, {Workers: 33}} {
		require.ErrorContains(t, backfill.Tune(t.Context(), nil, "x", s), "tune x: ")
	}
	b := newBed(t, usersSQL(1), fullName)
	require.ErrorIs(t, backfill.Pause(t.Context(), b.db, "users.unheard"), switchover.ErrUnknown)
}

// A shorter target makes smaller statements, and a rate makes them rest, from the statement after it is asked for.
func TestTuneTargetAndRate(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL(12_000), fullName)
	var rows []int64
	var slow time.Time
	res, err := backfill.Run(b.ctx, b.db, b.pair, backfill.Options{Batch: 1000, Stripes: 1, Target: 10e9, Progress: func(p backfill.Progress) {
		switch rows = append(rows, p.Rows); len(rows) {
		case 3:
			assert.NoError(t, backfill.Tune(b.ctx, b.db, b.pair.Name(), backfill.Settings{Target: time.Millisecond}))
		case 8:
			assert.NoError(t, backfill.Tune(b.ctx, b.db, b.pair.Name(), backfill.Settings{Rate: 4000}))
			slow = time.Now()
		}
	}})
	require.NoError(t, err)
	require.EqualValues(t, 12_000, res.Rows)
	require.EqualValues(t, 1000, rows[1]-rows[0])
	require.Less(t, rows[6]-rows[5], int64(500), "1,000 rows take longer than a millisecond")
	left := 12_000 - rows[7]
	require.Greater(t, time.Since(slow), time.Duration(left-2000)*time.Second/4000, "of what was left, without the statement under way and the rest after the last")
}

// A rate is kept by all workers together, and a worker that rests keeps its range.
func TestRate(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL(3000), fullName)
	began := time.Now()
	held := false
	res, err := backfill.Run(b.ctx, b.db, b.pair, backfill.Options{Rate: 1000, Workers: 2, Progress: func(p backfill.Progress) { held = held || p.Held != "" }})
	require.NoError(t, err)
	require.EqualValues(t, 3000, res.Rows)
	require.True(t, held)
	require.Greater(t, time.Since(began), time.Second, "3,000 rows at 1,000 a second, of which the last statement's rest is not waited for")
}

// A slow rate is kept from the first statement on.
func TestSlowRate(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL(2000), fullName)
	var seen []int64
	res, err := backfill.Run(b.ctx, b.db, b.pair, backfill.Options{Rate: 100, Stripes: 1, For: 2500 * time.Millisecond, Progress: func(p backfill.Progress) { seen = append(seen, p.Rows) }})
	require.NoError(t, err)
	require.False(t, res.Done)
	require.LessOrEqual(t, res.Rows, int64(400))
	require.LessOrEqual(t, seen[0], int64(100))
}

// What a call reads first does not count: in the shortest of times each one writes rows, until nothing is left.
func TestForOfOneStatement(t *testing.T) {
	t.Parallel()
	for name, p := range childPairs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, usersSQL(1000), p)
			b.exec(writtenOnceSQL)
			calls := 0
			for done := false; !done; calls++ {
				require.LessOrEqual(t, calls, 100, "each writes 10 rows at least")
				res, err := backfill.Run(b.ctx, b.db, p, backfill.Options{Batch: 50, Stripes: 1, Target: 10e9, For: time.Nanosecond})
				require.NoError(t, err)
				if done = res.Done; !done {
					require.Positive(t, res.Rows)
					require.LessOrEqual(t, res.Rows, int64(50), "one statement")
				}
				require.Zero(t, b.number(`SELECT count(*) FROM tandem.range WHERE owner <> ''`))
			}
			require.GreaterOrEqual(t, calls, 20)
			require.Equal(t, 1000, b.number(`SELECT count(*) FROM written`))
			b.verified(1000)
		})
	}
}

// A call that finds all ranges to be others' waits no longer than it may work.
func TestForIsOverWhileOthersWork(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL(1000), fullName)
	_, err := backfill.Run(b.ctx, b.db, b.pair, backfill.Options{Batch: 50, Stripes: 1, Target: 10e9, For: time.Nanosecond})
	require.NoError(t, err)
	b.exec(`UPDATE tandem.range SET token = nextval('tandem.token'), owner = 'another', seen_at = now() + interval '1 h' WHERE NOT done`)
	res, err := backfill.Run(b.ctx, b.db, b.pair, backfill.Options{For: 300 * time.Millisecond})
	require.NoError(t, err)
	require.False(t, res.Done)
	require.Zero(t, res.Rows, "it would take the range over after 10 s")
}

// A call that may work only so long keeps the position, and says that it is not done.
func TestFor(t *testing.T) {
	t.Parallel()
	for name, p := range childPairs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, usersSQL(1000), p)
			var rows int64
			calls := 0
			for done := false; !done; calls++ {
				res, err := backfill.Run(b.ctx, b.db, p, backfill.Options{Batch: 50, Stripes: 1, Target: 10e9, For: time.Nanosecond + time.Duration(calls)*5*time.Millisecond})
				require.NoError(t, err)
				rows += res.Rows
				done = res.Done
				require.Zero(t, b.number(`SELECT count(*) FROM tandem.range WHERE owner <> ''`))
			}
			require.Greater(t, calls, 1)
			require.EqualValues(t, 1000, rows)
			b.verified(1000)
		})
	}
}
