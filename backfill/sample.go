package backfill

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/pg"
)

const (
	forecastSamples = int64(5)
	forecastBlocks  = int64(24) // of one sample
)

var errRolledBack = errors.New("rolled back")

// sample is what copying the rows of one stretch has shown.
type sample struct {
	pages, rows float64
	read        float64 // seconds, with the conversion, where that is in Go
	write       float64 // seconds
	wal         float64
	was, is     float64 // bytes of the rows before and after
}

func (r *runner) samples(ctx context.Context, leaves []catalog.Leaf, pages int64) (out []sample, err error) {
	n := min(forecastSamples, pages)
	for i := range n {
		first := pages * i / n
		length := min(forecastBlocks, pages*(i+1)/n-first)
		for _, leaf := range leaves {
			if first >= leaf.Pages {
				first -= leaf.Pages
				continue
			}
			s, err := r.sample(ctx, leaf.Relation, first, min(first+length, leaf.Pages))
			if err != nil {
				return nil, err
			}
			out = append(out, s)
			break
		}
	}
	return out, nil
}

// sample copies the rows of some blocks of a relation, and rolls it back.
func (r *runner) sample(ctx context.Context, relation string, low, high int64) (s sample, err error) {
	k := r.task.on(relation)
	err = r.retry(ctx, func(ctx context.Context) error {
		s = sample{pages: float64(high - low)}
		text, args := k.sampleSQL(inBlocks(low, high)), []any(nil)
		if k.exprs == nil {
			began := time.Now()
			b, err := k.readUpTo(ctx, r.db, batchBytes, k.readSQL(inBlocks(low, high)))
			if err != nil || b.len() == 0 {
				return err
			}
			args = append(b.keys(len(k.types)), b.values(len(k.source), len(k.target))...)
			s.read = time.Since(began).Seconds()
		}
		return pg.InTx(ctx, r.db, pg.Settings{LockTimeout: lockTimeout, AsyncCommit: true, Lookups: k.exprs == nil}, func(ctx context.Context, tx *sqlx.Tx) error {
			return s.copy(ctx, tx, text, args)
		})
	})
	if errors.Is(err, errRolledBack) {
		err = nil
	}
	return s, err
}

func (s *sample) copy(ctx context.Context, tx *sqlx.Tx, text string, args []any) error {
	const walSQL = `SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::float8`
	var before, after float64
	if err := tx.GetContext(ctx, &before, walSQL); err != nil {
		return err
	}
	began := time.Now()
	if err := tx.QueryRowContext(ctx, text, args...).Scan(&s.was, &s.rows, &s.is); err != nil {
		return err
	}
	s.write = time.Since(began).Seconds()
	if err := tx.GetContext(ctx, &after, walSQL); err != nil {
		return err
	}
	s.wal = after - before
	return errRolledBack
}

// sampleSQL copies rows, and tells their bytes before, how many they are, and their bytes then. In RETURNING t is the row as it was made: its size before is that without the columns that were NULL. The parameters are
// those of what copies.
func (k *task) sampleSQL(where string) string {
	var copies, also string
	if k.exprs != nil {
		copies = k.updateSQL(where)
	} else {
		copies = k.writeBackSQL()
		also, where = k.named()
	}
	return fmt.Sprintf(`WITH was AS MATERIALIZED (SELECT sum(pg_column_size(t)) AS bytes FROM %s%s WHERE %s AND %s), made AS (%s RETURNING pg_column_size(t) AS bytes)
		SELECT coalesce((SELECT bytes FROM was), 0)::float8, count(*)::float8, coalesce(sum(bytes), 0)::float8 FROM made`, k.from(), also, where, k.todo, copies)
}
