package state

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/tandem-go/tandem/internal/pg"
)

// ErrTaken says that another worker has taken a range over, or that the pass has gone on without it.
var ErrTaken = errors.New("another worker has taken over")

// Position is how far a worker is in a range. Keys are as text, blocks are keys of one number.
type Position struct {
	Low     []string `json:"low,omitempty"`     // all up to it is done: keys with it, blocks without
	High    []string `json:"high,omitempty"`    // the end of the window under way, if it is done in stripes
	Stripe  int      `json:"stripe,omitempty"`  // of it
	Stripes int      `json:"stripes,omitempty"` // of how many
	At      []string `json:"at,omitempty"`      // where in the window the next statement of the stripe begins
	Passed  float64  `json:"passed,omitempty"`  // rows up to Low, where they are counted as they are passed

	Copied *time.Time `json:"copied,omitempty"` // of a pass of verify: when rows had been copied last as it began
	Order  []string   `json:"order,omitempty"`  // of a pass: the key columns in the order that its ranges are in, + up or - down before each
	Since  int64      `json:"since,omitempty"`  // of a pass of verify by blocks: transactions from this one on may have moved rows while it ran
}

// Value stores a position as JSON.
func (p Position) Value() (driver.Value, error) { return valueJSON(p) }

// Scan reads it.
func (p *Position) Scan(src any) error { return scanJSON(src, p) }

// Range is a part of the table, and with a token the right to work on it: every write of its position checks the token, so a worker that was taken for dead
// and taken over cannot write once more: its transaction fails with ErrTaken and rolls back.
type Range struct {
	Migration   string         `db:"migration"`
	Kind        string         `db:"kind"`
	ID          int            `db:"id"`
	Relation    string         `db:"relation"` // the table or its partition, quoted
	Low         pq.StringArray `db:"low"`      // it begins behind this key, or with this block; nil: with the first
	High        pq.StringArray `db:"high"`     // and ends with this key, or before this block
	Blocks      bool           `db:"blocks"`
	Weight      float64        `db:"weight"` // blocks, or about how many rows
	Share       float64        `db:"share"`  // of it that has been gone over
	Position    Position       `db:"position"`
	Rows        int64          `db:"rows"` // written, or compared
	Differences int64          `db:"differences"`
	Token       int64          `db:"token"`
	Done        bool           `db:"done"`
}

// roundIDs is how far the ids of a round's ranges are from those of the next.
const roundIDs = 1 << 20

// Round is the round that the range is of: a worker may claim one of the next before it knows that there is one.
func (r Range) Round() int { return (r.ID - 1) / roundIDs }

// From is where work goes on: nil at the first key.
func (r Range) From() []string {
	if r.Position.Low != nil {
		return r.Position.Low
	}
	return r.Low
}

const rangeColumns = `migration, kind, id, relation, low, high, blocks, weight, share, position, rows, differences, token, done`

// claimSQL skips what somebody else is claiming at this moment.
const claimSQL = `
	UPDATE tandem.range SET token = nextval('tandem.token'), owner = $3, seen_at = clock_timestamp()
	WHERE migration = $1 AND kind = $2 AND id = (
		SELECT id FROM tandem.range WHERE migration = $1 AND kind = $2 AND NOT done
		AND (owner = '' OR seen_at < clock_timestamp() - $4 * interval '1 second' OR token = ANY ($5)) ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
	RETURNING ` + rangeColumns

// Claim takes a range that nobody works on, or whose worker has given no sign of life for lease by the database's clock, or whose token is among silent. It returns nil when there is none.
func Claim(ctx context.Context, db *sqlx.DB, migration, kind string, lease time.Duration, silent []int64) (*Range, error) {
	var r Range
	err := db.GetContext(ctx, &r, claimSQL, migration, kind, worker(), lease.Seconds(), pq.Array(silent))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil //nolint:nilnil // there is none
	case err != nil:
		return nil, fmt.Errorf("claim a range of %s of %s: %w", kind, migration, missing(pg.Cause(ctx, err)))
	}
	return &r, nil
}

// Sign is the last sign of life of a range's worker.
type Sign struct {
	Token  int64     `db:"token"`
	Owner  string    `db:"owner"`
	SeenAt time.Time `db:"seen_at"`
}

// Signs lists the ranges that are not done.
func Signs(ctx context.Context, q sqlx.QueryerContext, migration, kind string) ([]Sign, error) {
	var out []Sign
	err := sqlx.SelectContext(ctx, q, &out, `SELECT token, owner, seen_at FROM tandem.range WHERE migration = $1 AND kind = $2 AND NOT done`, migration, kind)
	if err != nil {
		return nil, fmt.Errorf("ranges of %s of %s: %w", kind, migration, pg.Cause(ctx, err))
	}
	return out, nil
}

// Share is how much of a range has been gone over.
type Share struct {
	ID     int     `db:"id"`
	Weight float64 `db:"weight"`
	Share  float64 `db:"share"`
	Owned  bool    `db:"owned"` // somebody works on it
}

// Shares lists those of all ranges of a pass.
func Shares(ctx context.Context, q sqlx.QueryerContext, migration, kind string) ([]Share, error) {
	var out []Share
	if err := sqlx.SelectContext(ctx, q, &out, `SELECT id, weight, share, owner <> '' AS owned FROM tandem.range WHERE migration = $1 AND kind = $2`, migration, kind); err != nil {
		return nil, fmt.Errorf("ranges of %s of %s: %w", kind, migration, pg.Cause(ctx, err))
	}
	return out, nil
}

// Updates are counts of a relation in this session, since it reported them last.
type Updates struct {
	Updated int64 `db:"updated"`
	Hot     int64 `db:"hot"` // of them on their page, without new index entries
}

// Lies tells whether the range's relation is a partition of the table, which goes by its quoted name, and whether that is there.
func (r Range) Lies(ctx context.Context, q sqlx.QueryerContext, table string) (partition, there bool, err error) {
	const text = `SELECT to_regclass($2) IS NOT NULL, to_regclass($1) IS NOT NULL AND EXISTS (SELECT FROM pg_partition_ancestors(to_regclass($1)) WHERE relid = to_regclass($2))`
	if err := q.QueryRowxContext(ctx, text, r.Relation, table).Scan(&there, &partition); err != nil {
		return false, false, fmt.Errorf("partition %s of %s: %w", r.Relation, table, pg.Cause(ctx, err))
	}
	return partition, there, nil
}

// NameOf is what a table is called now, quoted; named itself where that is there, whichever table it is, and "" where neither is.
func NameOf(ctx context.Context, q sqlx.QueryerContext, oid int64, named string) (is string, err error) {
	err = sqlx.GetContext(ctx, q, &is, `SELECT CASE WHEN to_regclass($2) IS NOT NULL THEN $2
		ELSE coalesce((SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1::bigint), '') END`, oid, named)
	return is, pg.Cause(ctx, err)
}

const updatesSQL = `coalesce(pg_stat_get_xact_tuples_updated(to_regclass(relation)), 0) AS updated, coalesce(pg_stat_get_xact_tuples_hot_updated(to_regclass(relation)), 0) AS hot`

// Updates reads the counts as a transaction begins: what Save answers less these is its own.
func (r Range) Updates(ctx context.Context, q sqlx.QueryerContext) (u Updates, err error) {
	if err := sqlx.GetContext(ctx, q, &u, `SELECT `+updatesSQL+` FROM (SELECT $1 AS relation) r`, r.Relation); err != nil {
		return u, fmt.Errorf("updates of %s: %w", r.Relation, pg.Cause(ctx, err))
	}
	return u, nil
}

// Answer is what the database says when a worker saves its position.
type Answer struct {
	Control Control `db:"control"`
	Updates
}

const saveSQL = `
	UPDATE tandem.range r SET position = $5, share = $6, rows = $7, differences = $8, done = $9, held = '', owner = CASE WHEN $9 THEN '' ELSE owner END, seen_at = clock_timestamp(),
		written_at = CASE WHEN r.kind = 'verify' OR rows = $7 THEN written_at ELSE clock_timestamp() END
	WHERE migration = $1 AND kind = $2 AND id = $3 AND token = $4
	RETURNING coalesce((SELECT control FROM tandem.control c WHERE c.migration = r.migration), '{}') AS control,
	          ` + updatesSQL

// Save writes how far the range is, in the transaction that writes the rows. r is what shall be stored; keep it once that is committed.
func (r Range) Save(ctx context.Context, q sqlx.QueryerContext) (Answer, error) {
	var a Answer
	err := sqlx.GetContext(ctx, q, &a, saveSQL, r.Migration, r.Kind, r.ID, r.Token, r.Position, r.Share, r.Rows, r.Differences, r.Done)
	return a, r.lost(ctx, err)
}

// Touch is a sign of life of a worker that rests, and says why.
func (r Range) Touch(ctx context.Context, q sqlx.QueryerContext, held string) (Answer, error) {
	var a Answer
	err := sqlx.GetContext(ctx, q, &a, `UPDATE tandem.range r SET seen_at = clock_timestamp(), held = $5 WHERE migration = $1 AND kind = $2 AND id = $3 AND token = $4
		RETURNING coalesce((SELECT control FROM tandem.control c WHERE c.migration = r.migration), '{}') AS control, 0 AS updated, 0 AS hot`,
		r.Migration, r.Kind, r.ID, r.Token, held)
	return a, r.lost(ctx, err)
}

func (r Range) lost(ctx context.Context, err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("range %d of %s of %s: %w", r.ID, r.Kind, r.Migration, ErrTaken)
	}
	if err != nil {
		return fmt.Errorf("position of range %d of %s of %s: %w", r.ID, r.Kind, r.Migration, pg.Cause(ctx, err))
	}
	return nil
}

// Release lets the next worker begin at once. It is sent even when ctx has ended, and is no error for who has lost the range.
func (r Range) Release(ctx context.Context, db sqlx.ExecerContext) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
	defer cancel()
	return pg.Retry(ctx, releaseRetry, pg.Transient, func(ctx context.Context) error {
		_, err := db.ExecContext(ctx, `UPDATE tandem.range SET owner = '' WHERE migration = $1 AND kind = $2 AND id = $3 AND token = $4`, r.Migration, r.Kind, r.ID, r.Token)
		return err
	})
}

// A release that fails would make the next worker wait for the lease.
const releaseTime = 5 * time.Second

var releaseRetry = pg.Backoff{Base: 50 * time.Millisecond, Max: time.Second, Attempts: 10}
