package backfill

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/state"
)

// ErrTogether says that pairs cannot be copied in one pass.
var ErrTogether = errors.New("not in one pass")

// RunAll is Run for pairs of one table: those that SQL converts, within the table, are copied in one pass, so that each row is written once and not once for each pair. A row gets of each pair what
// it has no stamp of, and one whose value does not convert for one pair is copied for the others. Then every pair's own pass is finished, and those that only Go converts, or that move, are
// run one after the other.
//
// The results are in the order of the pairs. Rows of a pair in the common pass are all that the pass has written, also those in which only another pair was missing. A pair in another phase than Run
// needs is left out, with a zero Result; ErrPhase when all are. While the common pass runs Pause, Tune and Cancel are heard that name the pair whose name sorts first; a pair that was
// cancelled before stops it at once. Errors name the pair.
//
// Errors, locks and options are Run's; ErrTogether for pairs of different tables, or a pair named twice.
func RunAll(ctx context.Context, db *sqlx.DB, pairs []expand.Any, o Options) ([]Result, error) {
	out := make([]Result, len(pairs))
	a, err := newAll(ctx, db, pairs, o)
	if err != nil {
		return out, err
	}
	err = a.run(ctx)
	for i, r := range a.runners {
		if r != nil {
			out[i] = r.res
		}
	}
	return out, err
}

// all is one call of RunAll.
type all struct {
	pairs    []expand.Any
	runners  []*runner // of the pairs, nil for one that is left out
	together *runner   // of several at once; nil: there are none
	members  []*runner // of that one's pairs
}

func newAll(ctx context.Context, db *sqlx.DB, pairs []expand.Any, o Options) (*all, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("backfill: %w", err)
	}
	a := &all{pairs: pairs, runners: make([]*runner, len(pairs))}
	working := &stint{length: o.For}
	var early error
	for i, p := range pairs {
		switch {
		case p.Definition().Table != pairs[0].Definition().Table:
			return nil, fmt.Errorf("backfill %s: %w as %s: they are of different tables, run them apart", p.Name(), ErrTogether, pairs[0].Name())
		case slices.ContainsFunc(pairs[:i], func(other expand.Any) bool { return other.Name() == p.Name() }):
			return nil, fmt.Errorf("backfill %s: %w: it is named twice", p.Name(), ErrTogether)
		}
		r, err := newRunner(ctx, db, p, o)
		switch {
		case errors.Is(err, ErrPhase):
			early = errors.Join(early, fmt.Errorf("backfill %s: %w", p.Name(), err))
			continue
		case err != nil:
			return nil, fmt.Errorf("backfill %s: %w", p.Name(), err)
		}
		r.stint = working
		if a.runners[i] = r; r.task.exprs != nil && r.task.inPlace() {
			a.members = append(a.members, r)
		}
	}
	if len(pairs) == 0 || !slices.ContainsFunc(a.runners, func(r *runner) bool { return r != nil }) {
		return nil, cmp.Or(early, fmt.Errorf("backfill: %w: no pairs", ErrTogether))
	}
	return a, a.join(ctx, db, o)
}

// join makes the runner of those that one UPDATE can write.
func (a *all) join(ctx context.Context, db *sqlx.DB, o Options) error {
	if len(a.members) < 2 {
		return nil
	}
	slices.SortFunc(a.members, func(x, y *runner) int { return strings.Compare(x.task.d.Name(), y.task.d.Name()) })
	first := a.members[0]
	k := *first.task
	k.target, k.todo = nil, ""
	var names, todo, columns []string
	for _, r := range a.members {
		k.group = append(k.group, r.task)
		names, todo = append(names, r.task.d.Name()), append(todo, r.task.todo)
		columns = append(append(columns, r.task.target...), r.task.d.Stamp)
	}
	k.target, k.todo = columns, "("+strings.Join(todo, " OR ")+")"
	a.together = runnerOf(db, o, &k)
	a.together.oid, a.together.stint = first.oid, first.stint
	a.together.kind = k.kind + " with " + strings.Join(names[1:], ", ") + strings.TrimPrefix(first.kind, k.kind)
	var err error
	a.together.hinders, err = catalog.HeapOnly(ctx, db, k.d.Table, columns)
	return err
}

func (a *all) run(ctx context.Context) error {
	common := false
	if a.together != nil {
		began := time.Now()
		var err error
		common, err = a.pass(ctx)
		for _, r := range a.members {
			r.res = a.together.res
			r.res.Took = time.Since(began)
		}
		if err != nil {
			return a.blame(ctx, a.together.explain(ctx, err))
		}
	}
	for i, r := range a.runners {
		if r == nil || r.over() {
			continue
		}
		began := time.Now()
		err := r.alone(ctx, common && slices.Contains(a.members, r))
		r.res.Took += time.Since(began)
		if err != nil {
			return fmt.Errorf("backfill %s: %w", a.pairs[i].Name(), err)
		}
	}
	return nil
}

// alone is what is done for one pair by itself: after the common pass mostly to find that nothing is left.
func (r *runner) alone(ctx context.Context, after bool) error {
	defer r.watch(ctx)()
	if after {
		left, err := r.left(ctx, r.task.leftSQL(), r.task.d.Name())
		if err != nil {
			return err
		}
		if !left {
			p, err := state.LoadPass(ctx, r.db, r.task.d.Name(), r.kind)
			if err != nil {
				return err
			}
			if err := r.finish(ctx, p); err != nil || r.res.Rows == 0 {
				return err
			}
			return p.Written(ctx, r.db)
		}
	}
	return r.explain(ctx, r.rounds(ctx))
}

// pass goes over the table once for all members, and tells whether there was something to do.
func (a *all) pass(ctx context.Context) (did bool, err error) {
	r := a.together
	defer r.watch(ctx)()
	for {
		p, err := state.LoadPass(ctx, r.db, r.task.d.Name(), r.kind)
		if err != nil {
			return did, err
		}
		if !p.UnderWay {
			if did {
				return did, nil // done, by another process
			}
			if left, err := r.left(ctx, r.task.todoSQL()); err != nil || !left {
				return did, err
			}
			did = true
			if err := a.begin(ctx, p); err != nil {
				return did, err
			}
			continue
		}
		r.res.Resumed, did = r.res.Resumed || !did, true
		r.task.path = r.task.path.along(p.Order)
		if err := r.work(ctx, p, r.o.Stripes, r.copier); err != nil || r.over() {
			return did, err
		}
		if err := r.retryTx(ctx, func(ctx context.Context, tx *sqlx.Tx) error {
			_, err := p.Finish(ctx, tx)
			return err
		}); err != nil {
			return did, err
		}
		return did, nil
	}
}

// begin begins the common pass, and says of the members' own passes, which the gates ask for, that they are not finished.
func (a *all) begin(ctx context.Context, p state.Pass) error {
	r := a.together
	for _, m := range a.members {
		c, err := state.LoadControl(ctx, r.db, m.task.d.Name())
		if err != nil {
			return err
		}
		if c.Cancelled {
			return fmt.Errorf("%s: %w", m.task.d.Name(), cancelled(c))
		}
	}
	ranges, total, err := r.split(ctx, 0)
	if err != nil {
		return err
	}
	p.Order = r.task.path.words()
	return r.retryTx(ctx, func(ctx context.Context, tx *sqlx.Tx) error {
		for _, m := range a.members {
			own, err := state.LoadPass(ctx, tx, m.task.d.Name(), m.kind)
			if err != nil {
				return err
			}
			if own.UnderWay { // of another process, or one that was stopped: it goes on when the common pass is over
				continue
			}
			if err := own.Begin(ctx, tx, 0, total, nil, nil); err != nil {
				return err
			}
			if err := own.Written(ctx, tx); err != nil {
				return err
			}
		}
		return p.Begin(ctx, tx, 0, total, nil, ranges)
	})
}

// blame names the pair whose statement alone fails too, else all of the pass.
func (a *all) blame(ctx context.Context, err error) error {
	var names []string
	for _, m := range a.members {
		names = append(names, m.task.d.Name())
		if ctx.Err() == nil && !errors.Is(err, expand.ErrNoTable) {
			if _, fails := m.db.ExecContext(ctx, "EXPLAIN "+m.task.updateSQL("false")); fails != nil {
				return fmt.Errorf("backfill %s: %w", m.task.d.Name(), err)
			}
		}
	}
	return fmt.Errorf("backfill %s: %w", strings.Join(names, ", "), err)
}

// setsOfAll are those of several pairs: each writes its columns where its stamp is missing, and leaves them as they are where it is there.
func (k *task) setsOfAll() string {
	var out []string
	for _, one := range k.group {
		columns, exprs := one.assigned()
		for i, c := range columns {
			if i < len(one.casts) { // as the assignment would
				exprs[i] = "CAST(" + exprs[i] + " AS " + one.casts[i] + ")"
			}
			out = append(out, fmt.Sprintf("%s = CASE WHEN %s THEN %s ELSE t.%s END", c, one.todo, exprs[i], c))
		}
	}
	return strings.Join(out, ", ")
}

// apart copies a row of which the server refused something pair by pair, and sets it aside for those that it is refused of. Each may name the key in its own way.
func (w *worker) apart(ctx context.Context, b *batch) error {
	all := w.task
	defer func() { w.task = all }()
	also, same := all.named()
	for _, one := range all.group {
		w.task = one.on(all.table)
		var own *batch
		err := w.retry(ctx, func(ctx context.Context) (err error) {
			own, err = w.task.readBatch(ctx, w.db, w.task.readColumns()+" FROM "+w.task.from()+also+" WHERE "+same+" AND "+one.todo, b.keys(len(all.types))...)
			return err
		})
		if err == nil && own.len() > 0 {
			err = w.divide(ctx, own)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", one.d.Name(), err)
		}
	}
	return nil
}
