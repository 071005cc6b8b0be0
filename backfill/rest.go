package backfill

import (
	"context"
	"fmt"
	"time"

	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/state"
)

const (
	pollTime    = 200 * time.Millisecond // of a worker that stands still
	beatTime    = lease / 5              // between signs of life of one that rests
	longestRest = time.Hour              // after one statement: the slowest of rates would overflow
)

// heed takes what is asked of all workers, and starts more of them if more are asked for.
func (r *runner) heed(c Control) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.control = c
	for r.start != nil && r.running < r.workers() {
		r.running++
		r.start()
	}
}

// asked reads what is asked of all workers.
func (r *runner) asked(ctx context.Context) (c Control, err error) {
	err = r.retry(ctx, func(ctx context.Context) (err error) {
		c, err = state.LoadControl(ctx, r.db, r.task.d.Name())
		return err
	})
	return c, err
}

// refuse is ErrCancelled while that is asked for: a call that begins then must begin no pass, nor forget what the last one has found.
func (r *runner) refuse(ctx context.Context) error {
	c, err := r.asked(ctx)
	if err == nil && c.Cancelled {
		err = cancelled(c)
	}
	return err
}

// workers is how many are asked for.
func (r *runner) workers() int {
	if r.control.Workers != 0 {
		return r.control.Workers
	}
	return r.o.Workers
}

// target is what a statement shall take.
func (r *runner) target() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.control.Target != 0 {
		return r.control.Target
	}
	return r.o.Target
}

// held is how long a worker rests after a statement that wrote rows and took so long, and why. still: it stands still until that changes.
func (r *runner) held(rows int64, took time.Duration) (rest time.Duration, why string, still bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch c := r.control; {
	case c.Cancelled:
		return 0, "", false, cancelled(c)
	case r.running > r.workers():
		r.running--
		return 0, "", false, errSuperfluous
	case c.Paused:
		return pollTime, "paused by " + c.By, true, nil
	}
	if rest, why, still = r.monitor.Rest(took); still {
		return pollTime, why, true, nil
	}
	if rate := r.rate(); rate > 0 {
		share := rate / float64(max(r.progress.working(), 1))
		due := min(float64(rows)/share*float64(time.Second), float64(longestRest))
		if more := time.Duration(due) - took; more > rest {
			rest, why = more, fmt.Sprintf("%g rows a second are asked for", rate)
		}
	}
	return rest, why, false, nil
}

// readerRest is held for what only reads: it has no part in the rate, and whether to go on is its worker's to say.
func (r *runner) readerRest(took time.Duration) (rest time.Duration, still bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.control.Paused || r.control.Cancelled {
		return pollTime, true
	}
	rest, _, still = r.monitor.Rest(took)
	return rest, still
}

// rate is what all workers together may write in a second; 0: what they can.
func (r *runner) rate() float64 {
	if r.control.Rate != 0 {
		return r.control.Rate
	}
	return r.o.Rate
}

// most is how many rows a statement may have so that its worker does not rest for longer than a second.
func (w *worker) most() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if rate := w.rate(); rate > 0 {
		return max(minBatch, min(w.o.Batch, int(rate)/max(w.progress.working(), 1)))
	}
	return w.o.Batch
}

// rest waits for as long as is asked for, and keeps the range meanwhile. errOver: Options.For was over before, and no statement may follow.
func (w *worker) rest(ctx context.Context, rows int64, took time.Duration) error {
	began := time.Now()
	var beat time.Time
	for {
		rest, why, still, err := w.held(rows, took)
		if err != nil {
			return err
		}
		left := rest - time.Since(began)
		if still {
			left = rest
		}
		switch {
		case left <= 0:
			return nil
		case w.over():
			return errOver
		}
		if still || left > pollTime {
			if err := w.beat(ctx, &beat, why); err != nil {
				return err
			}
		}
		if err := pg.Sleep(ctx, min(left, pollTime)); err != nil {
			return err
		}
	}
}

// attempt sends a statement until it succeeds or fails for good. Before each further attempt it shows that the worker lives, and hears what is asked: a row that somebody locks for long
// must not keep a pause from being heard, nor let the range be taken over.
func (w *worker) attempt(ctx context.Context, fn func(ctx context.Context) error) error {
	again := false
	return w.retry(ctx, func(ctx context.Context) error {
		if again {
			a, err := w.saved.Touch(ctx, w.db, "")
			if err != nil {
				return err
			}
			w.said = ""
			w.heed(a.Control)
			if err := w.rest(ctx, 0, 0); err != nil {
				return err
			}
		}
		again = true
		return fn(ctx)
	})
}

// beat tells that the worker lives, why it rests, and hears whether that is still asked for.
func (w *worker) beat(ctx context.Context, last *time.Time, why string) error {
	var c Control
	err := w.retry(ctx, func(ctx context.Context) (err error) {
		if time.Since(*last) < beatTime && w.said == why {
			c, err = w.asked(ctx)
			return err
		}
		a, err := w.saved.Touch(ctx, w.db, why)
		c, *last, w.said = a.Control, time.Now(), why
		return err
	})
	if err != nil {
		return err
	}
	w.heed(c)
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.report(ctx, why)
}
