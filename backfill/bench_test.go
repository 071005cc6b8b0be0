package backfill_test

import (
	"context"
	"flag"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/switchover"
)

var (
	benchRows    = flag.Int("rows", 1_000_000, "rows of the table in BenchmarkBackfill")
	benchOptions backfill.Options
)

func init() {
	flag.IntVar(&benchOptions.Workers, "workers", 0, "workers in BenchmarkBackfill; 0: the default")
	flag.IntVar(&benchOptions.Stripes, "stripes", 0, "stripes a window in BenchmarkBackfill; 0: by measurement")
	flag.DurationVar(&benchOptions.Target, "target", 0, "of a statement in BenchmarkBackfill; 0: the default")
}

// inKeyOrder are indexes whose order goes with the key's, as that of a time of creation does. PostgreSQL can delete the entries of dead rows from such
// an index before it splits a page; in an index of random order their rows lie on too many heap pages.
const inKeyOrder = "CREATE INDEX ON users (email); CREATE INDEX ON users (created_at)"

// BenchmarkBackfill compares a backfill with one UPDATE of an equal table, in turn and in one run. Metrics: ratios of time and WAL to the
// UPDATE, growth of heap and indexes, share of heap-only updates. One iteration is one backfill: run it with -benchtime 1x or more.
func BenchmarkBackfill(b *testing.B) {
	for _, c := range []struct {
		name, indexes string
		goOnly        bool
	}{
		{name: "key-only"},
		{name: "two-more-indexes", indexes: inKeyOrder},
		{name: "two-random-indexes", indexes: "CREATE INDEX ON users (token); CREATE INDEX ON users (score)"},
		{name: "two-more-indexes-go", indexes: inKeyOrder, goOnly: true},
	} {
		b.Run(c.name, func(b *testing.B) {
			var sum figures
			for range b.N {
				update := measure(b, c.goOnly, c.indexes, func(ctx context.Context, db *sqlx.DB) {
					_, err := db.ExecContext(ctx, `UPDATE users SET full_name = user_name, full_name_stamp = 50331648`)
					require.NoError(b, err)
				})
				ours := measure(b, c.goOnly, c.indexes, func(ctx context.Context, db *sqlx.DB) {
					_, err := backfill.Run(ctx, db, benchPair(c.goOnly), benchOptions)
					require.NoError(b, err)
				})
				sum.time += ours.time / update.time
				sum.wal += ours.wal / update.wal
				sum.heap += ours.heap
				sum.index += ours.index
				sum.hot += ours.hot
			}
			n := float64(b.N)
			b.ReportMetric(sum.time/n, "time/update")
			b.ReportMetric(sum.wal/n, "wal/update")
			b.ReportMetric(sum.heap/n, "heap-growth-%")
			b.ReportMetric(sum.index/n, "index-growth-%")
			b.ReportMetric(sum.hot/n, "hot-%")
		})
	}
}

func benchPair(goOnly bool) expand.Any {
	if !goOnly {
		return expand.Rename[string]("users", "user_name", "full_name")
	}
	same := func(s string) (string, error) { return s, nil }
	return expand.Convert(expand.Spec[string, string]{Table: "users", Old: "user_name", New: "full_name", Forward: same, Backward: same})
}

// figures of one pass over the table.
type figures struct{ time, wal, heap, index, hot float64 }

// measure makes a fresh table in Migrate and runs work on it.
func measure(b *testing.B, goOnly bool, indexes string, work func(ctx context.Context, db *sqlx.DB)) figures {
	b.Helper()
	ctx := context.Background()
	db := pgtest.New(b)
	db.MustExec(`CREATE TABLE users (id bigint PRIMARY KEY, user_name text NOT NULL, email text NOT NULL,
		created_at timestamptz NOT NULL, token text NOT NULL, score int NOT NULL)`)
	if indexes != "" {
		db.MustExec(indexes) // before the rows: the indexes of a live table have grown with it
	}
	db.MustExec(`INSERT INTO users SELECT i, 'user name ' || i, 'user' || i || '@example.org',
		now() + i * interval '1 second', md5(i::text), (random() * 1e9)::int FROM generate_series(1, $1) i`, *benchRows)
	p := benchPair(goOnly)
	require.NoError(b, expand.Apply(ctx, db, p, expand.Options{}))
	for _, ph := range []switchover.Phase{switchover.Expand, switchover.Migrate} {
		require.NoError(b, switchover.Advance(ctx, db, p.Name(), ph, switchover.Options{}))
	}
	db.MustExec(`VACUUM ANALYZE users`)
	db.MustExec(`CHECKPOINT`)
	heap, index := sizes(b, db)
	var from string
	require.NoError(b, db.Get(&from, `SELECT pg_current_wal_insert_lsn()`))
	began := time.Now()
	work(ctx, db)
	var f figures
	f.time = time.Since(began).Seconds()
	require.NoError(b, db.Get(&f.wal, `SELECT (pg_current_wal_insert_lsn() - $1::pg_lsn)::float8`, from))
	heapAfter, indexAfter := sizes(b, db)
	f.heap, f.index = 100*(heapAfter/heap-1), 100*(indexAfter/index-1)
	f.hot = hotShare(b, db)
	db.MustExec(`DROP TABLE users`)
	return f
}

func sizes(b *testing.B, db *sqlx.DB) (heap, index float64) {
	b.Helper()
	require.NoError(b, db.QueryRow(`SELECT pg_relation_size('users'), pg_indexes_size('users')`).Scan(&heap, &index))
	return heap, index
}

// hotShare is the share of heap-only updates; a backend that is idle reports its counts after a moment.
func hotShare(b *testing.B, db *sqlx.DB) float64 {
	b.Helper()
	var hot float64
	require.Eventually(b, func() bool {
		var updated int
		require.NoError(b, db.QueryRow(`SELECT n_tup_upd, 100.0 * n_tup_hot_upd / greatest(n_tup_upd, 1) FROM pg_stat_user_tables WHERE relname = 'users'`).Scan(&updated, &hot))
		return updated >= *benchRows
	}, time.Minute, 100*time.Millisecond)
	return hot
}
