package backfill

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/tandem-go/tandem/backfill/throttle"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/phase"
	"github.com/tandem-go/tandem/internal/state"
)

// VerifyOptions of Verify. The zero value is complete.
type VerifyOptions struct {
	Workers   int               // that compare at a time in this process, 1 to 32, each with one connection; defaults to 1
	Target    time.Duration     // what a statement shall take, 1 ms to 10 s; defaults to 50 ms
	Batch     int               // rows a statement at most, 10 to 50,000; defaults to 50,000
	Throttles []throttle.Signal // as of Options
	Progress  func(Progress)    // as of Options
	Log       *slog.Logger      // as of Options
}

// Report is what Verify found.
type Report struct {
	Rows        int64
	Differences int64
	Keys        [][]string // of the first differences, at most keptDifferences; all that many are in tandem.mismatch
}

const keptDifferences = 1000

// Verify compares the two columns of every row, in windows, NULL-safe: a row without a stamp differs, and so does a row whose new value is not forward of the old
// one, or (where the pair has both expressions) whose new value would not come back from old: forward of backward of it is another. Old itself need not be backward
// of new, as '007' is not of 7. Rows of Contract are left out: there old is stale by design. The result is noted for the gate to Switch, and the keys go to tandem.mismatch in place of the last verification's.
// It takes no lock but ACCESS SHARE. Errors: ErrPhase before Migrate and in Complete, ErrRunning, ErrTaken, expand.ErrRedeclare.
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
	o, err := Options{Workers: vo.Workers, Target: vo.Target, Batch: vo.Batch, Throttles: vo.Throttles, Progress: vo.Progress, Log: vo.Log}.withDefaults()
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
	defer r.watch(ctx)()
	report, err = v.pass(ctx)
	return report, r.explain(ctx, err)
}

type verifier struct {
	*runner
	conversion expand.Conversion
	kept       int // differences that this call has listed
}

// pass begins a verification, or joins the one that is under way, and works on it until it is finished.
func (v *verifier) pass(ctx context.Context) (report Report, err error) {
	for begun := int64(0); ; {
		passes, err := state.Passes(ctx, v.db, v.task.d.Name())
		if err != nil {
			return report, err
		}
		copied, p := passes["copy"].WrittenAt, passes[v.kind]
		p.Migration, p.Kind = v.task.d.Name(), v.kind
		switch {
		case begun > 0 && p.Token != begun && p.FinishedAt != nil: // another process has compared the last of it
			return v.report(ctx, p)
		case begun == 0 && (!p.UnderWay || !sameTime(p.Copied, copied) || time.Since(p.UpdatedAt) > staleVerify):
			if err := v.begin(ctx, p, copied); err != nil {
				return report, err
			}
			begun = -1
			continue
		case !p.UnderWay:
			return report, fmt.Errorf("another verification was begun, and given up: %w", ErrTaken)
		}
		begun = p.Token
		v.task.path = v.task.path.along(p.Order)
		err = v.work(ctx, p, 1, func(w *worker) func(context.Context, slice) (statement, error) {
			return func(ctx context.Context, s slice) (statement, error) { return v.compare(ctx, w, s) }
		})
		if err != nil {
			return report, err
		}
		if err := v.finish(ctx, p); err != nil {
			return report, err
		}
	}
}

func sameTime(a, b *time.Time) bool {
	return a == nil && b == nil || a != nil && b != nil && a.Equal(*b)
}

func (v *verifier) begin(ctx context.Context, p state.Pass, copied *time.Time) error {
	ranges, total, err := v.split(ctx, 0)
	if err != nil {
		return err
	}
	p.Order = v.task.path.words()
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

// compare compares one slice and notes what differs.
func (v *verifier) compare(ctx context.Context, w *worker, s slice) (done statement, err error) {
	look := v.compareInServer
	if w.task.exprs == nil {
		look = v.compareInGo
	}
	rows, differences, keys, err := look(ctx, w.task, s)
	if err != nil {
		return done, err
	}
	detail := "found by verify"
	if m := v.task.mirror; m != nil && w.task.extra != "" {
		detail = "a row of " + m.To.String() + " without one in " + m.From.String()
	}
	v.mu.Lock()
	keys = keys[:min(len(keys), keptDifferences-v.kept)]
	v.mu.Unlock()
	err = pg.InTx(ctx, v.db, pg.Settings{AsyncCommit: true}, func(ctx context.Context, tx *sqlx.Tx) error {
		var list []state.Mismatch
		for _, k := range keys {
			list = append(list, state.Mismatch{Migration: v.task.d.Name(), Key: k, Detail: detail, Phase: phase.Migrate, Source: "verify"})
		}
		if err := state.Mismatches(ctx, tx, list); err != nil {
			return err
		}
		done, err = w.save(ctx, tx, s.next, rows, differences)
		return err
	})
	if err == nil {
		v.mu.Lock()
		v.kept += len(keys)
		v.mu.Unlock()
	}
	return done, err
}

// differsSQL says that a row is not in step.
func (k *task) differsSQL() string {
	switch {
	case k.extra != "":
		return k.extra
	case k.d.Moved():
		return k.movedDiffers()
	case k.mirror != nil:
		return "(i." + ident.Quote(k.mirror.ToKey[0]) + " IS NULL OR " + k.mirror.Differs("t.", "i.") + ")"
	}
	stamp := "t." + ident.Quote(k.d.Stamp)
	var terms []string
	for i, e := range k.d.ForwardSQL("t.") {
		terms = append(terms, k.differs(k.d.New[i], e))
	}
	if k.d.HasBackward() && !k.d.Identity() {
		terms = append(terms, k.returns()...)
	}
	return fmt.Sprintf("(%s IS NULL OR %s < %d AND (%s))", stamp, stamp, phase.Contract.Floor(), strings.Join(terms, " OR "))
}

func (v *verifier) compareInServer(ctx context.Context, k *task, s slice) (rows, differences int64, keys [][]string, err error) {
	from := " FROM " + k.compared() + " WHERE " + s.where
	count := "count(*)"
	if k.extra != "" { // they are counted in the other table
		count = "0"
	}
	text := "SELECT " + count + ", count(*) FILTER (WHERE " + k.differsSQL() + ")" + from
	if err := v.db.QueryRowContext(ctx, text, s.args...).Scan(&rows, &differences); err != nil || differences == 0 {
		return rows, differences, nil, err
	}
	found, err := v.db.QueryContext(ctx, "SELECT ARRAY["+k.keyText()+"]"+from+" AND "+k.differsSQL()+k.orderBy()+fmt.Sprintf(" LIMIT %d", keptDifferences), s.args...)
	if err != nil {
		return 0, 0, nil, err
	}
	defer func() { err = errors.Join(err, found.Close()) }()
	for found.Next() {
		var key pq.StringArray
		if err := found.Scan(&key); err != nil {
			return 0, 0, nil, err
		}
		keys = append(keys, key)
	}
	return rows, differences, keys, found.Err()
}

// compareInGo reads the window and asks the pair.
func (v *verifier) compareInGo(ctx context.Context, k *task, s slice) (rows, differences int64, keys [][]string, err error) {
	columns := ident.QuoteAll("t.", append([]string{k.d.Stamp}, append(slices.Clone(k.d.Old), k.d.New...)...))
	found, err := v.db.QueryContext(ctx, fmt.Sprintf("SELECT ARRAY[%s], %s FROM %s WHERE %s", k.keyText(), strings.Join(columns, ", "), k.from(), s.where), s.args...)
	if err != nil {
		return 0, 0, nil, err
	}
	defer func() { err = errors.Join(err, found.Close()) }()
	for found.Next() {
		var key pq.StringArray
		var stamp sql.NullInt64
		was, is := v.conversion.ScanOld(), v.conversion.ScanNew()
		var read legible
		to := append([]any{&key, &stamp}, read.columns(v.conversion.Old(was))...)
		if err := found.Scan(append(to, read.columns(v.conversion.New(is))...)...); err != nil {
			return 0, 0, nil, err
		}
		rows++
		if stamp.Valid && stamp.Int64 >= int64(phase.Contract.Floor()) {
			continue
		}
		same := false
		if stamp.Valid && read.err == nil {
			same, err = safely(func() (bool, error) { return v.conversion.Equal(was, is) })
		}
		if !same || err != nil { // a value that does not convert is a difference like any other
			differences++
			keys = append(keys, key)
		}
	}
	return rows, differences, keys, found.Err()
}
