package backfill

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/backfill/throttle"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/phase"
	"github.com/tandem-go/tandem/internal/state"
)

// VerifyOptions of Verify. The zero value is complete.
type VerifyOptions struct {
	Workers   int               // that compare at a time in this process, 1 to 32, each with one connection; defaults to 1
	Target    time.Duration     // what a statement shall take, 1 ms to 10 s; defaults to 50 ms
	Batch     int               // rows a statement at most, 10 to 50,000; defaults to 50,000
	Standby   *sqlx.DB          // a physical standby of db, or several behind one address: rows are read there, the state is written to db; defaults to db
	Lag       time.Duration     // how long to wait for the standby to replay what was there as the verification began; defaults to 1 minute
	Throttles []throttle.Signal // as of Options
	Progress  func(Progress)    // as of Options
	Log       *slog.Logger      // as of Options

	ConvertTimeout time.Duration // as of Options, of Forward and Backward of one row together
}

// Report is what Verify found.
type Report struct {
	Rows        int64
	Differences int64      // of more than 1,000 those of rows that an UPDATE moved meanwhile may be missing
	Keys        [][]string // of the first differences, at most 1,000; all that many are in tandem.mismatch
}

const keptDifferences = 1000

// Verify compares the two columns of every row, in windows, NULL-safe: a row without a stamp differs, and so does a row whose new value is not forward of the old
// one, or (where the pair converts both ways) whose new value would not come back from old: forward of backward of it is another. Old itself need not be backward
// of new, as '007' is not of 7. Rows of Contract are left out: there old is stale by design. A value that does not convert is a difference. The result is noted for the gate to Switch, and the keys
// go to tandem.mismatch in place of the last verification's.
//
// Any number of processes may call it at once: they share the work. One that was stopped or killed less than an hour ago is gone on with, if nothing was copied since.
//
// It takes no lock but ACCESS SHARE. Errors: ErrPhase before Migrate and in Complete, ErrTaken, ErrStandby, ErrLag, ErrCancelled, switchover.ErrRedeclare.
func Verify(ctx context.Context, db *sqlx.DB, p expand.Any, o VerifyOptions) (Report, error) {
	report, err := verify(ctx, db, p, o)
	if err != nil {
		return report, fmt.Errorf("verify %s: %w", p.Name(), err)
	}
	return report, nil
}

// staleVerify is how long a verification may have rested to be gone on with. What was compared before that may have been overtaken.
const staleVerify = time.Hour

func verify(ctx context.Context, db *sqlx.DB, p expand.Any, vo VerifyOptions) (report Report, err error) {
	o, err := Options{Workers: vo.Workers, Target: vo.Target, Batch: vo.Batch, Throttles: vo.Throttles, Progress: vo.Progress, Log: vo.Log, ConvertTimeout: vo.ConvertTimeout}.withDefaults()
	if err != nil {
		return report, err
	}
	r, err := newRunner(ctx, db, p, o)
	if err != nil {
		return report, err
	}
	r.kind = "verify"
	v := &verifier{runner: r, conversion: p.Conversion()}
	if m := r.task.mirror; m != nil {
		there, err := catalog.ReadReplacement(ctx, db, r.task.d, phase.Switch)
		if err != nil {
			return report, err
		}
		r.other = newExtraTask(there, m)
	}
	if vo.Standby != nil {
		if r.standby, err = newStandby(ctx, db, vo, r.task.d.Name()); err != nil {
			return report, err
		}
	}
	defer r.watch(ctx)()
	report, err = v.pass(ctx)
	return report, r.explain(ctx, err)
}

type verifier struct {
	*runner
	conversion expand.Conversion
	since      int64 // of the pass
	kept       int   // differences that are listed
}

// pass begins a verification, or joins the one that is under way, and works on it until it is finished.
func (v *verifier) pass(ctx context.Context) (report Report, err error) {
	if err := v.refuse(ctx); err != nil {
		return report, err
	}
	for begun := int64(0); ; {
		passes, err := state.Passes(ctx, v.db, v.task.d.Name())
		if err != nil {
			return report, err
		}
		copied, p := passes["copy"], passes[v.kind]
		p.Migration, p.Kind = v.task.d.Name(), v.kind
		switch {
		case begun != 0 && p.Token != begun && p.FinishedAt != nil: // another process has compared the last of it
			return v.report(ctx, p)
		case begun == 0 && (!p.UnderWay || !p.Verifies(copied) || time.Since(p.UpdatedAt) > staleVerify):
			if err := v.begin(ctx, p, copied.WrittenAt); err != nil {
				return report, err
			}
			begun = -1
			continue
		case !p.UnderWay:
			return report, fmt.Errorf("another verification was begun, and given up: %w", ErrTaken)
		}
		begun = p.Token
		v.task.path = v.task.path.along(p.Order)
		if err := v.overRanges(ctx, p); err != nil {
			return report, err
		}
		if v.again(p) {
			err = v.beginLate(ctx, p)
		} else {
			err = v.finish(ctx, p)
		}
		if err != nil {
			return report, err
		}
	}
}

// overRanges works on a round.
func (v *verifier) overRanges(ctx context.Context, p state.Pass) error {
	if v.standby != nil {
		if err := v.standby.await(ctx, p); err != nil {
			return err
		}
	}
	v.since = p.Since
	if err := v.db.GetContext(ctx, &v.kept, `SELECT count(*) FROM tandem.mismatch WHERE migration = $1 AND source = 'verify'`, p.Migration); err != nil {
		return err
	}
	return v.work(ctx, p, 1, func(w *worker) func(context.Context, slice) (statement, error) {
		return func(ctx context.Context, s slice) (statement, error) { return v.compare(ctx, w, s) }
	})
}

func (v *verifier) begin(ctx context.Context, p state.Pass, copied *time.Time) error {
	since, err := v.oldest(ctx) // before the blocks are counted: who moves a row behind them is later
	if err != nil {
		return err
	}
	ranges, total, err := v.split(ctx, 0)
	if err != nil {
		return err
	}
	p.Order = v.task.path.words()
	if p.Since = 0; len(ranges) > 0 && ranges[0].Blocks {
		p.Since = since
	}
	if v.other != nil { // the second half of a replaced table: rows of the new one without one in the old
		more, err := v.keyRanges(ctx, v.other, 1, total)
		if err != nil {
			return err
		}
		ranges = append(ranges, more...)
	}
	return v.retryTx(ctx, func(ctx context.Context, tx *sqlx.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM tandem.mismatch WHERE migration = $1 AND source = 'verify'`, p.Migration); err != nil {
			return err
		}
		return p.Begin(ctx, tx, 0, total, copied, ranges)
	})
}

func (v *verifier) finish(ctx context.Context, p state.Pass) error {
	return v.retryTx(ctx, func(ctx context.Context, tx *sqlx.Tx) error {
		first, err := p.Finish(ctx, tx)
		if err != nil || !first {
			return err
		}
		passes, err := state.Passes(ctx, tx, p.Migration)
		if err != nil {
			return err
		}
		return state.Log(ctx, tx, state.Event{Migration: p.Migration, Kind: p.Kind, Detail: fmt.Sprintf("%d rows, %d differences", passes[p.Kind].Rows, passes[p.Kind].Differences)})
	})
}

// report tells what the whole verification has found, whoever did it.
func (v *verifier) report(ctx context.Context, p state.Pass) (Report, error) {
	out := Report{Rows: p.Rows, Differences: p.Differences}
	keys, err := v.keys(ctx, fmt.Sprintf(`SELECT key FROM tandem.mismatch WHERE migration = $1 AND source = 'verify' ORDER BY id LIMIT %d`, keptDifferences), p.Migration)
	out.Keys = keys
	return out, errors.Join(err, v.tell(ctx, Progress{Rows: p.Rows, Total: p.Rows, Done: true}))
}
