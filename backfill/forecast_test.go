package backfill_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
)

// A forecast is near what the run then costs, and has changed no row.
func TestForecast(t *testing.T) {
	t.Parallel()
	b := newBedOn(t, alone(t), `CREATE TABLE users (id bigint PRIMARY KEY, user_name text, filler text) WITH (autovacuum_enabled = off);
		INSERT INTO users SELECT i, 'name ' || i, repeat('x', 60) FROM generate_series(1, 150000) i; CREATE INDEX ON users (user_name)`, fullName)
	const rows = `SELECT md5(string_agg(ctid::text || xmin::text || coalesce(full_name_stamp::text, ''), ',' ORDER BY id)) FROM users`
	before, heap := b.texts(rows), b.number(`SELECT pg_relation_size('users')`)
	f, err := backfill.Forecast(b.ctx, b.db, b.pair, backfill.ForecastOptions{})
	require.NoError(t, err)
	require.Equal(t, before, b.texts(rows))
	require.Positive(t, f.Sampled)
	require.Less(t, f.Sampled, int64(20_000))
	require.InEpsilon(t, 150_000, f.Rows, 0.1)
	var from string
	require.NoError(t, b.db.Get(&from, `SELECT pg_current_wal_insert_lsn()`))
	res, err := backfill.Run(b.ctx, b.db, b.pair, backfill.Options{})
	require.NoError(t, err)
	require.EqualValues(t, 150_000, res.Rows)
	grown := b.number(`SELECT pg_relation_size('users')`) - heap
	t.Log(f, res.Took, grown/1e6, b.number(`SELECT (pg_current_wal_insert_lsn() - $1::pg_lsn)::bigint`, from)/1e6, b.hot())
	require.Greater(t, float64(grown), f.Heap[0]/1.5)
	require.Less(t, float64(grown), f.Heap[1]*1.5)
	require.InDelta(t, f.Hot, b.hot(), 0.25)

	f, err = backfill.Forecast(b.ctx, b.db, b.pair, backfill.ForecastOptions{})
	require.NoError(t, err)
	require.Zero(t, f.Rows, "nothing is left")

	for p, want := range map[string]error{"go": backfill.ErrDirection} {
		g := newBed(t, usersSQL(10), childPairs[p])
		_, err = backfill.Forecast(g.ctx, g.db, g.pair, backfill.ForecastOptions{})
		require.ErrorIs(t, err, want)
	}
	m := newBed(t, bioSQL(10), bio)
	_, err = backfill.Forecast(m.ctx, m.db, bio, backfill.ForecastOptions{})
	require.ErrorIs(t, err, backfill.ErrTwoTables)
}
