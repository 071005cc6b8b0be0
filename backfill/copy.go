package backfill

import (
	"context"
	"time"

	"github.com/jmoiron/sqlx"
)

// copier is how a worker copies a slice.
func (r *runner) copier(w *worker) func(context.Context, slice) (statement, error) {
	if r.task.exprs == nil {
		w.reader = &reader{runner: r, size: newSizer(r.o.Batch), density: usualDensity}
		return w.copyInGo
	}
	return w.copyInServer
}

// copyInServer is one UPDATE. The commit is asynchronous: a crash loses rows and position together, so nothing is skipped.
func (w *worker) copyInServer(ctx context.Context, s slice) (done statement, err error) {
	text, before := w.task.updateSQL(s.where), w.task.before("", s.where)
	err = w.inTx(ctx, func(ctx context.Context, tx *sqlx.Tx) error {
		if err := runAll(ctx, tx, before, s.args); err != nil {
			return err
		}
		res, err := tx.ExecContext(ctx, text, s.args...)
		if err != nil {
			return err
		}
		written, err := res.RowsAffected()
		if err != nil {
			return err
		}
		done, err = w.save(ctx, tx, s.next, written, 0)
		return err
	})
	return done, err
}

// copyInGo writes back converted rows that have not changed since they were read, together with the position. Rows of which there are more than there is room for are done in part: the next statement goes over the same
// slice once more, and finds the others.
func (w *worker) copyInGo(ctx context.Context, s slice) (done statement, err error) {
	b := w.window.batch(s)
	if b == nil {
		if b, err = w.readNow(ctx, s); err != nil {
			return done, err
		}
	}
	if b.cut {
		s.next = s.again
	}
	done, err = w.commit(ctx, b, s.next)
	if err != nil {
		return done, err
	}
	if w.aside = append(w.aside, b.badKeys()...); !b.cut {
		w.aside = nil
	}
	done.cut = b.cut
	return done, nil
}

// readNow reads a slice while the worker shows that it lives: conversions may take long.
func (w *worker) readNow(ctx context.Context, s slice) (*batch, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done, k, where := make(chan struct{}), w.task, s.where+w.task.except(w.aside)
	var read *batch // by a goroutine that may outlast this call
	var failed error
	go func() {
		defer close(done)
		read, failed = k.readUpTo(ctx, w.db, batchBytes, k.readSQL(where), s.args...)
	}()
	if err := w.await(ctx, done); err != nil {
		return nil, err
	}
	return read, failed
}

// await waits for what is read, keeps the range meanwhile, and hears what is asked.
func (w *worker) await(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	default:
	}
	tick := time.NewTicker(pollTime)
	defer tick.Stop()
	for beat := time.Now(); ; {
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
			if err := w.beat(ctx, &beat, ""); err != nil {
				return err
			}
			if err := w.rest(ctx, 0, 0); err != nil {
				return err
			}
		}
	}
}
