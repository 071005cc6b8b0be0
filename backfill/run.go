package backfill

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/phase"
	"github.com/tandem-go/tandem/internal/state"
)

// Result is what Run did, also when it returns an error.
type Result struct {
	Rows    int64         // written by this call
	BadRows int64         // rows in tandem.bad_row now: their value does not convert
	Resumed bool          // an earlier run had begun
	Took    time.Duration // by this call
}

// maxPasses bounds how often Run begins again because rows without a stamp turned up behind it: a stray that changed a key, a restore. More than that means
// that the guard is not doing its work.
const maxPasses = 5

// Run copies the rows of a pair, from where the last run stopped. It returns when every row has a stamp, besides bad ones and those that wait
// in tandem.dirty for Sweep, when ctx ends, or at an error that retrying does not mend; called again it goes on. If there is nothing to do it reads the table once and returns.
//
// Forward it runs in Migrate, Switch or Contract; with Reverse on the way back from Contract; else ErrPhase. ErrRunning when another process is
// at work, ErrTaken when one has taken over. A row whose value does not convert goes to tandem.bad_row and the rest goes on.
//
// Locks: ROW EXCLUSIVE on the table, and the rows of one statement for as long as it takes.
func Run(ctx context.Context, db *sqlx.DB, p expand.Any, o Options) (Result, error) {
	began := time.Now()
	res, err := run(ctx, db, p, o)
	res.Took = time.Since(began)
	if err != nil {
		return res, fmt.Errorf("backfill %s: %w", p.Name(), err)
	}
	return res, nil
}

func run(ctx context.Context, db *sqlx.DB, p expand.Any, o Options) (Result, error) {
	if p.Definition().Moved() {
		o = o.moved()
	}
	o, err := o.withDefaults()
	if err != nil {
		return Result{}, err
	}
	r, err := newRunner(ctx, db, p, o)
	if err != nil {
		return Result{}, err
	}
	if r.claim, err = state.Take(ctx, db, p.Name(), r.task.kind, lease); err != nil {
		return Result{}, err
	}
	r.res.Resumed = r.claim.Resumed
	err = r.passes(ctx)
	if !errors.Is(err, ErrTaken) {
		err = errors.Join(err, r.claim.Release(ctx, db))
	}
	return r.res, err
}

// runner is one call of Run.
type runner struct {
	db    *sqlx.DB
	o     Options
	task  *task
	claim *state.Claim
	meter *meter
	bad   int // rows set aside by this call
	res   Result
}

// newRunner reads what the pass needs and checks that the phase allows it.
func newRunner(ctx context.Context, db *sqlx.DB, p expand.Any, o Options) (*runner, error) {
	if err := p.Err(); err != nil {
		return nil, err
	}
	m, err := state.Load(ctx, db, p.Name())
	if err != nil {
		return nil, err
	}
	if err := m.Same(p.Definition()); err != nil {
		return nil, err
	}
	if d := p.Definition(); d.Replaces() {
		return newReplaceRunner(ctx, db, d, m, o)
	}
	stamp := phase.Switch
	switch {
	case o.Reverse && m.Guard != guard.Reverse:
		return nil, fmt.Errorf("%w: in %s with guard %s; the reverse direction needs switchover.Revert from Contract first", ErrPhase, m.Phase, m.Guard)
	case !o.Reverse && (m.Phase < phase.Migrate || m.Phase > phase.Contract):
		return nil, fmt.Errorf("%w: in %s; advance to Migrate first", ErrPhase, m.Phase)
	case m.Phase == phase.Migrate:
		stamp = phase.Migrate
	}
	t, err := catalog.Read(ctx, db, p.Definition().Table)
	if err != nil {
		return nil, err
	}
	if err := t.Fits(p.Definition()); err != nil {
		return nil, err
	}
	there, err := catalog.There(ctx, db, t, p.Definition())
	if err != nil {
		return nil, err
	}
	k, err := newTask(t, there, p, o.Reverse, stamp)
	if err != nil {
		return nil, err
	}
	return &runner{db: db, o: o, task: k}, nil
}

// passes goes over the table until no row is left to do.
func (r *runner) passes(ctx context.Context) error {
	for i := range maxPasses {
		left, err := r.left(ctx, i == 0 && r.claim.Position.End == nil)
		if err != nil {
			return err
		}
		if !left {
			return r.finish(ctx)
		}
		if r.claim.Position.End == nil {
			if err := r.begin(ctx); err != nil {
				return err
			}
			if r.claim.Position.End == nil { // the table has become empty meanwhile
				return r.finish(ctx)
			}
		}
		if err := r.pass(ctx); err != nil {
			return err
		}
		r.claim.Position = state.Position{Passed: r.claim.Position.Passed}
	}
	return fmt.Errorf("%w, after %d passes: is the guard in force?", ErrLeft, maxPasses)
}

// left tells whether a pass has something to do. A fresh run tries bad rows once more: the rows or the conversion may have been mended.
func (r *runner) left(ctx context.Context, fresh bool) (left bool, err error) {
	err = r.retry(ctx, func(ctx context.Context) error {
		if fresh {
			return r.db.GetContext(ctx, &left, r.task.todoSQL())
		}
		return r.db.GetContext(ctx, &left, r.task.leftSQL(), r.task.d.Name())
	})
	if err != nil {
		return false, fmt.Errorf("rows to do: %w", err)
	}
	return left, nil
}

// begin fixes the end of the pass: later rows are written by the wrappers or repaired by the guard.
func (r *runner) begin(ctx context.Context) error {
	end, err := r.key(ctx, r.task.lastKeySQL())
	if err != nil {
		return fmt.Errorf("last key: %w", err)
	}
	total, err := estimate(ctx, r.db, r.task.d.Table)
	if err != nil {
		return err
	}
	return r.claim.Restart(ctx, r.db, end, total)
}

// pass goes window by window, and stripe by stripe within a window.
func (r *runner) pass(ctx context.Context) error {
	pos := r.claim.Position
	r.meter = newMeter(pos.Passed, r.claim.Total)
	for {
		if pos.High == nil {
			high, err := r.nextWindow(ctx, pos)
			if err != nil {
				return at(pos, err)
			}
			pos.High, pos.Stripe, pos.Stripes = high, 0, r.o.Stripes
		} else if pos.Stripes != r.o.Stripes {
			pos.Stripe, pos.Stripes = 0, r.o.Stripes // begun with other stripes: what is done has a stamp
		}
		for pos.Stripe < pos.Stripes {
			if err := r.stripe(ctx, &pos); err != nil {
				return at(pos, err)
			}
			if err := r.pause(ctx); err != nil {
				return at(pos, err)
			}
		}
		pos.Passed += int64(r.o.Window)
		if equal(pos.High, pos.End) {
			return nil
		}
		pos.Low, pos.High = pos.High, nil
	}
}

// stripe runs one transaction: the rows, and the position behind them.
func (r *runner) stripe(ctx context.Context, pos *state.Position) error {
	next := *pos
	next.Stripe++
	batch := r.copyInServer
	if r.task.exprs == nil {
		batch = r.copyInGo
	}
	var written int64
	err := r.retry(ctx, func(ctx context.Context) (err error) {
		written, err = batch(ctx, *pos, next)
		return err
	})
	if refused(err) {
		written, err = 0, r.halve(ctx, *pos, next)
	}
	if err != nil {
		return err
	}
	*pos = next
	r.claim.Moved(next, r.claim.Rows+written)
	r.res.Rows += written
	if err := r.checkBad(); err != nil {
		return err
	}
	r.o.Progress(r.meter.at(min(pos.Passed+int64(r.o.Window)*int64(pos.Stripe)/int64(pos.Stripes), r.claim.Total)))
	return nil
}

// copyInServer is one UPDATE. The commit is asynchronous: a crash loses rows and position together, so nothing is skipped.
func (r *runner) copyInServer(ctx context.Context, pos, next state.Position) (written int64, err error) {
	k := r.task
	text := k.updateSQL(pos.Low != nil, pos.Stripe, pos.Stripes)
	before := k.before("", k.between(pos.Low != nil)+" AND "+k.inStripe(pos.Stripe, pos.Stripes))
	err = pg.InTx(ctx, r.db, pg.Settings{LockTimeout: lockTimeout, AsyncCommit: true}, func(ctx context.Context, tx *sqlx.Tx) error {
		if err := k.announce(ctx, tx); err != nil {
			return err
		}
		if err := runAll(ctx, tx, before, window(pos)); err != nil {
			return err
		}
		res, err := tx.ExecContext(ctx, text, window(pos)...)
		if err != nil {
			return err
		}
		if written, err = res.RowsAffected(); err != nil {
			return err
		}
		return r.claim.Save(ctx, tx, next, r.claim.Rows+written)
	})
	return written, err
}

// finish notes that the pass is complete, by a synchronous commit, and which bad rows are bad no more.
func (r *runner) finish(ctx context.Context) error {
	bad, err := r.clearBadRows(ctx)
	if err != nil {
		return err
	}
	r.res.BadRows = bad
	err = r.retryTx(ctx, func(ctx context.Context, tx *sqlx.Tx) error {
		if err := r.claim.Finish(ctx, tx, 0); err != nil {
			return err
		}
		return state.Log(ctx, tx, state.Event{Migration: r.claim.Migration, Kind: "backfill", Detail: fmt.Sprintf("%s finished, %d rows written by this run", r.claim.Kind, r.res.Rows)})
	})
	if err != nil {
		return err
	}
	total, err := estimate(ctx, r.db, r.task.d.Table)
	if err != nil {
		return err
	}
	r.o.Progress(newMeter(total, total).done(total))
	return nil
}

// nextWindow finds where the window behind pos.Low ends.
func (r *runner) nextWindow(ctx context.Context, pos state.Position) (high []string, err error) {
	args := append(anys(pos.End), anys(pos.Low)...)
	high, err = r.key(ctx, r.task.windowSQL(pos.Low != nil), append(args, r.o.Window-1)...)
	if high == nil {
		high = pos.End
	}
	return high, err
}

// key reads one key as text, nil when there is no row.
func (r *runner) key(ctx context.Context, text string, args ...any) (key []string, err error) {
	err = r.retry(ctx, func(ctx context.Context) error {
		key = make([]string, len(r.task.types))
		to := make([]any, len(key))
		for i := range key {
			to[i] = &key[i]
		}
		err := r.db.QueryRowContext(ctx, text, args...).Scan(to...)
		if errors.Is(err, sql.ErrNoRows) {
			key = nil
			return nil
		}
		return err
	})
	return key, err
}

func (r *runner) retry(ctx context.Context, fn func(context.Context) error) error {
	err := pg.Retry(ctx, retry, pg.Transient, fn)
	return pg.NameBlockers(ctx, r.db, r.task.d.Table, err)
}

// retryTx retries a transaction with the server's own settings.
func (r *runner) retryTx(ctx context.Context, fn func(ctx context.Context, tx *sqlx.Tx) error) error {
	return r.retry(ctx, func(ctx context.Context) error { return pg.InTx(ctx, r.db, pg.Settings{}, fn) })
}

func (r *runner) pause(ctx context.Context) error {
	if r.o.Pause == 0 {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return nil
	}
	return pg.Sleep(ctx, r.o.Pause)
}
