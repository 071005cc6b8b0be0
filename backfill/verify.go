package backfill

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/phase"
	"github.com/tandem-go/tandem/internal/state"
)

// VerifyOptions of Verify. The zero value is complete.
type VerifyOptions struct {
	Window   int            // rows a statement, 100 to 1,000,000; defaults to 40,000
	Progress func(Progress) // called after each statement; defaults to none
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

func verify(ctx context.Context, db *sqlx.DB, p expand.Any, vo VerifyOptions) (report Report, err error) {
	o, err := Options{Window: vo.Window, Progress: vo.Progress}.withDefaults()
	if err != nil {
		return report, err
	}
	r, err := newRunner(ctx, db, p, o)
	if err != nil {
		return report, err
	}
	if r.claim, err = state.Take(ctx, db, p.Name(), "verify", lease); err != nil {
		return report, err
	}
	v := &verifier{runner: r, conversion: p.Conversion(), report: &report, detail: "found by verify"}
	err = v.pass(ctx)
	if !errors.Is(err, ErrTaken) {
		err = errors.Join(err, r.claim.Release(ctx, db))
	}
	return report, err
}

type verifier struct {
	*runner
	conversion expand.Conversion
	report     *Report
	detail     string // of what is found
}

func (v *verifier) pass(ctx context.Context) error {
	if err := v.begin(ctx); err != nil {
		return err
	}
	if _, err := v.db.ExecContext(ctx, `DELETE FROM tandem.mismatch WHERE migration = $1 AND source = 'verify'`, v.claim.Migration); err != nil {
		return pg.Cause(ctx, err)
	}
	passes, err := state.Passes(ctx, v.db, v.claim.Migration)
	if err != nil {
		return err
	}
	v.claim.Position.Copied = passes["copy"].WrittenAt
	v.meter = newMeter(0, v.claim.Total)
	if err := v.windows(ctx, v.claim.Position); err != nil {
		return err
	}
	if v.task.mirror != nil {
		if err := v.extras(ctx); err != nil {
			return err
		}
	}
	err = v.retryTx(ctx, func(ctx context.Context, tx *sqlx.Tx) error {
		if err := v.claim.Finish(ctx, tx, v.report.Differences); err != nil {
			return err
		}
		return state.Log(ctx, tx, state.Event{Migration: v.claim.Migration, Kind: "verify", Detail: fmt.Sprintf("%d rows, %d differences", v.report.Rows, v.report.Differences)})
	})
	if err == nil {
		v.o.Progress(v.meter.done(v.report.Rows))
	}
	return err
}

// windows goes over the table.
func (v *verifier) windows(ctx context.Context, pos state.Position) error {
	for pos.End != nil && !equal(pos.Low, pos.End) {
		high, err := v.nextWindow(ctx, pos)
		if err != nil {
			return at(pos, err)
		}
		pos.High = high
		if err := v.window(ctx, pos); err != nil {
			return at(pos, err)
		}
		pos.Low, pos.High = high, nil
		v.o.Progress(v.meter.at(v.report.Rows))
	}
	return nil
}

// window compares one window and notes what differs.
func (v *verifier) window(ctx context.Context, pos state.Position) error {
	compare := v.compareInServer
	if v.task.exprs == nil {
		compare = v.compareInGo
	}
	var rows, differences int64
	var keys [][]string
	err := v.retry(ctx, func(ctx context.Context) (err error) {
		rows, differences, keys, err = compare(ctx, pos)
		return err
	})
	if err != nil {
		return err
	}
	v.report.Rows += rows
	v.report.Differences += differences
	keys = keys[:min(len(keys), keptDifferences-len(v.report.Keys))]
	v.report.Keys = append(v.report.Keys, keys...)
	if len(keys) > 0 {
		var list []state.Mismatch
		for _, k := range keys {
			list = append(list, state.Mismatch{Migration: v.claim.Migration, Key: k, Detail: v.detail, Phase: phase.Migrate, Source: "verify"})
		}
		if err := state.Mismatches(ctx, v.db, list); err != nil {
			return err
		}
	}
	err = v.claim.Save(ctx, v.db, pos, v.report.Rows)
	if err == nil {
		v.claim.Moved(pos, v.report.Rows)
	}
	return err
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

func (v *verifier) compareInServer(ctx context.Context, pos state.Position) (rows, differences int64, keys [][]string, err error) {
	k := v.task
	from := " FROM " + k.compared() + " WHERE " + k.between(pos.Low != nil)
	count := "count(*)"
	if k.extra != "" { // they are counted in the other table
		count = "0"
	}
	text := "SELECT " + count + ", count(*) FILTER (WHERE " + k.differsSQL() + ")" + from
	if err := v.db.QueryRowContext(ctx, text, window(pos)...).Scan(&rows, &differences); err != nil || differences == 0 {
		return rows, differences, nil, err
	}
	found, err := v.db.QueryContext(ctx, "SELECT ARRAY["+k.keyText()+"]"+from+" AND "+k.differsSQL()+k.orderBy("")+fmt.Sprintf(" LIMIT %d", keptDifferences), window(pos)...)
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
func (v *verifier) compareInGo(ctx context.Context, pos state.Position) (rows, differences int64, keys [][]string, err error) {
	k := v.task
	columns := ident.QuoteAll("t.", append([]string{k.d.Stamp}, append(slices.Clone(k.d.Old), k.d.New...)...))
	found, err := v.db.QueryContext(ctx, fmt.Sprintf("SELECT ARRAY[%s], %s FROM %s WHERE %s", k.keyText(), strings.Join(columns, ", "), k.from(), k.between(pos.Low != nil)),
		window(pos)...)
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
