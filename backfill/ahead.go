package backfill

import (
	"context"
	"slices"
	"sort"
	"time"

	"github.com/tandem-go/tandem/internal/pg"
)

// window are blocks whose rows are read, once for all stripes, and converted before they are written. While a worker writes one, the next is read: reading, converting and writing overlap. What
// changes meanwhile is not written over, see writeBackSQL, and left to the next round.
type window struct {
	low, high int64
	stripes   int
	parts     [][]*row // the rows of each stripe, in the order of their blocks; nil: they are too large to be read ahead
	bad       []badRow
}

// readShare is how much shorter a statement that reads ahead is: it is a snapshot, and what one stripe leaves dead must be older than any before the next can have its room.
const readShare = 5

// readTime bounds how long a window is read: one that converts slowly is short.
const readTime = 2 * time.Second

// ahead is a window that is being read.
type ahead struct {
	low    int64
	done   chan struct{}
	cancel context.CancelFunc
	window *window
	err    error
}

// nextWindow is the one that begins where the range is, and has the one behind it read meanwhile.
func (w *worker) nextWindow(ctx context.Context) (*window, error) {
	low, end := block(w.saved.From()), block(w.saved.High)
	if w.next != nil && w.next.low != low {
		w.forget()
	}
	if w.next == nil {
		w.readAhead(ctx, low, end)
	}
	a := w.next
	if err := w.await(ctx, a.done); err != nil {
		return nil, err
	}
	w.next, w.window = nil, a.window
	if a.err != nil {
		return nil, a.err
	}
	if a.window.high < end {
		w.readAhead(ctx, a.window.high, end)
	}
	return a.window, nil
}

// readAhead begins to read a window.
func (w *worker) readAhead(ctx context.Context, low, end int64) {
	stripes, length := w.order.next(w.size.rows())
	ctx, cancel := context.WithCancel(ctx)
	a, k := &ahead{low: low, done: make(chan struct{}), cancel: cancel}, w.task
	w.next = a
	go func() {
		defer close(a.done)
		defer cancel()
		a.window, a.err = w.reader.window(ctx, k, low, min(low+max(length, 1), end), stripes)
	}()
}

// forget ends the reading ahead.
func (w *worker) forget() {
	if w.next != nil {
		w.next.cancel()
		<-w.next.done
		w.next = nil
	}
}

// reader reads windows.
type reader struct {
	*runner
	size    *sizer
	density float64 // rows to do on a block
}

// window reads and converts the rows of some blocks, in statements that take as long as they shall. What takes too much memory or time ends it early.
func (r *reader) window(ctx context.Context, k *task, low, high int64, stripes int) (*window, error) {
	win := &window{low: low, high: high, stripes: stripes, parts: make([][]*row, stripes)}
	began, size, most := time.Now(), 0, high-low // most: blocks of a statement
	var last time.Duration
	for at := low; at < win.high; {
		if err := r.giveWay(ctx, last); err != nil {
			return nil, err
		}
		to := min(at+max(min(int64(float64(r.size.rows())/max(r.density, 0.01)), most), 1), win.high)
		b, took, err := r.read(ctx, k, inBlocks(at, to)+k.scope, batchBytes-size)
		switch {
		case err != nil:
			return nil, err
		case b.cut && at > low:
			win.high = at
			return win.sorted(), nil
		case b.cut && to-at == 1:
			return &window{low: low, high: to, stripes: 1}, nil
		case b.cut:
			most = (to - at) / 4
			continue
		}
		last = took
		r.learn(b.len()+len(b.bad), to-at, took)
		win.add(b)
		size += b.size
		if at = to; at < win.high && (size >= batchBytes || time.Since(began) > readTime) {
			win.high = at
		}
	}
	return win.sorted(), nil
}

func (r *reader) read(ctx context.Context, k *task, where string, most int) (b *batch, took time.Duration, err error) {
	err = r.retry(ctx, func(ctx context.Context) (err error) {
		began := time.Now()
		b, err = k.readUpTo(ctx, r.db, most, k.readSQL(where))
		took = time.Since(began)
		return err
	})
	return b, took, err
}

// learn takes what a statement has shown for the next.
func (r *reader) learn(rows int, blocks int64, took time.Duration) {
	r.density = float64(rows) / float64(blocks)
	r.size.took(float64(rows), took, max(r.target()/readShare, minTarget))
}

// giveWay rests after a statement that took so long, and stands still while that is asked for: one statement at most follows.
func (r *reader) giveWay(ctx context.Context, took time.Duration) error {
	for {
		c, err := r.asked(ctx)
		if err != nil {
			return err
		}
		r.heed(c)
		rest, still := r.readerRest(took)
		if rest > 0 {
			if err := pg.Sleep(ctx, rest); err != nil {
				return err
			}
		}
		if !still {
			return nil
		}
	}
}

func (w *window) add(b *batch) {
	for _, r := range b.rows {
		s := r.place.stripe(w.stripes)
		w.parts[s] = append(w.parts[s], r)
	}
	w.bad = append(w.bad, b.bad...)
}

// sorted has the rows in the order of blocks, in which a scan mostly finds them.
func (w *window) sorted() *window {
	byBlock := func(a, b *row) int { return int(a.place.block - b.place.block) }
	for _, part := range w.parts {
		if !slices.IsSortedFunc(part, byBlock) {
			slices.SortFunc(part, byBlock)
		}
	}
	return w
}

// batch are the rows of a slice; nil if they are not here. The bad ones of the window go with its first.
func (w *window) batch(s slice) *batch {
	if w == nil || w.parts == nil || s.blocks == 0 || s.low < w.low || s.low+s.blocks > w.high || s.stripes != w.stripes {
		return nil
	}
	part := w.parts[s.stripe]
	before := func(high int64) int {
		return sort.Search(len(part), func(i int) bool { return part[i].place.block >= high })
	}
	b := &batch{rows: part[before(s.low):before(s.low+s.blocks)]}
	if s.low == w.low && s.stripe == 0 {
		b.bad = w.bad
	}
	return b
}
