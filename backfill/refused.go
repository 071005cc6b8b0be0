package backfill

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jmoiron/sqlx"

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

// halve copies a stripe of which the server refused some row: part by part, each in a transaction of its own, until the refused rows stand alone and are set aside.
// What is copied has a stamp, so a crash on the way repeats nothing.
func (r *runner) halve(ctx context.Context, pos, next state.Position) error {
	var b *batch
	err := r.retry(ctx, func(ctx context.Context) (err error) {
		b, err = r.task.readBatch(ctx, r.db, r.task.readSQL(pos.Low != nil, pos.Stripe, pos.Stripes), window(pos)...)
		return err
	})
	if err != nil {
		return err
	}
	if err := r.divide(ctx, pos, b); err != nil {
		return err
	}
	return r.part(ctx, next, &batch{})
}

func (r *runner) divide(ctx context.Context, pos state.Position, b *batch) error {
	err := r.part(ctx, pos, b)
	if !refused(err) {
		return err
	}
	switch n := b.len(); {
	case n == 0:
		return err
	case n > 1:
		if err := r.divide(ctx, pos, b.slice(0, n/2)); err != nil {
			return err
		}
		return r.divide(ctx, pos, b.slice(n/2, n))
	}
	return r.part(ctx, pos, &batch{bad: append(b.bad, badRow{b.key(0), err})})
}

// part copies some rows and saves the position with them.
func (r *runner) part(ctx context.Context, pos state.Position, b *batch) error {
	var written int64
	err := r.retry(ctx, func(ctx context.Context) (err error) {
		written, err = r.commit(ctx, b, pos)
		return err
	})
	if err != nil {
		return err
	}
	r.claim.Moved(pos, r.claim.Rows+written)
	r.res.Rows += written
	return r.checkBad()
}

// checkBad stops a run that sets aside one row after the other: its conversion or a trigger is wrong, not the rows.
func (r *runner) checkBad() error {
	if r.bad > r.o.BadRows {
		return fmt.Errorf("%w: %d, Options.BadRows is %d; the reasons are in tandem.bad_row", ErrBadRows, r.bad, r.o.BadRows)
	}
	return nil
}

// commit writes a batch and the position behind it.
func (r *runner) commit(ctx context.Context, b *batch, next state.Position) (written int64, err error) {
	err = pg.InTx(ctx, r.db, pg.Settings{LockTimeout: lockTimeout, AsyncCommit: true}, func(ctx context.Context, tx *sqlx.Tx) error {
		if err := r.task.announce(ctx, tx); err != nil {
			return err
		}
		if written, err = r.task.writeBack(ctx, tx, b); err != nil {
			return err
		}
		return r.claim.Save(ctx, tx, next, r.claim.Rows+written)
	})
	if err == nil {
		r.bad += len(b.bad)
	}
	return written, err
}
