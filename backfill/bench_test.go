package backfill_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/internal/server"
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

// benchCase is one shape of a table.
type benchCase struct {
	name     string
	key      string // of the row with the number i, and its type; defaults to a bigint
	keyType  string
	indexes  string
	filler   int // bytes more a row
	wide     int // bytes more of the name that is copied
	goOnly   bool
	workers  int
	settings map[string]string // of the server, beyond benchSettings
}

// benchSettings are what a server has by default where those of tests differ: with wal_level logical an update writes the whole row to the log, not what has changed of it.
var benchSettings = map[string]string{"wal_level": "replica"}

var benchCases = []benchCase{
	{name: "key-only"},
	{name: "two-more-indexes", indexes: inKeyOrder},
	{name: "two-random-indexes", indexes: "CREATE INDEX ON users (token); CREATE INDEX ON users (score)"},
	{name: "1-kB-rows", filler: 900},
	{name: "random-uuid-larger-than-shared-buffers", key: "md5(i::text)::uuid", keyType: "uuid", settings: map[string]string{"shared_buffers": "32MB"}},
	{name: "two-more-indexes-go", indexes: inKeyOrder, goOnly: true},
	{name: "key-only-two-workers", workers: 2},
}

// BenchmarkBackfill compares a backfill with one UPDATE of an equal table, in turn and in one run. Metrics: ratios of time and WAL to the
// UPDATE, growth of heap and indexes, share of heap-only updates. One iteration is one backfill: run it with -benchtime 1x or more.
func BenchmarkBackfill(b *testing.B) {
	for _, c := range benchCases {
		b.Run(c.name, func(b *testing.B) {
			bench := newBench(b, c)
			o := benchOptions
			o.Workers = max(o.Workers, c.workers)
			var sum figures
			for range b.N {
				update := bench.measure(func(ctx context.Context, db *sqlx.DB) {
					_, err := db.ExecContext(ctx, `UPDATE users SET full_name = user_name, full_name_stamp = 50331648`)
					require.NoError(b, err)
				})
				ours := bench.measure(func(ctx context.Context, db *sqlx.DB) {
					_, err := backfill.Run(ctx, db, benchPair(c.goOnly), o)
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
			b.ReportMetric(0, "ns/op")
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

// bench is a server of its own for one case.
type bench struct {
	*testing.B
	benchCase
	srv *server.Server
}

func newBench(b *testing.B, c benchCase) *bench {
	b.Helper()
	settings := maps.Clone(benchSettings)
	maps.Copy(settings, c.settings)
	srv, err := server.Start(b.Context(), server.Options{Settings: settings})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, srv.Close()) })
	if c.key == "" {
		c.key, c.keyType = "i", "bigint"
	}
	return &bench{b, c, srv}
}

// figures of one pass over the table.
type figures struct{ time, wal, heap, index, hot float64 }

// table makes a fresh table in Migrate.
func (b *bench) table(rows int) *sqlx.DB {
	b.Helper()
	return b.tableOf(rows, benchPair(b.goOnly))
}

func (b *bench) tableOf(rows int, p expand.Any) *sqlx.DB {
	b.Helper()
	db, err := sqlx.Connect("postgres", pgtest.CopyOn(b.B, b.srv, "template0"))
	require.NoError(b, err)
	db.MustExec(fmt.Sprintf(`CREATE TABLE users (id %s PRIMARY KEY, user_name text NOT NULL, email text NOT NULL,
		created_at timestamptz NOT NULL, token text NOT NULL, score int NOT NULL, filler text NOT NULL)`, b.keyType))
	if b.indexes != "" {
		db.MustExec(b.indexes) // before the rows: the indexes of a live table have grown with it
	}
	db.MustExec(fmt.Sprintf(`INSERT INTO users SELECT %s, 'user name ' || i || repeat('x', %d), 'user' || i || '@example.org',
		now() + i * interval '1 second', md5(i::text), (random() * 1e9)::int, repeat('x', %d) FROM generate_series(1, $1) i`, b.key, b.wide, b.filler), rows)
	ctx := context.Background()
	require.NoError(b, expand.Apply(ctx, db, p, expand.Options{}))
	for _, ph := range []switchover.Phase{switchover.Expand, switchover.Migrate} {
		require.NoError(b, switchover.Advance(ctx, db, p.Name(), ph, switchover.Options{}))
	}
	db.MustExec(`VACUUM ANALYZE users`)
	db.MustExec(`CHECKPOINT`)
	return db
}

// measure runs work on a fresh table.
func (b *bench) measure(work func(ctx context.Context, db *sqlx.DB)) (f figures) {
	b.Helper()
	db := b.table(*benchRows)
	defer func() { require.NoError(b, db.Close()) }()
	heap, index := sizes(b.B, db)
	var from string
	require.NoError(b, db.Get(&from, `SELECT pg_current_wal_insert_lsn()`))
	began := time.Now()
	work(context.Background(), db)
	f.time = time.Since(began).Seconds()
	require.NoError(b, db.Get(&f.wal, `SELECT (pg_current_wal_insert_lsn() - $1::pg_lsn)::float8`, from))
	heapAfter, indexAfter := sizes(b.B, db)
	f.heap, f.index = 100*(heapAfter/heap-1), 100*(indexAfter/index-1)
	f.hot = hotShare(b.B, db)
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
