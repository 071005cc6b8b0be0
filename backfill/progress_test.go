package backfill_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
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
