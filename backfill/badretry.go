package backfill

import (
	"context"
	"errors"
	"fmt"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/state"
)

// RetryOptions of RetryBadRows: one of the two must be set.
type RetryOptions struct {
	Keys [][]string // of these bad rows
	All  bool       // of all, those accepted too
}

// Retried is what RetryBadRows did.
type Retried struct {
	Mended int64    // rows that convert now, and have a stamp
	Gone   int64    // rows that had been mended or deleted before, and are off the list now
	Bad    []BadRow // rows that are still bad, with the error of this try
}

// retryRows is how many bad rows one transaction tries, until the server refuses one of them.
const retryRows = 500

// RetryBadRows tries bad rows now, with the pair's conversion: old to new, or, on the way back from Contract, new to old. What is mended leaves the list in the transaction that
// writes it. Errors: ErrPhase outside of Migrate, Switch and Contract, ErrNoBadRow for a key that is not on the list, and then nothing is tried. At any other error what is done is
// returned and stays. Locks: ROW EXCLUSIVE on the table, and the rows of one transaction, of at most 500.
func RetryBadRows(ctx context.Context, db *sqlx.DB, p expand.Any, o RetryOptions) (Retried, error) {
	var done Retried
	err := retryBadRows(ctx, db, p, o, &done)
	if err != nil {
		return done, fmt.Errorf("retry bad rows of %s: %w", p.Name(), err)
	}
	return done, nil
}

var errKeys = errors.New("options: name keys, or set All, but not both")

func retryBadRows(ctx context.Context, db *sqlx.DB, p expand.Any, o RetryOptions, done *Retried) error {
	if o.All == (len(o.Keys) > 0) {
		return errKeys
	}
	r, err := badRunner(ctx, db, p)
	if err != nil {
		return err
	}
	keys := distinct(o.Keys)
	if o.All {
		keys, err = allBadKeys(ctx, db, p.Name())
	} else {
		err = r.task.refuseUnlisted(ctx, db, keys)
	}
	for limit := retryRows; err == nil && len(keys) > 0; {
		n := min(limit, len(keys))
		var some Retried
		err = r.retry(ctx, func(ctx context.Context) (err error) {
			some, err = r.tryBad(ctx, keys[:n])
			return err
		})
		switch {
		case refused(err) && n > 1: // some row of them: the others need not wait for it to be found by a savepoint each
			limit, err = n/2, nil
		case err == nil:
			done.Mended, done.Gone, done.Bad = done.Mended+some.Mended, done.Gone+some.Gone, append(done.Bad, some.Bad...)
			keys, limit = keys[n:], min(2*limit, retryRows)
		}
	}
	return err
}

// badRunner is a runner in the direction in which rows are bad now.
func badRunner(ctx context.Context, db *sqlx.DB, p expand.Any) (*runner, error) {
	if err := p.Err(); err != nil {
		return nil, err
	}
	m, err := state.Load(ctx, db, p.Name())
	if err != nil {
		return nil, err
	}
	return newRunner(ctx, db, p, Options{Reverse: m.Guard == guard.Reverse})
}

// tryBad tries some rows in one transaction.
func (r *runner) tryBad(ctx context.Context, keys [][]string) (out Retried, err error) {
	k := r.task
	args, err := k.keyArguments(keys)
	if err != nil {
		return out, err
	}
	arrays, names, same := k.keyArrays()
	err = pg.InTx(ctx, r.db, pg.Settings{LockTimeout: lockTimeout}, func(ctx context.Context, tx *sqlx.Tx) error {
		out = Retried{}
		if err := k.announce(ctx, tx); err != nil {
			return err
		}
		b, err := k.readBatch(ctx, tx, k.readColumns()+" FROM "+k.from()+" WHERE "+k.todo+" AND EXISTS (SELECT FROM unnest("+arrays+") AS v("+names+") WHERE "+same+")"+
			k.orderBy()+" FOR NO KEY UPDATE OF t", args...)
		if err != nil {
			return err
		}
		var tried [][]string
		for i := range b.len() {
			tried = append(tried, b.key(i))
		}
		for _, bad := range b.bad {
			tried = append(tried, bad.key)
		}
		if _, err := k.store(ctx, tx, b); err != nil {
			return err
		}
		ours := " FROM tandem.bad_row b WHERE b.migration = " + ident.Literal(k.d.Name()) + " AND " + inList("b.key", 1, len(args))
		res, err := tx.ExecContext(ctx, "DELETE"+ours+" AND "+k.mended(), args...)
		if err != nil {
			return err
		}
		off, err := res.RowsAffected()
		if err != nil {
			return err
		}
		out.Bad, err = readBadRows(ctx, tx, "SELECT key, error, at, coalesce(accepted, ''), coalesce(accepted_by, ''), accepted_at, accepted IS NOT NULL AND lose"+ours+" ORDER BY key", args...)
		var left []pq.StringArray
		for _, bad := range out.Bad {
			left = append(left, bad.Key)
		}
		out.Mended = int64(len(without(tried, left)))
		out.Gone = off - out.Mended
		return err
	})
	return out, err
}

// distinct leaves out keys that are named twice.
func distinct(keys [][]string) (out [][]string) {
	seen := map[string]bool{}
	for _, key := range keys {
		if text := fmt.Sprintf("%q", key); !seen[text] {
			seen[text] = true
			out = append(out, key)
		}
	}
	return out
}
