package backfill

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/backfill/throttle"
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
	Resumed bool          // it was under way: an earlier run had begun, or another process is at work too
	Done    bool          // every row is done, of Options.Where if that is set; else Options.For was over
	Took    time.Duration // by this call
}

// maxRounds bounds how often Run begins again because rows without a stamp turned up behind it: a stray that changed a key, a restore. More than that means
// that the guard is not doing its work.
const maxRounds = 5

// Run copies the rows of a pair, from where the last run stopped. It returns when every row has a stamp, besides bad ones and those that wait
// in tandem.dirty for Sweep, when ctx ends, when Options.For is over, or at an error that retrying does not mend; called again it goes on. If there is nothing to do it reads the table once and returns.
// Any number of processes may call it at once: they share the work. With Options.Where it is the rows of a tenant, say, that are done; the gate to Switch asks for a run without.
//
// Forward it runs in Migrate, Switch or Contract; with Reverse on the way back from Contract; else ErrPhase. A row whose value does not convert goes to tandem.bad_row and the rest goes on.
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
	o, err := o.withDefaults()
	if err != nil {
		return Result{}, err
	}
	r, err := newRunner(ctx, db, p, o)
	if err != nil {
		return Result{}, err
	}
	defer r.watch(ctx)()
	err = r.explain(ctx, r.rounds(ctx))
	return r.res, err
}

// watch reads the throttles until it is told to stop.
func (r *runner) watch(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	r.monitor = throttle.Watch(ctx, r.db, r.o.Throttles)
	return func() { cancel(); r.monitor.Wait() }
}

// runner is one call of Run. Its workers share it.
type runner struct {
	db      *sqlx.DB
	o       Options
	task    *task
	oid     int64  // of its table
	other   *task  // of a relation with rows of another kind, for verify; else nil
	kind    string // of the pass: copy, reverse, verify; of a part of the rows with Options.Where
	stint   *stint // Options.For
	monitor *throttle.Monitor
	standby *standby // rows are read there; nil: where they are written
	hinders string   // an index that makes heap-only updates impossible

	mu       sync.Mutex // of what follows
	control  Control    // what is asked of all workers
	running  int        // workers of this call
	start    func()     // another one
	bad      int        // rows set aside by this call
	res      Result
	progress *progress
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
	r := runnerOf(db, o, k)
	r.oid = t.OID
	if err := r.limit(ctx, t); err != nil {
		return nil, err
	}
	r.hinders, err = catalog.HeapOnly(ctx, db, k.d.Table, append([]string{k.d.Stamp}, k.target...))
	return r, err
}

func runnerOf(db *sqlx.DB, o Options, k *task) *runner {
	k.timeout = o.ConvertTimeout
	return &runner{db: db, o: o, task: k, kind: k.kind, stint: &stint{length: o.For}}
}

// over tells whether Options.For is over.
func (r *runner) over() bool { return r.stint.over() }

// rounds goes over the table until no row is left to do.
func (r *runner) rounds(ctx context.Context) error {
	if err := r.refuse(ctx); err != nil {
		return err
	}
	var begun int64 // the pass that this call works on
	for {
		var p state.Pass
		err := r.retry(ctx, func(ctx context.Context) (err error) {
			p, err = state.LoadPass(ctx, r.db, r.task.d.Name(), r.kind)
			return err
		})
		switch {
		case err != nil:
			return err
		case !p.UnderWay && begun != 0 && p.FinishedAt == nil:
			return fmt.Errorf("the pass was forgotten while it ran: %w", ErrTaken)
		case !p.UnderWay && begun != 0: // another process has done the last of it
			r.res.Done = true
			if err := r.countBad(ctx); err != nil {
				return err
			}
			return r.tellDone(ctx)
		case !p.UnderWay:
			if err := r.begin(ctx, p); err != nil || r.res.Done {
				return err
			}
			begun = -1
			continue
		}
		r.res.Resumed = r.res.Resumed || begun == 0
		begun = p.Token
		r.task.path = r.task.path.along(p.Order)
		if err := r.work(ctx, p, r.o.Stripes, r.copier); err != nil {
			return err
		}
		if r.over() {
			return nil
		}
		if err := r.next(ctx, p); err != nil || r.res.Done {
			return err
		}
	}
}

// begin begins the first round, if there is something to do. It tries bad rows once more: the rows or the conversion may have been mended.
func (r *runner) begin(ctx context.Context, p state.Pass) error {
	if left, err := r.left(ctx, r.task.todoSQL()); err != nil {
		return err
	} else if !left {
		return r.finish(ctx, p)
	}
	ranges, total, err := r.split(ctx, 0)
	if err != nil {
		return err
	}
	p.Order = r.task.path.words()
	return r.retryTx(ctx, func(ctx context.Context, tx *sqlx.Tx) error { return p.Begin(ctx, tx, 0, total, nil, ranges) })
}

// next begins another round over what the last has left, or finishes.
func (r *runner) next(ctx context.Context, p state.Pass) error {
	left, err := r.left(ctx, r.task.leftSQL(), r.task.d.Name())
	switch {
	case err != nil:
		return err
	case !left:
		return r.finish(ctx, p)
	case p.Round+1 >= r.task.rounds():
		return fmt.Errorf("%w, after %d rounds: is the guard in force?", ErrLeft, p.Round+1)
	}
	ranges, _, err := r.split(ctx, p.Round+1)
	if err != nil {
		return err
	}
	p.Order = r.task.path.words()
	return r.retryTx(ctx, func(ctx context.Context, tx *sqlx.Tx) error { return p.Begin(ctx, tx, p.Round+1, p.Total, nil, ranges) })
}

// left tells whether rows are left to do.
func (r *runner) left(ctx context.Context, text string, args ...any) (left bool, err error) {
	err = r.retry(ctx, func(ctx context.Context) error { return r.db.GetContext(ctx, &left, text, args...) })
	if err != nil {
		return false, fmt.Errorf("rows to do: %w", err)
	}
	return left, nil
}

// finish notes that the pass is complete, by a synchronous commit, and which bad rows are bad no more.
func (r *runner) finish(ctx context.Context, p state.Pass) error {
	if err := r.countBad(ctx); err != nil {
		return err
	}
	err := r.retryTx(ctx, func(ctx context.Context, tx *sqlx.Tx) error {
		first, err := p.Finish(ctx, tx)
		if err != nil || !first {
			return err
		}
		return state.Log(ctx, tx, state.Event{Migration: p.Migration, Kind: "backfill", Detail: fmt.Sprintf("%s finished, %d rows written by this run", p.Kind, r.res.Rows)})
	})
	if err != nil {
		return err
	}
	if p, err = state.LoadPass(ctx, r.db, p.Migration, p.Kind); err != nil || p.UnderWay || p.FinishedAt == nil {
		return err // somebody else has begun another round meanwhile
	}
	r.res.Done = true
	return r.tellDone(ctx)
}

// tellDone tells the end of the pass. Its rows are never fewer than were told before, whatever the planner thinks by now.
func (r *runner) tellDone(ctx context.Context) error {
	total, err := estimate(ctx, r.db, r.task.d.Table)
	if err != nil {
		return err
	}
	if r.progress == nil {
		r.progress = &progress{}
	}
	if m := r.progress.meter; m != nil {
		total = max(total, m.told)
	}
	return r.tell(ctx, Progress{Rows: total, Total: total, Done: true})
}

func (r *runner) countBad(ctx context.Context) (err error) {
	r.res.BadRows, err = r.clearBadRows(ctx)
	return err
}

// key reads one key as text, nil when there is no row.
func (r *runner) key(ctx context.Context, text string, args ...any) ([]string, error) {
	found, err := r.keys(ctx, text, args...)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return found[0], nil
}

func (r *runner) retry(ctx context.Context, fn func(context.Context) error) error {
	err := pg.Retry(ctx, retry, pg.Transient, fn)
	return pg.NameBlockers(ctx, r.db, r.task.d.Table, err)
}

// retryTx retries a transaction with the server's own settings.
func (r *runner) retryTx(ctx context.Context, fn func(ctx context.Context, tx *sqlx.Tx) error) error {
	return r.retry(ctx, func(ctx context.Context) error { return pg.InTx(ctx, r.db, pg.Settings{}, fn) })
}
