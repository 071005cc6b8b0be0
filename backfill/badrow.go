package backfill

import (
	"context"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/state"
)

// BadRow is a row that was set aside, because its value does not convert or the server refuses what it becomes.
type BadRow struct {
	Key   []string  // as text, in the order of the table's key
	Error string    // of the last try
	At    time.Time // of the last try

	Accepted   string    // why somebody lives with it; "": nobody does
	AcceptedBy string    // who
	AcceptedAt time.Time // when
	Lose       bool      // and contract.Apply with Drop may take old's value away
}

// BadRowsOptions of BadRows. The zero value is complete.
type BadRowsOptions struct {
	After    []string // the key that the page begins behind: the last of the page before; defaults to the first
	Limit    int      // rows, 1 to 10,000; defaults to 1,000
	Open     bool     // only those that nobody has accepted; defaults to false
	Accepted bool     // only those that somebody has accepted; defaults to false
}

const (
	defaultPage = 1000
	maxPage     = 10_000
)

// BadRows lists the rows that were set aside, page by page, in the order of their keys as text arrays. It takes no lock, and is right in every phase. The list is as it was
// left: a row that has been mended since by a write goes from it with the next Run, or RetryBadRows.
func BadRows(ctx context.Context, db *sqlx.DB, p expand.Any, o BadRowsOptions) ([]BadRow, error) {
	rows, err := badRows(ctx, db, p, o)
	if err != nil {
		return nil, fmt.Errorf("bad rows of %s: %w", p.Name(), err)
	}
	return rows, nil
}

const badRowsSQL = `
	SELECT key, error, at, coalesce(accepted, ''), coalesce(accepted_by, ''), accepted_at, accepted IS NOT NULL AND lose FROM tandem.bad_row b
	WHERE migration = $1 AND ($2::text[] IS NULL OR key > $2) AND NOT ($3 AND accepted IS NOT NULL) AND NOT ($4 AND accepted IS NULL)
	ORDER BY key LIMIT $5`

func badRows(ctx context.Context, db *sqlx.DB, p expand.Any, o BadRowsOptions) ([]BadRow, error) {
	if o.Limit == 0 {
		o.Limit = defaultPage
	}
	switch {
	case o.Limit < 1 || o.Limit > maxPage:
		return nil, fmt.Errorf("options: a limit of %d rows: must lie between 1 and %d", o.Limit, maxPage)
	case o.Open && o.Accepted:
		return nil, fmt.Errorf("options: no row is both open and accepted: set one, or none for all")
	}
	if err := p.Err(); err != nil {
		return nil, err
	}
	if _, err := state.Load(ctx, db, p.Name()); err != nil {
		return nil, err
	}
	return readBadRows(ctx, db, badRowsSQL, p.Name(), pq.Array(o.After), o.Open, o.Accepted, o.Limit)
}

func readBadRows(ctx context.Context, q sqlx.QueryerContext, text string, args ...any) ([]BadRow, error) {
	rows, err := q.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, pg.Cause(ctx, err)
	}
	defer rows.Close()
	var out []BadRow
	for rows.Next() {
		var b BadRow
		var at *time.Time
		if err := rows.Scan((*pq.StringArray)(&b.Key), &b.Error, &b.At, &b.Accepted, &b.AcceptedBy, &at, &b.Lose); err != nil {
			return nil, err
		}
		if at != nil && b.Accepted != "" {
			b.AcceptedAt = *at
		} else {
			b.AcceptedBy = ""
		}
		out = append(out, b)
	}
	return out, pg.Cause(ctx, rows.Err())
}

// allBadKeys reads the keys of all bad rows.
func allBadKeys(ctx context.Context, q sqlx.QueryerContext, name string) ([][]string, error) {
	var found []pq.StringArray
	if err := sqlx.SelectContext(ctx, q, &found, `SELECT key FROM tandem.bad_row WHERE migration = $1 ORDER BY key`, name); err != nil {
		return nil, err
	}
	out := make([][]string, len(found))
	for i, key := range found {
		out[i] = key
	}
	return out, nil
}
