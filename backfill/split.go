package backfill

import (
	"context"
	"fmt"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/state"
)

const (
	// A smaller table is done in the order of its key: it stays in memory, and there is little to save.
	leastBlocks = 64
	// Ranges are large enough that the stripes of a window have time for snapshots to end, and few enough to be listed.
	rangeBlocks = 4096
	maxRanges   = 64
	// Keys of about so many pages are read to find out how the keys are spread.
	samplePages = 300
)

// split divides what a round goes over into ranges, and estimates its rows. A later round is in the order of the key, if windows by that are cheap: what it looks for may have moved from page to page.
func (r *runner) split(ctx context.Context, round int) (ranges []state.Range, total int64, err error) {
	leaves, err := catalog.Leaves(ctx, r.db, r.task.d.Table)
	if err != nil {
		return nil, 0, err
	}
	var pages int64
	blocks := (round == 0 || r.task.path.mixed()) && r.o.Stripes != 1 && !r.o.OrderDesc && r.task.inPlace()
	for _, leaf := range leaves {
		pages += leaf.Pages
		blocks = blocks && leaf.Blocks
	}
	if total, err = estimate(ctx, r.db, r.task.d.Table); err != nil {
		return nil, 0, err
	}
	if r.task.d.Keyless() {
		ranges, err = r.keylessRanges(leaves, pages)
		return ranges, total, err
	}
	if blocks && (pages >= leastBlocks || r.o.Stripes > 1) {
		return blockRanges(leaves, pages, r.o.Workers), total, nil
	}
	ranges, err = r.keyRanges(ctx, r.task, pages, total)
	return ranges, total, err
}

// pieces is into how many ranges so many blocks are divided: two for each worker at least, if they are worth it.
func pieces(blocks int64, workers int) int64 {
	return min(max(blocks/rangeBlocks, min(2*int64(workers), blocks/leastBlocks), 1), maxRanges)
}

// blockRanges divides each partition by its share of the blocks.
func blockRanges(leaves []catalog.Leaf, pages int64, workers int) (out []state.Range) {
	all := pieces(pages, workers)
	for _, leaf := range leaves {
		n := min(max(all*leaf.Pages/max(pages, 1), 1), leaf.Pages)
		for i := range n {
			low, high := leaf.Pages*i/n, leaf.Pages*(i+1)/n
			out = append(out, state.Range{Relation: leaf.Relation, Low: blockKey(low), High: blockKey(high), Blocks: true, Weight: float64(high - low)})
		}
	}
	return out
}

// keyRanges divides a task's table by a sample of its keys. The last key is fixed here: later rows are written by the wrappers or repaired by the guard.
func (r *runner) keyRanges(ctx context.Context, k *task, pages, total int64) ([]state.Range, error) {
	last, err := r.key(ctx, k.lastKeySQL())
	if err != nil || last == nil {
		return nil, err
	}
	n := pieces(pages, r.o.Workers)
	var bounds [][]string
	if n > 1 {
		if bounds, err = r.keys(ctx, k.boundsSQL(float64(samplePages)/float64(pages), n), anys(last)...); err != nil {
			return nil, err
		}
	}
	var out []state.Range
	var low []string
	for _, high := range append(bounds, last) {
		out = append(out, state.Range{Relation: k.table, Low: low, High: high, Weight: float64(total) / float64(len(bounds)+1)})
		low = high
	}
	return out, nil
}

// boundsSQL finds n - 1 keys up to the parameters that divide the table, from a sample of a share of its pages.
func (k *task) boundsSQL(share float64, n int64) string {
	return fmt.Sprintf("SELECT key FROM (SELECT %s AS key, row_number() OVER (ORDER BY %s) AS i, count(*) OVER () AS c FROM %s TABLESAMPLE SYSTEM (%g) WHERE %s) AS s"+
		" WHERE i * %d / c <> (i - 1) * %d / c AND i < c ORDER BY i", k.path.texts(), k.path.order(), k.from(), 100*min(share, 1), k.between(false), n, n)
}

// keys reads keys as text, in one column of arrays.
func (r *runner) keys(ctx context.Context, text string, args ...any) (out [][]string, err error) {
	err = r.retry(ctx, func(ctx context.Context) (err error) {
		out, err = readKeys(ctx, r.db, text, args...)
		return err
	})
	return out, err
}

func readKeys(ctx context.Context, q sqlx.QueryerContext, text string, args ...any) (out [][]string, err error) {
	var found []pq.StringArray
	if err := sqlx.SelectContext(ctx, q, &found, text, args...); err != nil {
		return nil, err
	}
	for _, key := range found {
		out = append(out, key)
	}
	return out, nil
}

// countUpTo is how many rows are counted; beyond, the planner's estimate is good enough for a progress bar and costs nothing.
const countUpTo = 100_000

func estimate(ctx context.Context, db *sqlx.DB, t ident.Table) (int64, error) {
	var n int64
	err := db.GetContext(ctx, &n, `SELECT count(*) FROM (SELECT FROM `+t.SQL()+` LIMIT $1) x`, countUpTo+1)
	if err == nil && n > countUpTo {
		err = db.GetContext(ctx, &n, `SELECT greatest($2, sum(c.reltuples))::bigint FROM pg_class c
			WHERE c.oid = to_regclass($1) OR c.oid IN (SELECT relid FROM pg_partition_tree(to_regclass($1)) WHERE isleaf)`, t.SQL(), n)
	}
	if err != nil {
		return 0, fmt.Errorf("rows of %s: %w", t, pg.Cause(ctx, err))
	}
	return n, nil
}
