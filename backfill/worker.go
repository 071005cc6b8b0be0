package backfill

import (
	"context"
	"errors"
	"time"

	"github.com/jmoiron/sqlx"
	"golang.org/x/sync/errgroup"

	"github.com/tandem-go/tandem/backfill/throttle"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/state"
)

// worker goes over one range after the other.
type worker struct {
	*runner
	task   *task // on the range's relation
	size   *sizer
	order  *order
	saved  state.Range   // what is committed of the range
	before state.Updates // as the transaction under way began
	said   string        // why it rests, as the range says
	last   statement     // of this range or of the one before: a range of one statement does not spare the rest after it
	aside  [][]string    // keys of rows of the present slice that were set aside, while it is done in parts
	do     func(ctx context.Context, s slice) (statement, error)

	// of a conversion in Go:
	reader *reader
	window *window // under way
	next   *ahead  // the one behind it; nil: none is being read
}

// statement is what one transaction has done.
type statement struct {
	saved  state.Range // how far the range is with it
	answer state.Answer
	rows   int64 // written, or compared
	took   time.Duration

	updated, hot int64 // row versions made, and of them those without new index entries
	cut          bool  // there was no room for all rows
}

// work runs the workers until no range of the round is left, or Options.For is over.
func (r *runner) work(ctx context.Context, p state.Pass, stripes int, doer func(*worker) func(context.Context, slice) (statement, error)) error {
	var err error
	if r.progress, err = r.newProgress(ctx, p); err != nil {
		return err
	}
	c, err := r.asked(ctx)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	r.running, r.start = 0, func() {
		w := &worker{runner: r, size: newSizer(r.o.Batch), order: newOrder(stripes, r.hinders, r.o)}
		w.do = doer(w)
		g.Go(func() error { return w.ranges(ctx) })
	}
	r.heed(c)
	return g.Wait()
}

// ranges claims one range after the other, one at least. When all that are left are others', it waits for them to be done or given up.
func (w *worker) ranges(ctx context.Context) error {
	others := new(others)
	for first := true; first || !w.over(); first = false {
		var claimed *state.Range
		var signs []state.Sign
		err := w.retry(ctx, func(ctx context.Context) (err error) {
			if claimed, err = state.Claim(ctx, w.db, w.runner.task.d.Name(), w.kind, lease, others.silent()); err == nil && claimed == nil {
				signs, err = state.Signs(ctx, w.db, w.runner.task.d.Name(), w.kind)
			}
			return err
		})
		switch {
		case err != nil:
			return err
		case claimed != nil:
			w.stint.begin()
			err = w.overRange(ctx, *claimed)
		case len(signs) == 0:
			return nil
		default:
			w.stint.begin()
			others.hear(signs)
			err = w.wait(ctx)
		}
		switch {
		case errors.Is(err, errSuperfluous), errors.Is(err, errOver):
			return nil
		case err != nil && !errors.Is(err, ErrTaken): // who has taken the range over goes on with it
			return err
		}
	}
	return nil
}

// wait lets others work, and hears what is asked.
func (w *worker) wait(ctx context.Context) error {
	c, err := w.asked(ctx)
	if err != nil {
		return err
	}
	if w.heed(c); c.Cancelled {
		return cancelled(c)
	}
	return pg.Sleep(ctx, pollTime)
}

// others are the workers that this one waits for. They may be taken over after lease without a sign of life, by the database's clock, which Claim asks, or by ours: where the
// database's was set back, the last sign of life lies in the future.
type others struct {
	last  map[int64]time.Time // the sign of life of each token
	since map[int64]time.Time // when we heard it
}

func (o *others) hear(signs []state.Sign) {
	last, since := map[int64]time.Time{}, map[int64]time.Time{}
	for _, s := range signs {
		last[s.Token], since[s.Token] = s.SeenAt, time.Now()
		if before, ok := o.last[s.Token]; ok && before.Equal(s.SeenAt) {
			since[s.Token] = o.since[s.Token]
		}
	}
	o.last, o.since = last, since
}

func (o *others) silent() (tokens []int64) {
	for token, since := range o.since {
		if time.Since(since) > lease {
			tokens = append(tokens, token)
		}
	}
	return tokens
}

// overRange goes over one range to its end, or until Options.For is over: by one statement at least, so that calls of any length end.
func (w *worker) overRange(ctx context.Context, claimed state.Range) (err error) {
	w.saved, w.task, w.window = claimed, w.taskOn(claimed.Relation), nil
	defer func() {
		w.forget()
		if !w.saved.Done && !errors.Is(err, ErrTaken) {
			err = errors.Join(err, w.saved.Release(ctx, w.db))
		}
	}()
	if left, err := w.leave(ctx, nil); left || err != nil {
		return at(w.saved, err)
	}
	w.size.limit(w.most())
	for first := true; first || !w.over(); first = false {
		if err := w.rest(ctx, w.last.rows, w.last.took); err != nil {
			return at(w.saved, err)
		}
		if w.last, err = w.step(ctx); err != nil {
			if left, err := w.leave(ctx, err); left || err != nil {
				return at(w.saved, err)
			}
		}
		if ctx.Err() != nil {
			return at(w.saved, context.Cause(ctx))
		}
		if w.saved.Done {
			return nil
		}
	}
	return nil
}

// taskOn is the task on a relation.
func (r *runner) taskOn(relation string) *task {
	if r.other != nil && r.other.table == relation {
		return r.other
	}
	return r.task.on(relation)
}

// step runs one statement, and learns from it.
func (w *worker) step(ctx context.Context) (done statement, err error) {
	s, err := w.slice(ctx)
	if err != nil {
		return done, err
	}
	s.where += w.task.scope
	err = w.attempt(ctx, func(ctx context.Context) (err error) {
		began := time.Now()
		done, err = w.do(ctx, s)
		done.took = time.Since(began)
		return err
	})
	if refused(err) {
		return done, w.halve(ctx, s)
	}
	if err != nil {
		return done, err
	}
	w.heed(done.answer.Control)
	w.size.limit(w.most())
	if done.cut {
		w.size.limit(max(int(done.rows), minBatch))
	} else {
		w.size.took(s.rows, done.took, w.target())
		w.order.did(s, done)
	}
	return done, w.note(ctx, done)
}

// slice is what the next statement goes over.
func (w *worker) slice(ctx context.Context) (s slice, err error) {
	if !w.saved.Blocks {
		from, n := w.saved.From(), w.size.rows()
		text, args := w.task.windowSQL(from != nil), append(append(anys(w.saved.High), anys(from)...), n-1)
		var high []string
		err := w.retry(ctx, func(ctx context.Context) error {
			return w.look(ctx, func(ctx context.Context, q sqlx.QueryerContext) error {
				found, err := readKeys(ctx, q, text, args...)
				if high = nil; len(found) > 0 {
					high = found[0]
				}
				return err
			})
		})
		if high == nil {
			high = w.saved.High
		}
		return w.task.keySlice(w.saved, high, float64(n)), err
	}
	if w.saved.Position.High == nil && w.order.forced != 1 {
		err = w.retry(ctx, func(ctx context.Context) error { return w.order.look(ctx, w.db) })
	}
	if err != nil || w.saved.Position.High != nil || w.reader == nil {
		return w.order.slice(w.saved, w.size.rows(), nil), err
	}
	win, err := w.nextWindow(ctx)
	if err != nil {
		return s, err
	}
	return w.order.slice(w.saved, w.size.rows(), win), nil
}

// note keeps what is committed, and reports it.
func (w *worker) note(ctx context.Context, done statement) error {
	w.saved = done.saved
	w.mu.Lock()
	defer w.mu.Unlock()
	w.res.Rows += done.rows
	if err := w.report(ctx, ""); err != nil {
		return err
	}
	return w.checkBad()
}

// report tells how far the pass is, and why this worker rests. The runner is locked.
func (w *worker) report(ctx context.Context, held string) error {
	if err := w.retry(ctx, func(ctx context.Context) error { return w.progress.refresh(ctx, w.runner) }); err != nil {
		return err
	}
	p := w.progress.at(w.saved, w.order.why)
	p.Held = held
	return w.tell(ctx, p)
}

// inTx is a transaction of a batch.
func (w *worker) inTx(ctx context.Context, fn func(ctx context.Context, tx *sqlx.Tx) error) error {
	s := pg.Settings{LockTimeout: lockTimeout, AsyncCommit: true, Application: throttle.Application + w.task.d.Name(), Lookups: w.task.exprs == nil}
	return pg.InTx(ctx, w.db, s, func(ctx context.Context, tx *sqlx.Tx) (err error) {
		if err := w.task.announce(ctx, tx); err != nil {
			return err
		}
		if err := w.lies(ctx, tx); err != nil {
			return err
		}
		if w.saved.Blocks {
			if w.before, err = w.saved.Updates(ctx, tx); err != nil {
				return err
			}
		}
		return fn(ctx, tx)
	})
}

// save stores how far the range is with so many rows more.
func (w *worker) save(ctx context.Context, tx *sqlx.Tx, next state.Range, rows, differences int64) (done statement, err error) {
	next.Rows, next.Differences = w.saved.Rows+rows, w.saved.Differences+differences
	done.saved, done.rows = next, rows
	done.answer, err = next.Save(ctx, tx)
	done.updated, done.hot = done.answer.Updated-w.before.Updated, done.answer.Hot-w.before.Hot
	return done, err
}
