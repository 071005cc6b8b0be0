package backfill_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/server"
)

// A forecast is near what the run then costs, and has changed no row.
func TestForecast(t *testing.T) {
	t.Parallel()
	srv := alone(t)
	for name, p := range childPairs {
		t.Run(name, func(t *testing.T) { forecast(t, srv, p) })
	}
}

func forecast(t *testing.T, srv *server.Server, p expand.Any) {
	t.Helper()
	b := newBedOn(t, srv, `CREATE TABLE users (id bigint PRIMARY KEY, user_name text, filler text) WITH (autovacuum_enabled = off);
		INSERT INTO users SELECT i, 'name ' || i, repeat('x', 60) FROM generate_series(1, 150000) i; CREATE INDEX ON users (user_name)`, p)
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
}

// What was asked for counts: fewer rows a second take longer, and a table of few pages is sampled once.
func TestForecastOptions(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL(1000), fullName)
	f, err := backfill.Forecast(b.ctx, b.db, b.pair, backfill.ForecastOptions{Rate: 100})
	require.NoError(t, err)
	require.EqualValues(t, 1000, f.Rows)
	require.EqualValues(t, 1000, f.Sampled)
	require.Equal(t, [2]time.Duration{10 * time.Second, 10 * time.Second}, f.Took)
	require.NoError(t, backfill.Tune(b.ctx, b.db, b.pair.Name(), backfill.Settings{Rate: 10}))
	f, err = backfill.Forecast(b.ctx, b.db, b.pair, backfill.ForecastOptions{Rate: 100})
	require.NoError(t, err)
	require.Equal(t, [2]time.Duration{100 * time.Second, 100 * time.Second}, f.Took)
	_, err = backfill.Forecast(b.ctx, b.db, b.pair, backfill.ForecastOptions{Rate: -1})
	require.ErrorContains(t, err, "rate")

	m := newBed(t, bioSQL(10), bio)
	_, err = backfill.Forecast(m.ctx, m.db, bio, backfill.ForecastOptions{})
	require.ErrorIs(t, err, backfill.ErrTwoTables)
	e := newBed(t, usersSQL(0), shout)
	f, err = backfill.Forecast(e.ctx, e.db, shout, backfill.ForecastOptions{})
	require.NoError(t, err)
	require.Zero(t, f)
}
