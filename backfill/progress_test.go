package backfill_test

import (
	"bytes"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/switchover"
)

func TestProgress(t *testing.T) {
	t.Parallel()
	for name, p := range childPairs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, usersSQL(950), p)
			var seen []backfill.Progress
			note := func(p backfill.Progress) { seen = append(seen, p) }
			_, err := backfill.Run(t.Context(), b.db, p, backfill.Options{Batch: 25, Stripes: 1, Target: 10e9, Progress: note})
			require.NoError(t, err)
			require.Len(t, seen, 39)
			b.plausible(seen, 950)
			require.EqualValues(t, 25, seen[0].Rows)
			require.EqualValues(t, 475, seen[18].Rows)
			require.InDelta(t, 0.5, seen[18].Fraction(), 0.001)

			seen = nil
			_, err = backfill.Verify(t.Context(), b.db, p, backfill.VerifyOptions{Batch: 100, Target: 10e9, Progress: note})
			require.NoError(t, err)
			require.Len(t, seen, 11)
			b.plausible(seen, 950)
		})
	}
}

// plausible says that a progress grows, ends at the total, and that rate and time left fit each other.
func (b *bed) plausible(seen []backfill.Progress, total int64) {
	b.Helper()
	var before int64
	for i, p := range seen {
		require.GreaterOrEqual(b, p.Rows, before)
		require.LessOrEqual(b, p.Rows, p.Total)
		require.LessOrEqual(b, p.Fraction(), 1.0)
		require.Equal(b, total, p.Total)
		require.Equal(b, i == len(seen)-1, p.Done)
		if !p.Done {
			require.Positive(b, p.Rate)
			require.InDelta(b, float64(p.Total-p.Rows)/p.Rate, p.Left.Seconds(), 0.06)
			require.LessOrEqual(b, p.AtLeast, p.Left)
			require.GreaterOrEqual(b, p.AtMost, p.Left)
		}
		before = p.Rows
	}
	require.Equal(b, total, before)
	require.Zero(b, seen[len(seen)-1].Left)
}

// Rows that come while it runs, or an estimate that was too low, do not carry it beyond the total.
func TestProgressOfAGrowingTable(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL(400), fullName)
	id := 400
	var last backfill.Progress
	_, err := backfill.Run(t.Context(), b.db, b.pair, backfill.Options{Batch: 100, Stripes: 1, Target: 10e9, Progress: func(p backfill.Progress) {
		require.LessOrEqual(t, p.Rows, p.Total)
		for range 3 {
			id++
			b.exec(`INSERT INTO users VALUES ($1 - 200000, 'before')`, id)
		}
		last = p
	}})
	require.NoError(t, err)
	require.True(t, last.Done)
	require.EqualValues(t, 412, last.Rows)
	b.verified(415)
}

// Above 100,000 rows the planner's estimate is taken.
func TestTotalOfALargeTable(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL(120_000)+`; ANALYZE users`, fullName)
	var first backfill.Progress
	_, err := backfill.Run(t.Context(), b.db, b.pair, backfill.Options{Progress: func(p backfill.Progress) {
		if first.Rows == 0 {
			first = p
		}
	}})
	require.NoError(t, err)
	require.InDelta(t, 120_000, first.Total, 6000)
}

// Keys say nothing about how many rows there are: shares are of blocks, or of rows that were counted. All workers count.
func TestProgressOfKeysOfAllKinds(t *testing.T) {
	t.Parallel()
	for name, create := range map[string]string{
		"uuid":  `CREATE TABLE users (id uuid PRIMARY KEY, user_name text); INSERT INTO users SELECT md5(i::text)::uuid, 'name ' || i FROM generate_series(1, 40000) i`,
		"gappy": `CREATE TABLE users (id bigint PRIMARY KEY, user_name text); INSERT INTO users SELECT CASE WHEN i < 35000 THEN i ELSE i * 1000000000000 END, 'name ' || i FROM generate_series(1, 40000) i`,
	} {
		for kind, stripes := range map[string]int{"blocks": 0, "keys": 1} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				b := newBed(t, create, fullName)
				var seen []backfill.Progress
				res, err := backfill.Run(t.Context(), b.db, b.pair, backfill.Options{Workers: 2, Batch: 1000, Stripes: stripes, Progress: func(p backfill.Progress) { seen = append(seen, p) }})
				require.NoError(t, err)
				require.EqualValues(t, 40_000, res.Rows)
				b.plausible(seen, 40_000)
				half := seen[len(seen)/2].Fraction() // not exactly, for statements grow and shrink
				require.Greater(t, half, 0.1)
				require.Less(t, half, 0.9)
			})
		}
	}
}

// A later round goes over rows that were passed before: the progress stays where it is.
func TestProgressOfALaterRound(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL(1000), fullName)
	var seen []backfill.Progress
	res, err := backfill.Run(t.Context(), b.db, b.pair, backfill.Options{Batch: 100, Stripes: 1, Target: 10e9, Progress: func(p backfill.Progress) {
		if seen = append(seen, p); len(seen) == 5 {
			b.exec(`ALTER TABLE users DISABLE TRIGGER USER; UPDATE users SET full_name_stamp = NULL WHERE id <= 10; ALTER TABLE users ENABLE TRIGGER USER`)
		}
	}})
	require.NoError(t, err)
	require.EqualValues(t, 1010, res.Rows)
	require.Greater(t, len(seen), 11, "there was one")
	b.plausible(seen, 1000)
}

// Bar, log, state and callback say the same.
func TestProgressIsToldEverywhere(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL(1000), fullName)
	var bar, log bytes.Buffer
	draw := backfill.Bar(&bar, "users")
	var last backfill.Progress
	_, err := backfill.Run(t.Context(), b.db, b.pair, backfill.Options{Batch: 100, Stripes: 1, Target: 10e9, Log: slog.New(slog.NewTextHandler(&log, nil)), Progress: func(p backfill.Progress) {
		draw(p)
		if last = p; p.Rows == 200 {
			stored := b.texts(`SELECT progress FROM tandem.backfill`)[0]
			require.Regexp(t, `^100 of 1000 rows, 10 %, \d+ a second(, [\d.msh]+ to [\d.msh]+ left)?$`, stored)
			s, err := switchover.Status(b.ctx, b.db, switchover.Options{})
			require.NoError(t, err)
			require.Contains(t, s[0].String(), stored)
		}
	}})
	require.NoError(t, err)
	require.Equal(t, "1000 rows, done", last.String())
	require.Equal(t, []string{last.String()}, b.texts(`SELECT progress FROM tandem.backfill`))
	require.Contains(t, log.String(), `msg="tandem: backfill" migration=users.full_name pass=copy progress="100 of 1000 rows`)
	require.Contains(t, log.String(), `progress="1000 rows, done"`)
	require.Contains(t, bar.String(), "users: 1000 rows, done 100%")
}
