package backfill

import (
	"context"
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

// ForecastOptions of Forecast. The zero value is complete; what was tuned counts for more, as it does for Run.
type ForecastOptions struct {
	Workers int           // as of Options
	Target  time.Duration // as of Options
	Rate    float64       // as of Options
}

const (
	// Of a heap-only update the log gets its record and what has changed; with the share of the records of pruning. By pg_waldump on PostgreSQL 15.
	hotRecord = 100
	// A heap-only update takes between this share and as long as one that writes into the indexes: the more indexes, the less.
	hotTime = 0.35
	// What a model of pages, whose rows are never of one size, is wrong by.
	doubt = 0.25
)

// Forecast says what Run will cost: it copies the rows of a few stretches of blocks, spread over the table, in transactions that are rolled back; a conversion in Go is called for them. Sampled rows are locked for as long,
// some tens of milliseconds, and their dead versions remain. Errors: ErrTwoTables.
func Forecast(ctx context.Context, db *sqlx.DB, p expand.Any, o ForecastOptions) (Cost, error) {
	ro, err := Options{Workers: o.Workers, Target: o.Target, Rate: o.Rate}.withDefaults()
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

func (r *runner) forecast(ctx context.Context) (Cost, error) {
	if !r.task.inPlace() {
		return Cost{}, ErrTwoTables
	}
	leaves, err := catalog.Leaves(ctx, r.db, r.task.d.Table)
	if err != nil {
		return Cost{}, err
	}
	var pages int64
	var indexes float64
	for _, leaf := range leaves {
		if !leaf.Blocks {
			return Cost{}, fmt.Errorf("%s is no heap that this role may update", leaf.Relation)
		}
		pages += leaf.Pages
		var bytes float64
		if err := r.db.GetContext(ctx, &bytes, `SELECT pg_indexes_size($1::regclass)`, leaf.Relation); err != nil {
			return Cost{}, pg.Cause(ctx, err)
		}
		indexes += bytes
	}
	samples, err := r.samples(ctx, leaves, pages)
	if err != nil {
		return Cost{}, err
	}
	c, err := r.asked(ctx)
	if err != nil {
		return Cost{}, err
	}
	r.heed(c)
	return predict(samples, float64(pages), indexes, Options{Workers: r.workers(), Target: r.target(), Rate: r.rate()}), nil
}

// predict is pure. With s stripes the rows of the first have to leave a full page, 1/s of all, and of the others as many as the growth of rows makes too many: from then on each stripe has
// the room that the one before has left. Reading goes on while rows are written, if the processors are free for both.
func predict(samples []sample, pages, indexes float64, o Options) Cost {
	var sum sample
	least, most := math.Inf(1), 0.0
	leastRead, mostRead := math.Inf(1), 0.0
	for _, s := range samples {
		sum.pages, sum.rows, sum.wal, sum.was, sum.is = sum.pages+s.pages, sum.rows+s.rows, sum.wal+s.wal, sum.was+s.was, sum.is+s.is
		if s.rows > 0 {
			least, most = min(least, s.write/s.rows), max(most, s.write/s.rows)
			leastRead, mostRead = min(leastRead, s.read/s.rows), max(mostRead, s.read/s.rows)
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
	workers := float64(o.Workers)
	busy := [2]float64{rows * max(least*(moved+f.Hot*hotTime), leastRead), rows * (most + mostRead) * (1 + doubt)} // of one worker
	f.Statements = Span{math.Ceil(busy[0] / o.Target.Seconds()), math.Ceil(busy[1]/o.Target.Seconds()) + 1}
	atRate := 0.0
	if o.Rate > 0 {
		atRate = rows / o.Rate
	}
	f.Took = [2]time.Duration{seconds(max(busy[0]/workers, atRate)), seconds(max(busy[1]/workers, atRate))}
	return f
}

func span(v float64) Span { return Span{v * (1 - doubt), v * (1 + doubt)} }

// String is a line for an operator.
func (f Cost) String() string {
	mb := func(s Span) string { return fmt.Sprintf("%.0f to %.0f MB", s[0]/1e6, s[1]/1e6) }
	return fmt.Sprintf("about %d rows in %.0f to %.0f transactions, %s to %s; %s of WAL; the table grows by %s, its indexes by %s, and %.0f %% of the updates stay out of the indexes",
		f.Rows, f.Statements[0], f.Statements[1], f.Took[0], f.Took[1], mb(f.WAL), mb(f.Heap), mb(f.Indexes), 100*f.Hot)
}
