package state

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/tandem-go/tandem/internal/pg"
)

// Pass is one row of tandem.backfill with its ranges added up: how far one kind of pass over a table is.
type Pass struct {
	Migration   string     `db:"migration"`
	Kind        string     `db:"kind"` // copy, reverse, verify; "copy where ..." of a part of the rows
	Token       int64      `db:"token"`
	UnderWay    bool       `db:"under_way"` // it has ranges, and not all rows are done
	Round       int        `db:"round"`
	Owner       string     `db:"owner"` // who works on it
	Rows        int64      `db:"rows"`
	Total       int64      `db:"total"`
	Differences int64      `db:"differences"`
	Share       float64    `db:"share"`    // of the round under way that has been gone over
	Held        string     `db:"held"`     // why workers rest
	Progress    string     `db:"progress"` // as a runner has said last
	StartedAt   time.Time  `db:"started_at"`
	UpdatedAt   time.Time  `db:"updated_at"`
	WrittenAt   *time.Time `db:"written_at"` // when rows changed last
	FinishedAt  *time.Time `db:"finished_at"`
	Copied      *time.Time `db:"copied"` // WrittenAt of copy as verify began
	Since       int64      `db:"since"`  // the oldest transaction under way as verify began; 0: not asked for

	Order pq.StringArray `db:"key_order"` // as of Position
}

// Verifies tells whether a pass of verify began after all that this copy has written: not which is earlier, for the clock may have been set.
func (p Pass) Verifies(copied Pass) bool {
	a, b := p.Copied, copied.WrittenAt
	return a == nil && b == nil || a != nil && b != nil && a.Equal(*b)
}

// passesSQL adds the ranges, whose rows are of the present round, to what the rounds before have done.
const passesSQL = `
	SELECT b.migration, b.kind, b.token, b.under_way, b.round, coalesce(nullif(r.owners, ''), b.owner) AS owner, b.rows + coalesce(r.rows, 0) AS rows, b.total,
	       b.differences + coalesce(r.differences, 0) AS differences, coalesce(r.held, '') AS held, coalesce(r.share, 0) AS share, b.progress, b.started_at, greatest(b.updated_at, r.seen_at) AS updated_at,
	       greatest(b.written_at, r.written_at, part.written_at) AS written_at, b.finished_at, (b.position ->> 'copied')::timestamptz AS copied,
	       ARRAY(SELECT jsonb_array_elements_text(b.position -> 'order')) AS key_order,
	       coalesce((b.position ->> 'since')::bigint, 0) AS since
	FROM tandem.backfill b LEFT JOIN LATERAL (
		SELECT sum(rows) AS rows, sum(weight * share) / nullif(sum(weight), 0) AS share, sum(differences) AS differences, max(seen_at) AS seen_at, max(written_at) AS written_at,
		       string_agg(DISTINCT nullif(owner, ''), ', ') AS owners, string_agg(DISTINCT nullif(held, ''), '; ') FILTER (WHERE owner <> '') AS held
		FROM tandem.range WHERE migration = b.migration AND kind = b.kind) r ON true
	LEFT JOIN LATERAL ( -- what passes over a part of the rows have written
		SELECT greatest(max(p.written_at), (SELECT max(q.written_at) FROM tandem.range q WHERE q.migration = b.migration AND q.kind LIKE b.kind || ' %')) AS written_at
		FROM tandem.backfill p WHERE p.migration = b.migration AND p.kind LIKE b.kind || ' %') part ON true
	WHERE b.migration = $1`

// Passes reads how far copy, reverse and verify are, by kind.
func Passes(ctx context.Context, q sqlx.QueryerContext, migration string) (map[string]Pass, error) {
	var rows []Pass
	if err := sqlx.SelectContext(ctx, q, &rows, passesSQL, migration); err != nil {
		return nil, fmt.Errorf("passes of %s: %w", migration, missing(pg.Cause(ctx, err)))
	}
	out := make(map[string]Pass, len(rows))
	for _, r := range rows {
		out[r.Kind] = r
	}
	return out, nil
}

// LoadPass reads one pass; of one that nobody has ever begun only the names are set.
func LoadPass(ctx context.Context, q sqlx.QueryerContext, migration, kind string) (Pass, error) {
	passes, err := Passes(ctx, q, migration)
	p := passes[kind]
	p.Migration, p.Kind = migration, kind
	return p, err
}

// beginSQL loses to anybody who has begun one since p was read.
const beginSQL = `
	INSERT INTO tandem.backfill AS b (migration, kind, under_way, round, rows, total, position) VALUES ($1, $2, true, $4, 0, $5, $6)
	ON CONFLICT (migration, kind) DO UPDATE SET token = b.token + 1, under_way = true, round = $4, total = $5, position = $6, updated_at = clock_timestamp(), finished_at = NULL,
		rows = CASE $4 WHEN 0 THEN 0 ELSE b.rows + coalesce((SELECT sum(r.rows) FROM tandem.range r WHERE r.migration = $1 AND r.kind = $2), 0) END,
		differences = CASE $4 WHEN 0 THEN 0 ELSE b.differences + coalesce((SELECT sum(r.differences) FROM tandem.range r WHERE r.migration = $1 AND r.kind = $2), 0) END,
		started_at = CASE $4 WHEN 0 THEN clock_timestamp() ELSE b.started_at END,
		written_at = greatest(b.written_at, (SELECT max(r.written_at) FROM tandem.range r WHERE r.migration = $1 AND r.kind = $2))
	WHERE b.token = $3`

// Begin begins a round of the pass, of these ranges, in place of what p says; total is the estimate of its rows. When somebody else was faster it does nothing: read the pass again.
func (p Pass) Begin(ctx context.Context, tx *sqlx.Tx, round int, total int64, copied *time.Time, ranges []Range) error {
	res, err := tx.ExecContext(ctx, beginSQL, p.Migration, p.Kind, p.Token, round, total, Position{Copied: copied, Order: p.Order, Since: p.Since})
	if err != nil {
		return fmt.Errorf("begin %s of %s: %w", p.Kind, p.Migration, missing(err))
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return err
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM tandem.range WHERE migration = $1 AND kind = $2`, p.Migration, p.Kind); err != nil {
		return err
	}
	for i, r := range ranges {
		_, err := tx.ExecContext(ctx, `INSERT INTO tandem.range (migration, kind, id, relation, low, high, blocks, weight) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			p.Migration, p.Kind, round*roundIDs+i+1, r.Relation, pq.Array(r.Low), pq.Array(r.High), r.Blocks, r.Weight)
		if err != nil {
			return fmt.Errorf("range %d of %s of %s: %w", i+1, p.Kind, p.Migration, err)
		}
	}
	return nil
}

// Finish says, in tx, that every row is done, and forgets the ranges. It loses to anybody who has begun a round, or has finished, since p was read.
func (p Pass) Finish(ctx context.Context, tx *sqlx.Tx) (first bool, err error) {
	const text = `
		INSERT INTO tandem.backfill AS b (migration, kind, finished_at)
		SELECT $1, $2, clock_timestamp() WHERE $3 = 0 OR EXISTS (SELECT FROM tandem.backfill WHERE migration = $1 AND kind = $2)
		ON CONFLICT (migration, kind) DO UPDATE SET token = b.token + 1, under_way = false, finished_at = clock_timestamp(), updated_at = clock_timestamp(), owner = '',
			rows = b.rows + coalesce((SELECT sum(r.rows) FROM tandem.range r WHERE r.migration = $1 AND r.kind = $2), 0),
			differences = b.differences + coalesce((SELECT sum(r.differences) FROM tandem.range r WHERE r.migration = $1 AND r.kind = $2), 0),
			written_at = greatest(b.written_at, (SELECT max(r.written_at) FROM tandem.range r WHERE r.migration = $1 AND r.kind = $2))
		WHERE b.token = $3`
	res, err := tx.ExecContext(ctx, text, p.Migration, p.Kind, p.Token)
	if err != nil {
		return false, fmt.Errorf("finish %s of %s: %w", p.Kind, p.Migration, missing(err))
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return false, err
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM tandem.range WHERE migration = $1 AND kind = $2`, p.Migration, p.Kind)
	return true, err
}

// SaveProgress notes what a runner says of a pass, for everybody else.
func SaveProgress(ctx context.Context, q sqlx.ExecerContext, migration, kind, progress string) error {
	_, err := q.ExecContext(ctx, `UPDATE tandem.backfill SET progress = $3 WHERE migration = $1 AND kind = $2`, migration, kind, progress)
	if err != nil {
		return fmt.Errorf("progress of %s of %s: %w", kind, migration, pg.Cause(ctx, err))
	}
	return nil
}

// Written notes that rows may be written from now on by a pass of another kind.
func (p Pass) Written(ctx context.Context, q sqlx.ExecerContext) error {
	_, err := q.ExecContext(ctx, `UPDATE tandem.backfill SET written_at = clock_timestamp() WHERE migration = $1 AND kind = $2`, p.Migration, p.Kind)
	if err != nil {
		return fmt.Errorf("%s of %s: %w", p.Kind, p.Migration, pg.Cause(ctx, err))
	}
	return nil
}

func scanJSON(src, to any) error {
	switch v := src.(type) {
	case []byte:
		return json.Unmarshal(v, to)
	case string:
		return json.Unmarshal([]byte(v), to)
	case nil:
		return nil
	}
	return errors.New("not JSON")
}

func valueJSON(v any) (driver.Value, error) {
	text, err := json.Marshal(v)
	return string(text), err
}

func worker() string { return fmt.Sprintf("%s pid %d", Actor(), os.Getpid()) }
