package backfill

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/state"
)

// refused tells whether the server did not take the value of some row: it does not fit (SQLSTATE class 22), it breaks a constraint (23), it would be larger than
// PostgreSQL's 1 GB (54, errTooLarge, or an allocation that it refuses to try), or the application's own function said no (P0001).
func refused(err error) bool {
	switch code := pg.SQLState(err); {
	case strings.HasPrefix(code, "22"), strings.HasPrefix(code, "23"), strings.HasPrefix(code, "54"), code == "P0001":
		return true
	case code == "XX000":
		return strings.Contains(err.Error(), "invalid memory alloc request size")
	}
	return errors.As(err, &errTooLarge{})
}

// halve copies a slice of which the server refused some row: part by part, each in a transaction of its own, until the refused rows stand alone and are set aside.
// What is copied has a stamp, so a crash on the way repeats nothing.
func (w *worker) halve(ctx context.Context, s slice) error {
	w.aside = nil
	for cut := true; cut; {
		var b *batch
		err := w.retry(ctx, func(ctx context.Context) (err error) {
			b, err = w.readNow(ctx, s)
			return err
		})
		if err != nil {
			return err
		}
		if err := w.divide(ctx, b); err != nil {
			return err
		}
		w.aside, cut = append(w.aside, b.badKeys()...), b.cut
	}
	w.aside = nil
	return w.part(ctx, &batch{}, s.next)
}

func (w *worker) divide(ctx context.Context, b *batch) error {
	err := w.part(ctx, b, w.saved)
	if !refused(err) {
		return err
	}
	switch n := b.len(); {
	case n == 0:
		return err
	case n > 1:
		if err := w.divide(ctx, b.slice(0, n/2)); err != nil {
			return err
		}
		return w.divide(ctx, b.slice(n/2, n))
	case w.task.group != nil:
		return w.apart(ctx, b)
	}
	w.aside = append(w.aside, b.key(0))
	return w.part(ctx, &batch{bad: append(b.bad, badRow{b.key(0), err})}, w.saved)
}

// except leaves rows out by their keys.
func (k *task) except(keys [][]string) string {
	if len(keys) == 0 {
		return ""
	}
	var list []string
	for _, key := range keys {
		var parts []string
		for _, part := range key {
			parts = append(parts, ident.Literal(part))
		}
		list = append(list, "("+strings.Join(parts, ", ")+")")
	}
	return fmt.Sprintf(" AND (%s) NOT IN (%s)", k.keyText(), strings.Join(list, ", "))
}

// part copies some rows and saves the position with them.
func (w *worker) part(ctx context.Context, b *batch, next state.Range) error {
	var done statement
	if err := w.rest(ctx, 0, 0); err != nil {
		return err
	}
	err := w.attempt(ctx, func(ctx context.Context) (err error) {
		done, err = w.commit(ctx, b, next)
		return err
	})
	if err != nil {
		return err
	}
	w.heed(done.answer.Control)
	return w.note(ctx, done)
}

// checkBad stops a run that sets aside one row after the other: its conversion or a trigger is wrong, not the rows.
func (r *runner) checkBad() error { return tooMany(int64(r.bad), r.res.Rows+int64(r.bad), r.o) }

// commit writes a batch and the position behind it.
func (w *worker) commit(ctx context.Context, b *batch, next state.Range) (done statement, err error) {
	err = w.inTx(ctx, func(ctx context.Context, tx *sqlx.Tx) error {
		written, err := w.task.writeBack(ctx, tx, b)
		if err != nil {
			return err
		}
		done, err = w.save(ctx, tx, next, written, 0)
		return err
	})
	if err == nil {
		w.mu.Lock()
		w.bad += len(b.bad) - b.accepted
		w.mu.Unlock()
	}
	return done, err
}
