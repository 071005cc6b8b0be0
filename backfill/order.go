package backfill

import (
	"context"
	"fmt"
	"math"
	"math/bits"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/backfill/throttle"
	"github.com/tandem-go/tandem/internal/state"
)

// order decides in how many stripes the next window of blocks is done, and how long it is, from what is measured.
type order struct {
	forced  int     // Options.Stripes; 0: by measurement
	hinders string  // an index that makes heap-only updates impossible
	others  float64 // seconds that a snapshot of another worker may last
	density float64 // rows to do on a page
	speed   float64 // blocks a second that a stripe goes over
	tried   bool    // whether pages have room of their own
	plain   int     // windows to do without stripes before they are tried again
	why     string  // there are no stripes

	snapshots throttle.Snapshot
	oldest    throttle.Held

	// of the window under way:
	blocks       int64 // its length; 0: it was begun by another worker
	rows         int64 // written
	updated, hot int64 // row versions made, and of them those without new index entries
}

func newOrder(forced int, hinders string, o Options) *order {
	out := &order{forced: forced, hinders: hinders, density: usualDensity}
	if o.Workers > 1 { // a statement of another worker is a snapshot, and lasts so long
		out.others = 2 * o.Target.Seconds()
	}
	return out
}

const (
	// Each more has fewer rows leave their page, and reads every page once more: BenchmarkBackfill with -stripes compares.
	usualStripes = 8
	usualDensity = 50   // rows to do on a page, before any was seen
	probeBlocks  = 16   // of the first window, which finds out whether pages have room
	roomy        = 0.9  // the share of heap-only updates that shows it
	hopeless     = 0.15 // of a window in stripes that have brought nothing
	plainWindows = 8    // until stripes are tried again
	// A page is pruned once no snapshot is older than its last stripe. A margin for snapshots that are taken meanwhile.
	snapshotMargin = 1.5
	maxWindow      = 1 << 16 // blocks: more than that between two stripes no cache holds
)

// look finds the oldest snapshot.
func (o *order) look(ctx context.Context, db *sqlx.DB) (err error) {
	if o.oldest, err = o.snapshots.Oldest(ctx, db); err != nil {
		return fmt.Errorf("oldest snapshot: %w", err)
	}
	return nil
}

// slice is the next one of a range of blocks, for a statement of so many rows. read: the window that begins here, if it has been read.
func (o *order) slice(r state.Range, rows int, read *window) slice {
	stripes, length := r.Position.Stripes, int64(0)
	if r.Position.High == nil {
		if read != nil {
			stripes, length = read.stripes, read.high-read.low
		} else {
			stripes, length = o.next(rows)
		}
		length = min(length, block(r.High)-block(r.From()))
		o.blocks, o.rows, o.updated, o.hot = length, 0, 0, 0
	}
	s := blockSlice(r, o.length(rows, stripes), stripes, length)
	s.rows = float64(s.blocks) * max(o.density, 1) / float64(stripes)
	return s
}

// length is how many blocks a statement goes over to find the rows in one stripe.
func (o *order) length(rows, stripes int) int64 {
	return int64(min(float64(rows*stripes)/max(o.density, 0.01)+1, maxWindow))
}

// next are the stripes of the next window and its length in blocks.
func (o *order) next(rows int) (stripes int, length int64) {
	need := int64(math.Min(o.speed*max(o.oldest.For.Seconds(), o.others)*snapshotMargin, math.MaxInt32))
	switch {
	case o.forced == 1:
	case o.forced != 0:
		return o.forced, max(o.length(rows, o.forced), need)
	case o.hinders != "":
		o.why = fmt.Sprintf("index %s holds a column that is written, so no update is heap-only", o.hinders)
	case o.density < 2:
		o.why = "there is hardly a page with two rows to do"
	case !o.tried:
		o.tried, o.why = true, "to see whether pages have room"
		return 1, probeBlocks
	case o.plain > 0:
		o.plain--
	case need > maxWindow:
		o.why = o.oldest.String() + ", which keeps dead rows from being pruned"
	default:
		o.why = ""
		stripes = min(usualStripes, 1<<bits.Len(uint(math.Ceil(o.density)-1)))
		return stripes, max(o.length(rows, stripes), need)
	}
	return 1, o.length(rows, 1)
}

// did learns from a statement how fast it went over blocks, and, when it ends a window, how many rows there were and what stripes have brought.
func (o *order) did(s slice, done statement) {
	if s.blocks == 0 {
		return
	}
	speed := float64(s.blocks) / max(done.took.Seconds(), 1e-6)
	if o.speed == 0 {
		o.speed = speed
	}
	o.speed += (speed - o.speed) / 4
	o.rows, o.updated, o.hot = o.rows+done.rows, o.updated+done.updated, o.hot+done.hot
	if !s.ended || o.blocks == 0 {
		return
	}
	o.density = float64(o.rows) / float64(o.blocks)
	if o.forced == 0 && o.updated > 0 {
		o.judge(s.stripes, float64(o.hot)/float64(o.updated))
	}
	o.blocks = 0
}

// judge looks at a window's share of heap-only updates.
func (o *order) judge(stripes int, hot float64) {
	switch {
	case stripes == 1 && hot >= roomy:
		o.plain, o.why = 1, fmt.Sprintf("pages have room: %.0f %% of updates were heap-only", 100*hot)
	case stripes > 1 && hot < hopeless:
		o.plain, o.why = plainWindows, fmt.Sprintf("only %.0f %% of updates were heap-only", 100*hot)
		if o.oldest.Who != "" {
			o.why += "; " + o.oldest.String()
		}
	}
}
