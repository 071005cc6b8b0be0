package backfill

import (
	"fmt"

	"github.com/tandem-go/tandem/internal/state"
)

// slice is what one statement goes over.
type slice struct {
	where string      // which rows, a predicate on t
	args  []any       // its parameters
	next  state.Range // how far the range is when it is done
	again state.Range // how far it is when a part of the slice is done
	rows  float64     // about how many it looks for

	low     int64 // the first block
	blocks  int64 // that it goes over; 0: keys
	stripe  int
	stripes int  // it is in one of so many
	ended   bool // it ends a window
}

// blockSlice is the next slice of a range of blocks: n blocks of one stripe. A window is begun with stripes and length, if none is under way.
func blockSlice(r state.Range, n int64, stripes int, length int64) slice {
	pos, end := r.Position, block(r.High)
	low := block(r.From())
	if pos.High == nil {
		pos.High, pos.Stripe, pos.Stripes, pos.At = blockKey(min(low+max(length, 1), end)), 0, stripes, blockKey(low)
	}
	at, high := block(pos.At), block(pos.High)
	to := min(at+max(n, 1), high)
	s := slice{where: inBlocks(at, to) + inStripe(pos.Stripe, pos.Stripes), next: r, again: r, low: at, blocks: to - at, stripe: pos.Stripe, stripes: pos.Stripes}
	s.again.Position = pos
	pos.Low, pos.At = blockKey(low), blockKey(to)
	if to == high {
		pos.Stripe, pos.At = pos.Stripe+1, blockKey(low)
	}
	if pos.Stripe == pos.Stripes {
		s.ended = true
		pos = state.Position{Low: blockKey(high)}
	}
	s.next.Position = pos
	s.next.Done = pos.High == nil && high == end
	s.next.Share = share(pos, block(r.Low), end)
	return s
}

// share is how much of the blocks from first to end a position has behind it.
func share(pos state.Position, first, end int64) float64 {
	done := float64(block(pos.Low) - first)
	if pos.High != nil {
		low, high := float64(block(pos.Low)), float64(block(pos.High))
		done += ((high-low)*float64(pos.Stripe) + float64(block(pos.At)) - low) / float64(pos.Stripes)
	}
	return done / float64(end-first)
}

// inBlocks is a TID range scan (PostgreSQL 14): it reads the blocks in order and no index.
func inBlocks(low, high int64) string {
	return fmt.Sprintf("t.ctid >= '(%d,0)' AND t.ctid < '(%d,0)'", low, high)
}

// inStripe spreads the rows of each page evenly over the stripes, whatever their key: by the low bits of their number on the page, the last byte of a tid as it is sent.
func inStripe(stripe, stripes int) string {
	if stripes == 1 {
		return ""
	}
	return fmt.Sprintf(" AND get_byte(tidsend(t.ctid), 5) & %d = %d", stripes-1, stripe)
}

// keySlice is the next slice of a range of keys: those behind the position up to and with high, which are about rows many.
func (k *task) keySlice(r state.Range, high []string, rows float64) slice {
	low := r.From()
	s := slice{where: k.between(low != nil), args: append(anys(high), anys(low)...), next: r, again: r, rows: rows}
	s.next.Position.Low = high
	s.next.Position.Passed += rows
	s.next.Done = equal(high, r.High)
	s.next.Share = s.next.Position.Passed / max(r.Weight, s.next.Position.Passed+rows)
	if s.next.Done {
		s.next.Share = 1
	}
	return s
}
