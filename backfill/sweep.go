package backfill

import (
	"context"
	"fmt"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pg"
)

// sweepRows is how many dirty rows one transaction takes.
const sweepRows = 1000

// Sweep converts the rows that strays have left in tandem.dirty: the pair's forward is in Go only, so the guard could not. It returns how many keys it took
// off the list, when the list is empty. Run it for as long as strays exist, from any number of processes. Errors and locks are Run's.
func Sweep(ctx context.Context, db *sqlx.DB, p expand.Any) (int64, error) {
	r, err := newRunner(ctx, db, p, Options{})
	if err != nil {
		return 0, fmt.Errorf("sweep %s: %w", p.Name(), err)
	}
	swept, err := r.sweepAll(ctx)
	if err != nil {
		return swept, fmt.Errorf("sweep %s: %w", p.Name(), err)
	}
	return swept, nil
}

// sweepAll halves the transaction while the server refuses a row of it, down to the one row, which sweep sets aside.
func (r *runner) sweepAll(ctx context.Context) (swept int64, err error) {
	for limit := sweepRows; ; {
		var n int64
		err := r.retry(ctx, func(ctx context.Context) (err error) {
			n, err = r.sweep(ctx, limit)
			return err
		})
		switch {
		case refused(err) && limit > 1:
			limit /= 2
		case err != nil || n == 0:
			return swept, err
		default:
			swept += n
			limit = min(2*limit, sweepRows)
		}
	}
}

// sweep takes keys off the list, locked so that two sweepers take different ones, and converts their rows in the same transaction. A row that a
// writer changes meanwhile waits for us or is seen changed; if the writer was a stray, its key is on the list again.
func (r *runner) sweep(ctx context.Context, limit int) (taken int64, err error) {
	k := r.task
	err = pg.InTx(ctx, r.db, pg.Settings{LockTimeout: lockTimeout}, func(ctx context.Context, tx *sqlx.Tx) error {
		var ids []int64
		err := tx.SelectContext(ctx, &ids, `SELECT id FROM tandem.dirty WHERE migration = $1 ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED`, k.d.Name(), limit)
		if err != nil || len(ids) == 0 {
			return err
		}
		// Locked, so that what is read is still so when it is written; a key may be on the list more than once.
		b, err := k.readBatch(ctx, tx, k.readColumns()+" FROM "+k.from()+" WHERE "+k.todo+" AND EXISTS (SELECT FROM tandem.dirty b WHERE b.id = ANY ($1) AND "+
			k.keyIs("b.key")+")"+k.orderBy("")+" FOR NO KEY UPDATE OF t", pq.Array(ids))
		if err != nil {
			return err
		}
		if err := k.store(ctx, tx, b); err != nil {
			return err
		}
		taken = int64(len(ids))
		_, err = tx.ExecContext(ctx, `DELETE FROM tandem.dirty WHERE id = ANY ($1)`, pq.Array(ids))
		return err
	})
	return taken, err
}

// store writes a batch; one row alone that the server refuses becomes a bad row.
func (k *task) store(ctx context.Context, tx *sqlx.Tx, b *batch) error {
	if b.len() != 1 {
		_, err := k.writeBack(ctx, tx, b)
		return err
	}
	if _, err := tx.ExecContext(ctx, `SAVEPOINT tandem_row`); err != nil {
		return err
	}
	_, err := k.writeBack(ctx, tx, b)
	if !refused(err) {
		return err
	}
	if _, err := tx.ExecContext(ctx, `ROLLBACK TO SAVEPOINT tandem_row`); err != nil {
		return err
	}
	_, err = k.writeBack(ctx, tx, &batch{bad: append(b.bad, badRow{b.key(0), err})})
	return err
}
