package backfill

import (
	"context"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pg"
)

// sweepRows is how many dirty rows one transaction takes.
const sweepRows = 1000

// Sweep converts the rows that strays have left in tandem.dirty: the pair's forward is in Go only, so the guard could not. It returns how many keys it took
// off the list, when the list is empty. Any number of processes may call it at once; for as long as strays exist, SweepUntil does it all the time. Errors and locks are Run's.
func Sweep(ctx context.Context, db *sqlx.DB, p expand.Any) (int64, error) {
	r, err := newRunner(ctx, db, p, Options{})
	if err != nil {
		return 0, fmt.Errorf("sweep %s: %w", p.Name(), err)
	}
	var swept Swept
	for again := true; again && err == nil; { // until the list is empty: keys may have come behind us
		before := swept.Keys
		err = r.sweepAll(ctx, &swept, wait)
		again = swept.Keys > before
	}
	if err != nil {
		return swept.Keys, fmt.Errorf("sweep %s: %w", p.Name(), err)
	}
	return swept.Keys, nil
}

// What to do about a row that somebody else has locked: wait for it, or leave its key on the list.
const (
	wait = ""
	pass = " SKIP LOCKED"
)

// sweepAll goes over the list once. It halves the transaction while the server refuses a row of it, down to the one row, which sweep sets aside.
func (r *runner) sweepAll(ctx context.Context, swept *Swept, locked string) error {
	var last int64
	for limit := sweepRows; ; {
		var s sweeping
		err := r.retry(ctx, func(ctx context.Context) (err error) {
			s, err = r.sweep(ctx, last, limit, locked)
			return err
		})
		switch {
		case refused(err) && limit > 1:
			limit /= 2
		case err != nil || len(s.ids) == 0:
			return err
		default:
			swept.Keys, swept.Rows, swept.Bad, swept.Waited = swept.Keys+s.taken, swept.Rows+s.rows, swept.Bad+s.bad, max(swept.Waited, s.waited)
			last = s.ids[len(s.ids)-1]
			limit = min(2*limit, sweepRows)
		}
	}
}

// sweeping is one transaction of a sweep.
type sweeping struct {
	ids    []int64 // on the list, in this order
	taken  int64   // off the list
	rows   int64   // converted
	bad    int64   // set aside
	waited time.Duration
}

// sweep takes keys off the list, from behind one on, locked so that two sweepers take different ones, and converts their rows in the same transaction. A row that a
// writer changes meanwhile waits for us or is seen changed; if the writer was a stray, its key is on the list again.
func (r *runner) sweep(ctx context.Context, after int64, limit int, locked string) (s sweeping, err error) {
	k := r.task
	err = pg.InTx(ctx, r.db, pg.Settings{LockTimeout: lockTimeout}, func(ctx context.Context, tx *sqlx.Tx) error {
		s = sweeping{}
		err := tx.SelectContext(ctx, &s.ids, `SELECT id FROM tandem.dirty WHERE migration = $1 AND id > $2 ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED`, k.d.Name(), after, limit)
		if err != nil || len(s.ids) == 0 {
			return err
		}
		// Locked, so that what is read is still so when it is written; a key may be on the list more than once.
		b, err := k.readBatch(ctx, tx, k.readColumns()+" FROM "+k.from()+" WHERE "+k.todo+" AND EXISTS (SELECT FROM tandem.dirty b WHERE b.id = ANY ($1) AND "+
			k.keyIs("b.key")+")"+k.orderBy()+" FOR NO KEY UPDATE OF t"+locked, pq.Array(s.ids))
		if err != nil {
			return err
		}
		bad, err := k.store(ctx, tx, b)
		if err != nil {
			return err
		}
		s.bad, s.rows = int64(bad), int64(b.len()+len(b.bad)-bad)
		return s.take(ctx, tx, k)
	})
	return s, err
}

// take takes keys off the list: those of rows that are done, are gone or are set aside. What is neither was passed over, because somebody else has locked it.
func (s *sweeping) take(ctx context.Context, tx *sqlx.Tx, k *task) error {
	const now = "extract(epoch FROM clock_timestamp() - min(at))"
	text := "WITH off AS (DELETE FROM tandem.dirty d WHERE id = ANY ($1) AND (NOT EXISTS (SELECT FROM " + k.from() + " WHERE " + k.keyIs("d.key") + " AND " + k.todo + ")" +
		" OR EXISTS (SELECT FROM tandem.bad_row b WHERE b.migration = d.migration AND b.key = d.key AND b.at = now())) RETURNING at)" +
		" SELECT count(*), coalesce(" + now + ", 0)::float8 FROM off"
	var seconds float64
	if err := tx.QueryRowContext(ctx, text, pq.Array(s.ids)).Scan(&s.taken, &seconds); err != nil {
		return err
	}
	s.waited = time.Duration(max(seconds, 0) * float64(time.Second))
	return nil
}

// store writes a batch, and tells how many of its rows are bad; one row alone that the server refuses becomes one.
func (k *task) store(ctx context.Context, tx *sqlx.Tx, b *batch) (bad int, err error) {
	if b.len() != 1 {
		_, err := k.writeBack(ctx, tx, b)
		return len(b.bad), err
	}
	if _, err := tx.ExecContext(ctx, `SAVEPOINT tandem_row`); err != nil {
		return 0, err
	}
	_, err = k.writeBack(ctx, tx, b)
	if !refused(err) {
		return len(b.bad), err
	}
	if _, err := tx.ExecContext(ctx, `ROLLBACK TO SAVEPOINT tandem_row`); err != nil {
		return 0, err
	}
	_, err = k.writeBack(ctx, tx, &batch{bad: append(b.bad, badRow{b.key(0), err})})
	return len(b.bad) + 1, err
}
