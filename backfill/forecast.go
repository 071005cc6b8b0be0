package backfill

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/pg"
)

// Cost is what a backfill will cost. Spans are from a model of heap-only updates and from how far the samples lie apart; it knows nothing of what else will go on.
type Cost struct {
	Rows       int64   // to do
	Statements Span    // transactions
	WAL        Span    // bytes
	Heap       Span    // bytes that the table grows by
	Indexes    Span    // bytes that they grow by: nothing where their order goes with the table's and PostgreSQL can delete entries of dead rows before it splits a page
	Hot        float64 // the share of updates that stay on their page
	Took       [2]time.Duration
	Sampled    int64 // rows that were updated to find out; their dead versions stay until the next vacuum
}

// Span is at least, at most.
type Span [2]float64

// ForecastOptions of Forecast. The zero value is complete.
type ForecastOptions struct {
	Workers int           // as of Options
	Target  time.Duration // as of Options
}

const (
	forecastSamples = 5
	forecastBlocks  = 24 // of one sample
	// Of a heap-only update the log gets its record and what has changed; with the share of the records of pruning. By pg_waldump on PostgreSQL 15.
	hotRecord = 100
	// A heap-only update takes between this share and as long as one that writes into the indexes: the more indexes, the less.
	hotTime = 0.35
	// What a model of pages, whose rows are never of one size, is wrong by.
	doubt = 0.25
)

var errRolledBack = errors.New("rolled back")

// Forecast says what Run will cost: it copies the rows of a few stretches of blocks, spread over the table, in transactions that are rolled back. Sampled rows are locked for as long, some
// tens of milliseconds, and their dead versions remain. Errors: ErrTwoTables, and ErrDirection for a pair that only Go converts, whose conversion is the application's to time.
func Forecast(ctx context.Context, db *sqlx.DB, p expand.Any, o ForecastOptions) (Cost, error) {
	ro, err := Options{Workers: o.Workers, Target: o.Target}.withDefaults()
	if err != nil {
		return Cost{}, err
	}
	r, err := newRunner(ctx, db, p, ro)
	var f Cost
	if err == nil {
		f, err = r.forecast(ctx)
	}
	if err != nil {
		return Cost{}, fmt.Errorf("forecast %s: %w", p.Name(), err)
	}
	return f, nil
}

// sample is what updating the rows of one stretch has shown.
type sample struct {
	pages, rows float64
	seconds     float64
	wal         float64
	was, is     float64 // bytes of the rows before and after
}

func (r *runner) forecast(ctx context.Context) (Cost, error) {
	switch {
	case !r.task.inPlace():
		return Cost{}, ErrTwoTables
	case r.task.exprs == nil:
		return Cost{}, fmt.Errorf("only Go converts: %w", ErrDirection)
	}
	leaves, err := catalog.Leaves(ctx, r.db, r.task.d.Table)
	if err != nil {
		return Cost{}, err
	}
	var pages int64
	for _, leaf := range leaves {
		if !leaf.Blocks {
			return Cost{}, fmt.Errorf("%s is no heap that this role may update", leaf.Relation)
		}
		pages += leaf.Pages
	}
	var samples []sample
	for i := range int64(forecastSamples) {
		s, err := r.sample(ctx, leaves, pages*i/forecastSamples)
		if err != nil {
			return Cost{}, err
		}
		samples = append(samples, s)
	}
	var indexes float64
	for _, leaf := range leaves {
		var bytes float64
		if err := r.db.GetContext(ctx, &bytes, `SELECT pg_indexes_size($1::regclass)`, leaf.Relation); err != nil {
			return Cost{}, pg.Cause(ctx, err)
		}
		indexes += bytes
	}
	return predict(samples, float64(pages), indexes, r.o), nil
}

// sample updates a stretch of blocks, the first of which has this number when all partitions' are counted through, and rolls it back.
func (r *runner) sample(ctx context.Context, leaves []catalog.Leaf, first int64) (s sample, err error) {
	for _, leaf := range leaves {
		if first >= leaf.Pages {
			first -= leaf.Pages
			continue
		}
		k, to := r.task.on(leaf.Relation), min(first+forecastBlocks, leaf.Pages)
		s.pages = float64(to - first)
		err := r.retry(ctx, func(ctx context.Context) error {
			return pg.InTx(ctx, r.db, pg.Settings{LockTimeout: lockTimeout, AsyncCommit: true}, func(ctx context.Context, tx *sqlx.Tx) error {
				const walSQL = `SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::float8`
				var before, after float64
				if err := tx.GetContext(ctx, &before, walSQL); err != nil {
					return err
				}
				began := time.Now()
				// t is the row as it was made: its size before is that without the columns that were NULL
				text := fmt.Sprintf(`WITH was AS MATERIALIZED (SELECT sum(pg_column_size(t)) AS bytes FROM %s WHERE %s AND %s), made AS (%s RETURNING pg_column_size(t) AS bytes)
					SELECT coalesce((SELECT bytes FROM was), 0)::float8, count(*)::float8, coalesce(sum(bytes), 0)::float8 FROM made`,
					k.from(), inBlocks(first, to), k.todo, k.updateSQL(inBlocks(first, to)))
				if err := tx.QueryRowContext(ctx, text).Scan(&s.was, &s.rows, &s.is); err != nil {
					return err
				}
				s.seconds = time.Since(began).Seconds()
				if err := tx.GetContext(ctx, &after, walSQL); err != nil {
					return err
				}
				s.wal = after - before
				return errRolledBack
			})
		})
		if errors.Is(err, errRolledBack) {
			err = nil
		}
		return s, err
	}
	return s, nil
}

// predict is pure. With s stripes the rows of the first have to leave a full page, 1/s of all, and of the others as many as the growth of rows makes too many: from then on each stripe has
// the room that the one before has left.
func predict(samples []sample, pages, indexes float64, o Options) Cost {
	var sum sample
	least, most := math.Inf(1), 0.0
	for _, s := range samples {
		sum.pages, sum.rows, sum.seconds, sum.wal, sum.was, sum.is = sum.pages+s.pages, sum.rows+s.rows, sum.seconds+s.seconds, sum.wal+s.wal, sum.was+s.was, sum.is+s.is
		if s.rows > 0 {
			least, most = min(least, s.seconds/s.rows), max(most, s.seconds/s.rows)
		}
	}
	f := Cost{Sampled: int64(sum.rows)}
	if sum.rows == 0 {
		return f
	}
	rows := sum.rows / sum.pages * pages
	f.Rows = int64(math.Round(rows))
	growth := max(sum.is/sum.was, 1)
	stripes := float64(usualStripes)
	moved := 1/stripes + (1-1/stripes)*(1-1/growth)
	f.Hot = 1 - moved
	size, added := sum.is/sum.rows, (sum.is-sum.was)/sum.rows
	f.Indexes = Span{0, indexes * moved}
	f.Heap = span(rows * moved * size)
	f.WAL = span(rows * (moved*sum.wal/sum.rows + f.Hot*(hotRecord+added)))
	perRow := func(slow float64) float64 { return moved*slow + f.Hot*slow*hotTime }
	workers := float64(o.Workers)
	f.Took = [2]time.Duration{seconds(rows * perRow(least) / workers), seconds(rows * most * (1 + doubt) / workers)}
	f.Statements = Span{math.Ceil(f.Took[0].Seconds() * workers / o.Target.Seconds()), math.Ceil(f.Took[1].Seconds()*workers/o.Target.Seconds()) + 1}
	return f
}

func span(v float64) Span { return Span{v * (1 - doubt), v * (1 + doubt)} }

// String is a line for an operator.
func (f Cost) String() string {
	mb := func(s Span) string { return fmt.Sprintf("%.0f to %.0f MB", s[0]/1e6, s[1]/1e6) }
	return fmt.Sprintf("about %d rows in %.0f to %.0f transactions, %s to %s; %s of WAL; the table grows by %s, its indexes by %s, and %.0f %% of the updates stay out of the indexes",
		f.Rows, f.Statements[0], f.Statements[1], f.Took[0], f.Took[1], mb(f.WAL), mb(f.Heap), mb(f.Indexes), 100*f.Hot)
}
