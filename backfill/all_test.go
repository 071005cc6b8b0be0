package backfill_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/contract"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/switchover"
)

// Three pairs of one table: two that SQL converts, one of them not in every row, and one that only Go does.
var (
	loud = expand.Convert(expand.Spec[string, string]{Table: "users", Old: "nick", New: "loud_name", Type: "varchar(40)", ForwardSQL: `upper({nick})`, BackwardSQL: `lower({loud_name})`,
		Forward: func(s string) (string, error) { return strings.ToUpper(s), nil }, Backward: func(s string) (string, error) { return strings.ToLower(s), nil }})
	count = expand.Convert(expand.Spec[string, int64]{Table: "users", Old: "visits", New: "visit_count", Type: "bigint", ForwardSQL: `{visits}::bigint`, BackwardSQL: `{visit_count}::text`,
		Forward: func(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) }, Backward: func(n int64) (string, error) { return strconv.FormatInt(n, 10), nil }})
	size = expand.Convert(expand.Spec[string, int]{Table: "users", Old: "shirt", New: "size", Type: "int",
		Forward: func(s string) (int, error) { return len(s), nil }})
	several = []expand.Any{fullName, loud, count}
)

func severalSQL(rows int) string {
	return fmt.Sprintf(`CREATE TABLE users (id bigint PRIMARY KEY, user_name text, nick text, visits text, shirt text);
		INSERT INTO users SELECT i, 'name ' || i, 'nick ' || i, i, repeat('x', i %% 7) FROM generate_series(1, %d) i`, rows)
}

func newSeveral(t *testing.T, create string, pairs ...expand.Any) *bed {
	t.Helper()
	b := newBed(t, create, pairs[0])
	for _, p := range pairs[1:] {
		b.migrate(p)
	}
	return b
}

// copied wants all rows done for each of the three.
func (b *bed) copied() {
	b.Helper()
	require.Zero(b, b.number(`SELECT count(*) FROM users WHERE (full_name = user_name AND loud_name = upper(nick) AND visit_count = visits::bigint) IS NOT TRUE
		OR full_name_stamp IS NULL OR loud_name_stamp IS NULL OR visit_count_stamp IS NULL`))
}

// updates is how many row versions updates have made of users, once that many are reported.
func (b *bed) updates(least int) (n int) {
	b.Helper()
	require.Eventually(b, func() bool {
		n = b.number(`SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'users'`)
		return n >= least
	}, waitTime, pollTime)
	return n
}

// A row is written once for all pairs that SQL converts, and once more for each that only Go does; each pair has its pass, finished.
func TestRunAll(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]backfill.Options{"blocks": {Workers: 2}, "keys": {Stripes: 1}, "part": {Where: `{id} > 0`}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pairs := append([]expand.Any{size}, several...)
			b := newSeveral(t, severalSQL(20_000), pairs...)
			res, err := backfill.RunAll(b.ctx, b.db, pairs, o)
			require.NoError(t, err)
			require.Len(t, res, 4)
			for i, r := range res {
				require.True(t, r.Done, i)
				require.EqualValues(t, 20_000, r.Rows, i)
			}
			b.copied()
			require.Zero(t, b.number(`SELECT count(*) FROM users WHERE size IS DISTINCT FROM length(shirt)`))
			require.Equal(t, 40_000, b.updates(40_000))
			if name == "part" {
				require.Equal(t, 4, b.number(`SELECT count(*) FROM tandem.backfill WHERE kind = 'copy where {id} > 0' AND finished_at IS NOT NULL`))
				return
			}
			require.Equal(t, 4, b.number(`SELECT count(*) FROM tandem.backfill WHERE kind = 'copy' AND finished_at IS NOT NULL`))
			for _, p := range pairs {
				b.pair = p
				b.verified(20_000)
				require.NotRegexp(t, `backfill:|verify:`, b.missing())
			}
			res, err = backfill.RunAll(b.ctx, b.db, pairs, o)
			require.NoError(t, err)
			for i, r := range res {
				require.True(t, r.Done, i)
				require.Zero(t, r.Rows, i)
			}
			require.NotContains(t, b.missing(), "verify:", "nothing was written")
		})
	}
}

// What one pair has already, by a wrapper or an earlier run, stays as it is; what the other has not, it gets.
func TestRunAllLeavesStampedPairsAlone(t *testing.T) {
	t.Parallel()
	b := newSeveral(t, severalSQL(1000), several...)
	b.exec(`ALTER TABLE users DISABLE TRIGGER USER`)
	b.exec(`UPDATE users SET full_name = 'written', full_name_stamp = 50331700 WHERE id % 3 = 0`)
	b.exec(`UPDATE users SET loud_name = 'WRITTEN', loud_name_stamp = 50331700 WHERE id % 5 = 0`)
	b.exec(`ALTER TABLE users ENABLE TRIGGER USER`)
	_, err := backfill.RunAll(b.ctx, b.db, several, backfill.Options{})
	require.NoError(t, err)
	require.Zero(t, b.number(`SELECT count(*) FROM users WHERE full_name <> CASE WHEN id % 3 = 0 THEN 'written' ELSE user_name END OR loud_name <> CASE WHEN id % 5 = 0 THEN 'WRITTEN' ELSE upper(nick) END
		OR visit_count <> id OR (full_name_stamp = 50331700) <> (id % 3 = 0) OR (loud_name_stamp = 50331700) <> (id % 5 = 0) OR visit_count_stamp IS NULL`))
}

// A row that is bad for one pair is copied for the others, and listed for that pair alone; the pass of that one is over too.
func TestRunAllBadRows(t *testing.T) {
	t.Parallel()
	odd := `; UPDATE users SET visits = 'odd' WHERE id IN (7, 70, 700); UPDATE users SET nick = repeat('long ', 20) WHERE id IN (70, 71)`
	b := newSeveral(t, severalSQL(1000)+odd, several...)
	var pairs []string
	res, err := backfill.RunAll(b.ctx, b.db, several, backfill.Options{Batch: 100})
	require.NoError(t, err)
	for _, r := range res {
		require.True(t, r.Done)
		pairs = append(pairs, strconv.FormatInt(r.BadRows, 10))
	}
	require.Equal(t, []string{"0", "2", "3"}, pairs)
	require.Equal(t, []string{"users.loud_name 70", "users.loud_name 71", "users.visit_count 7", "users.visit_count 70", "users.visit_count 700"},
		b.texts(`SELECT migration || ' ' || key[1] FROM tandem.bad_row ORDER BY 1`))
	require.Zero(t, b.number(`SELECT count(*) FROM users WHERE full_name_stamp IS NULL OR (loud_name_stamp IS NULL) <> (id IN (70, 71)) OR (visit_count_stamp IS NULL) <> (id IN (7, 70, 700))`))
	b.exec(`UPDATE users SET visits = id, nick = 'short'`)
	_, err = backfill.RunAll(b.ctx, b.db, several, backfill.Options{})
	require.NoError(t, err)
	b.copied()
	require.Zero(t, b.number(`SELECT count(*) FROM tandem.bad_row`))
}

// It is stopped in the middle and goes on; a plain Run of one of the pairs in between is no harm, nor are two at once.
func TestRunAllGoesOn(t *testing.T) {
	t.Parallel()
	b := newSeveral(t, severalSQL(20_000), several...)
	ctx, cancel := context.WithCancel(b.ctx)
	first, err := backfill.RunAll(ctx, b.db, several, backfill.Options{Batch: 1000, Progress: func(backfill.Progress) { cancel() }})
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "users.full_name, users.loud_name, users.visit_count")
	require.Positive(t, first[0].Rows)
	require.Contains(t, b.missing(), "let backfill.Run finish")
	res, err := backfill.Run(b.ctx, b.db, loud, backfill.Options{})
	require.NoError(t, err)
	require.Equal(t, 20_000-first[0].Rows, res.Rows)
	done := make(chan error, 1)
	begun := make(chan struct{}, 1000)
	go func() {
		_, err := backfill.RunAll(b.ctx, pgtest.Open(t, b.dsn), several, backfill.Options{Batch: 1000, Progress: func(backfill.Progress) { begun <- struct{}{} }})
		done <- err
	}()
	<-begun
	all, err := backfill.RunAll(b.ctx, b.db, []expand.Any{count, loud, fullName}, backfill.Options{Batch: 1000})
	require.NoError(t, err)
	require.NoError(t, <-done)
	for _, r := range all {
		require.True(t, r.Done)
	}
	b.copied()
}

// Beside writers of all kinds no write is lost.
func TestRunAllBesideWriters(t *testing.T) {
	t.Parallel()
	b := newSeveral(t, severalSQL(5000), several...)
	ctx, stop := context.WithCancel(b.ctx)
	done := make(chan struct{})
	writer := pgtest.Open(t, b.dsn)
	go func() {
		defer close(done)
		for n := 0; ctx.Err() == nil; n++ { // strays, which the guard repairs
			_, err := writer.ExecContext(ctx, `UPDATE users SET user_name = 'w' || $1, nick = 'w' || $1, visits = $1::text WHERE id % 5000 = $1::int % 5000`, n)
			assert.True(t, err == nil || ctx.Err() != nil, err)
		}
	}()
	_, err := backfill.RunAll(b.ctx, b.db, several, backfill.Options{Batch: 50})
	stop()
	<-done
	require.NoError(t, err)
	b.copied()
}

// The time of a call is that of all pairs together, and in the shortest one each call writes rows.
func TestRunAllForOneStatement(t *testing.T) {
	t.Parallel()
	pairs := []expand.Any{size, goOnly(func(s string) (string, error) { return s, nil }), loud, count}
	b := newSeveral(t, severalSQL(500), pairs...)
	const written = `SELECT count(size_stamp) + count(full_name_stamp) + count(loud_name_stamp) FROM users`
	calls, before := 0, 0
	for done := false; !done; calls++ {
		require.LessOrEqual(t, calls, 200, "each writes 10 rows at least, and each row is written three times")
		res, err := backfill.RunAll(b.ctx, b.db, pairs, backfill.Options{Batch: 50, Stripes: 1, Target: 10e9, For: time.Nanosecond})
		require.NoError(t, err)
		done = !slices.ContainsFunc(res, func(r backfill.Result) bool { return !r.Done })
		now := b.number(written)
		if !done {
			require.Greater(t, now, before)
			require.LessOrEqual(t, now, before+50, "one statement, of whichever pairs")
		}
		before = now
	}
	require.GreaterOrEqual(t, calls, 30)
	require.Equal(t, 1500, before)
	b.copied()
	require.Zero(t, b.number(`SELECT count(*) FROM users WHERE size IS DISTINCT FROM length(shirt)`))
}

// A pair that is not so far is left out; what makes no sense is refused by name.
func TestRunAllRefused(t *testing.T) {
	t.Parallel()
	b := newBed(t, severalSQL(100)+`; CREATE TABLE others (id bigint PRIMARY KEY, a text)`, fullName)
	require.NoError(t, expand.Apply(b.ctx, b.db, loud, expand.Options{}))
	res, err := backfill.RunAll(b.ctx, b.db, []expand.Any{loud, fullName}, backfill.Options{})
	require.NoError(t, err)
	require.Equal(t, backfill.Result{}, res[0])
	require.EqualValues(t, 100, res[1].Rows)
	_, err = backfill.RunAll(b.ctx, b.db, []expand.Any{loud}, backfill.Options{})
	require.ErrorIs(t, err, backfill.ErrPhase)
	require.ErrorContains(t, err, "backfill users.loud_name")
	for says, pairs := range map[string][]expand.Any{
		"no pairs": nil,
		"users.full_name: not in one pass: it is named twice":                        {loud, fullName, fullName},
		"others.b: not in one pass as users.full_name: they are of different tables": {fullName, expand.Rename[string]("others", "a", "b")},
	} {
		_, err := backfill.RunAll(b.ctx, b.db, pairs, backfill.Options{})
		require.ErrorIs(t, err, backfill.ErrTogether)
		require.ErrorContains(t, err, says)
	}
}

// An error that stops the common pass names the pair that it comes of.
func TestRunAllNamesThePair(t *testing.T) {
	t.Parallel()
	own := expand.Convert(expand.Spec[string, string]{Table: "users", Old: "nick", New: "loud_name", Type: "text", ForwardSQL: `public.shout({nick})`,
		Forward: func(s string) (string, error) { return strings.ToUpper(s), nil }})
	b := newSeveral(t, severalSQL(100)+`; CREATE FUNCTION shout(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT upper($1)'`, fullName, own, count)
	b.exec(`DROP FUNCTION shout`)
	_, err := backfill.RunAll(b.ctx, b.db, []expand.Any{fullName, own, count}, backfill.Options{})
	require.ErrorContains(t, err, "backfill users.loud_name: ")
	require.ErrorContains(t, err, "shout(text) does not exist")
	require.NoError(t, backfill.Cancel(b.ctx, b.db, count.Name()))
	b.exec(`DELETE FROM tandem.backfill`)
	_, err = backfill.RunAll(b.ctx, b.db, []expand.Any{fullName, count}, backfill.Options{})
	require.ErrorIs(t, err, backfill.ErrCancelled)
	require.ErrorContains(t, err, "users.visit_count")
}

// Both pairs come back together, and what old cannot hold is set aside for its pair.
func TestRunAllReverse(t *testing.T) {
	t.Parallel()
	b := newSeveral(t, severalSQL(500), loud, count)
	for _, p := range []expand.Any{loud, count} {
		b.pair = p
		b.toContract()
	}
	b.exec(`UPDATE users SET loud_name = 'C' || id, loud_name_stamp = 83886080 + id, visit_count = 10 * id, visit_count_stamp = 83886080 + id`)
	b.exec(`UPDATE users SET loud_name = 'Mixed', loud_name_stamp = loud_name_stamp + 1000 WHERE id = 3`)
	for _, p := range []expand.Any{loud, count} {
		b.pair = p
		b.revert()
	}
	b.exec(writtenOnceSQL)
	res, err := backfill.RunAll(b.ctx, b.db, []expand.Any{loud, count}, backfill.Options{Reverse: true})
	require.NoError(t, err)
	require.EqualValues(t, 1, res[0].BadRows)
	require.Zero(t, res[1].BadRows)
	require.Zero(t, b.number(`SELECT count(*) FROM users WHERE id <> 3 AND nick <> lower(loud_name) OR visits <> visit_count::text OR visit_count_stamp >= 83886080 OR (loud_name_stamp >= 83886080) <> (id = 3)`))
	require.Equal(t, 500, b.number(`SELECT count(*) FROM written`), "each once, not once for each pair")
	require.NoError(t, contract.Apply(b.ctx, b.db, count, contract.Restore, contract.Options{}))
}

// BenchmarkRunAll compares one pass over three pairs with three.
func BenchmarkRunAll(b *testing.B) {
	rows := 200_000
	for name, run := range map[string]func(ctx context.Context, bed *bed) error{
		"together": func(ctx context.Context, bed *bed) error {
			_, err := backfill.RunAll(ctx, bed.db, several, backfill.Options{})
			return err
		},
		"apart": func(ctx context.Context, bed *bed) (err error) {
			for _, p := range several {
				_, e := backfill.Run(ctx, bed.db, p, backfill.Options{})
				err = errors.Join(err, e)
			}
			return err
		},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				db := pgtest.New(b)
				db.MustExec(severalSQL(rows) + `; CREATE INDEX ON users (user_name); CREATE INDEX ON users (nick)`)
				for _, p := range several {
					must(expand.Apply(b.Context(), db, p, expand.Options{}))
					for _, to := range []switchover.Phase{switchover.Expand, switchover.Migrate} {
						must(switchover.Advance(b.Context(), db, p.Name(), to, switchover.Options{}))
					}
				}
				db.MustExec(`VACUUM ANALYZE users`)
				bed := &bed{ctx: b.Context(), db: db}
				b.StartTimer()
				began := time.Now()
				require.NoError(b, run(b.Context(), bed))
				b.ReportMetric(float64(rows)/time.Since(began).Seconds(), "rows/s")
				var size int64
				require.NoError(b, db.Get(&size, `SELECT pg_total_relation_size('users')`))
				b.ReportMetric(float64(size)/1e6, "MB")
			}
		})
	}
}
