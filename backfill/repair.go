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
	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/phase"
	"github.com/tandem-go/tandem/internal/state"
)

// ErrTwoTables says that something is not offered for pairs with another table.
var ErrTwoTables = errors.New("not for a pair with another table")

// Difference is a row of which Verify has found that old and new are not in step.
type Difference struct {
	Key    []string
	Detail string
	Old    []*string // values of the old columns now, as text, their first valueLength characters; only if asked for, nil when the row has gone
	New    []*string
}

const valueLength = 200

// DifferencesOptions of Differences. The zero value is complete.
type DifferencesOptions struct {
	After  int64 // the cursor that the page before returned; defaults to the beginning
	Limit  int   // rows a page, up to 10,000; defaults to 1,000
	Values bool  // read the rows' values too: they may be secrets
}

// Differences lists what the last Verify has found, page by page in the order that it was found, and the cursor of the next page: 0 when there is none. At most 1,000 rows of each process that
// verified are kept.
func Differences(ctx context.Context, db *sqlx.DB, p expand.Any, o DifferencesOptions) (list []Difference, next int64, err error) {
	if o.Limit <= 0 || o.Limit > 10_000 {
		o.Limit = 1000
	}
	r, err := newRunner(ctx, db, p, Options{})
	if err == nil {
		list, next, err = r.differences(ctx, o)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("differences of %s: %w", p.Name(), err)
	}
	return list, next, nil
}

func (r *runner) differences(ctx context.Context, o DifferencesOptions) (list []Difference, next int64, err error) {
	var rows []struct {
		ID     int64          `db:"id"`
		Key    pq.StringArray `db:"key"`
		Detail string         `db:"detail"`
	}
	err = r.db.SelectContext(ctx, &rows, `SELECT id, key, detail FROM tandem.mismatch WHERE migration = $1 AND source = 'verify' AND id > $2 ORDER BY id LIMIT $3`,
		r.task.d.Name(), o.After, o.Limit)
	if err != nil {
		return nil, 0, pg.Cause(ctx, err)
	}
	for _, row := range rows {
		d := Difference{Key: row.Key, Detail: row.Detail}
		if o.Values {
			if d.Old, d.New, err = r.values(ctx, row.Key); err != nil {
				return nil, 0, err
			}
		}
		list = append(list, d)
	}
	if len(rows) == o.Limit {
		next = rows[len(rows)-1].ID
	}
	return list, next, nil
}

// values reads the columns of one row of a pair within one table.
func (r *runner) values(ctx context.Context, key []string) (old, now []*string, err error) {
	k := r.task
	if !k.inPlace() {
		return nil, nil, fmt.Errorf("values: %w", ErrTwoTables)
	}
	if err := k.keyed(); err != nil {
		return nil, nil, fmt.Errorf("values: %w", err)
	}
	columns := ident.QuoteAll("t.", append(slices.Clone(k.d.Old), k.d.New...))
	values, to := make([]*string, len(columns)), make([]any, len(columns))
	for i, c := range columns {
		columns[i], to[i] = fmt.Sprintf("left(%s::text, %d)", c, valueLength), &values[i]
	}
	text := fmt.Sprintf("SELECT %s FROM %s WHERE %s", strings.Join(columns, ", "), k.from(), k.keyIs("$1::text[]"))
	err = r.db.QueryRowContext(ctx, text, pq.Array(key)).Scan(to...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("row %v: %w", key, pg.Cause(ctx, err))
	}
	return values[:len(k.d.Old)], values[len(k.d.Old):], nil
}

// Repair brings the rows that the last Verify has listed into step: new is made of old once more, as the copy makes it, of what old is at that moment. Rows of Contract, where new is the
// truth, are left alone; so are rows that have gone. With keys, as Difference has them, only those of the listed rows. It returns how many rows it wrote; what does not convert becomes a bad row.
// Verify has to be run again then. Locks are Run's.
// Errors: ErrPhase in Contract and on the way back from it, where old is not the truth; ErrTwoTables.
func Repair(ctx context.Context, db *sqlx.DB, p expand.Any, keys ...[]string) (repaired int64, err error) {
	r, err := newRunner(ctx, db, p, Options{})
	if err == nil {
		err = r.repairable(ctx)
	}
	if err == nil {
		err = r.task.keyed()
	}
	for err == nil {
		var listed, n int64
		err = r.retry(ctx, func(ctx context.Context) (err error) {
			listed, n, err = r.repair(ctx, sweepRows, keys)
			return err
		})
		if repaired += n; listed == 0 {
			break
		}
	}
	if err != nil {
		return repaired, fmt.Errorf("repair %s: %w", p.Name(), err)
	}
	return repaired, nil
}

// repairable says whether old is the truth. Where the phase goes on meanwhile, the guard of Contract refuses what repair does first: to take a stamp away.
func (r *runner) repairable(ctx context.Context) error {
	if !r.task.inPlace() {
		return ErrTwoTables
	}
	m, err := state.Load(ctx, r.db, r.task.d.Name())
	if err == nil && m.Guard != guard.Repair {
		err = fmt.Errorf("%w: in %s with guard %s old is not the truth for every row", ErrPhase, m.Phase, m.Guard)
	}
	return err
}

// keyTexts are keys as the server reads arrays; nil for all.
func keyTexts(keys [][]string) (out []string, err error) {
	for _, key := range keys {
		text, err := pq.StringArray(key).Value()
		if err != nil {
			return nil, err
		}
		out = append(out, fmt.Sprint(text))
	}
	return out, nil
}

// repair takes keys off the list and makes their rows anew, in one transaction: without its stamp a row is one that the copy has to do.
func (r *runner) repair(ctx context.Context, limit int, keys [][]string) (listed, repaired int64, err error) {
	k := r.task
	err = pg.InTx(ctx, r.db, pg.Settings{LockTimeout: lockTimeout}, func(ctx context.Context, tx *sqlx.Tx) error {
		var ids []int64
		texts, err := keyTexts(keys)
		if err != nil {
			return err
		}
		err = tx.SelectContext(ctx, &ids, `SELECT id FROM tandem.mismatch WHERE migration = $1 AND source = 'verify'
			AND ($3::text[] IS NULL OR key IN (SELECT v::text[] FROM unnest($3::text[]) AS v)) ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED`, k.d.Name(), limit, pq.Array(texts))
		if err != nil || len(ids) == 0 {
			return err
		}
		among := "EXISTS (SELECT FROM tandem.mismatch b WHERE b.id = ANY ($1) AND " + k.keyIs("b.key") + ")"
		stamp := "t." + ident.Quote(k.d.Stamp)
		_, err = tx.ExecContext(ctx, fmt.Sprintf("UPDATE %s SET %s = NULL WHERE %s < %d AND %s", k.from(), ident.Quote(k.d.Stamp), stamp, phase.Contract.Floor(), among), pq.Array(ids))
		if err != nil {
			return err
		}
		b, err := k.readBatch(ctx, tx, k.readColumns()+" FROM "+k.from()+" WHERE "+k.todo+" AND "+among+k.orderBy()+" FOR NO KEY UPDATE OF t", pq.Array(ids))
		if err != nil {
			return err
		}
		bad, err := k.store(ctx, tx, b)
		if err != nil {
			return err
		}
		listed, repaired = int64(len(ids)), int64(b.len()+len(b.bad)-bad)
		if _, err := tx.ExecContext(ctx, `DELETE FROM tandem.mismatch WHERE id = ANY ($1)`, pq.Array(ids)); err != nil {
			return err
		}
		if err := state.Unverify(ctx, tx, k.d.Name()); err != nil {
			return err
		}
		return state.Log(ctx, tx, state.Event{Migration: k.d.Name(), Kind: "repair", Detail: fmt.Sprintf("%d of %d rows that differed were made of old again", repaired, listed)})
	})
	return listed, repaired, err
}
