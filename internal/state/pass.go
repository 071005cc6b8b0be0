package state

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/pg"
)

// Errors of a claim.
var (
	ErrRunning = errors.New("another runner is at work")
	ErrTaken   = errors.New("another runner has taken over")
)

// Position is how far a pass is. Keys are as text.
type Position struct {
	End     []string `json:"end,omitempty"`     // the last key, fixed at the start
	Low     []string `json:"low,omitempty"`     // all keys up to and with it are done
	High    []string `json:"high,omitempty"`    // the last key of the window under way
	Stripe  int      `json:"stripe,omitempty"`  // the next stripe of it
	Stripes int      `json:"stripes,omitempty"` // of how many
	Passed  int64    `json:"passed,omitempty"`  // rows up to Low

	Copied *time.Time `json:"copied,omitempty"` // of verify: when rows had been copied last as it began
}

// Claim is the right to run one pass. Every write of its position checks the token, so a runner that was taken for dead and taken over
// cannot write once more: its transaction fails with ErrTaken and rolls back.
type Claim struct {
	Migration, Kind string
	Token           int64
	Position        Position
	Rows            int64 // written, or compared, so far
	Total           int64
	Resumed         bool
}

const claimSQL = `
	INSERT INTO tandem.backfill AS b (migration, kind, owner) VALUES ($1, $2, $3)
	ON CONFLICT (migration, kind) DO UPDATE SET token = b.token + 1, owner = EXCLUDED.owner, updated_at = clock_timestamp()
	WHERE b.owner = '' OR b.updated_at < clock_timestamp() - $4 * interval '1 second' OR b.updated_at = $5
	RETURNING token, position, rows, total`

// Take claims a pass. A runner that has died is taken over after lease without a sign of life, by the database's clock, or by ours: where the database's was set back,
// the last sign of life lies in the future. While one lives the error is ErrRunning.
func Take(ctx context.Context, db *sqlx.DB, migration, kind string, lease time.Duration) (*Claim, error) {
	c := &Claim{Migration: migration, Kind: kind}
	owner := fmt.Sprintf("%s pid %d", Actor(), os.Getpid())
	var last *time.Time   // the other's sign of life
	var silent *time.Time // the same, once it has not changed for lease
	for began := time.Now(); ; {
		var position []byte
		err := db.QueryRowxContext(ctx, claimSQL, migration, kind, owner, lease.Seconds(), silent).Scan(&c.Token, &position, &c.Rows, &c.Total)
		if err == nil {
			c.Resumed = c.Token > 1
			return c, json.Unmarshal(position, &c.Position)
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return nil, fmt.Errorf("claim %s of %s: %w", kind, migration, missing(pg.Cause(ctx, err)))
		}
		var other struct {
			Owner     string
			UpdatedAt time.Time `db:"updated_at"`
		}
		err = db.GetContext(ctx, &other, `SELECT owner, updated_at FROM tandem.backfill WHERE migration = $1 AND kind = $2`, migration, kind)
		if err != nil {
			return nil, fmt.Errorf("claim %s of %s: %w", kind, migration, pg.Cause(ctx, err))
		}
		if last != nil && !other.UpdatedAt.Equal(*last) { // earlier, if the clock was set back
			return nil, fmt.Errorf("%s of %s: %w: %s", kind, migration, ErrRunning, other.Owner)
		}
		last = &other.UpdatedAt
		if time.Since(began) > lease {
			silent = last
		}
		if err := pg.Sleep(ctx, lease/20); err != nil {
			return nil, err
		}
	}
}

// Restart begins the pass anew.
func (c *Claim) Restart(ctx context.Context, db sqlx.ExtContext, end []string, total int64) error {
	c.Position, c.Rows, c.Total = Position{End: end}, 0, total
	return c.write(ctx, db, `position = $4, rows = 0, total = $5, differences = 0, started_at = clock_timestamp(), finished_at = NULL`,
		c.Position, total)
}

// Save writes the position, in the transaction that writes the rows. The claim itself is moved by Moved, once that is committed.
func (c *Claim) Save(ctx context.Context, tx sqlx.ExtContext, p Position, rows int64) error {
	return c.write(ctx, tx, `position = $4, written_at = CASE WHEN rows = $5 THEN written_at ELSE clock_timestamp() END, rows = $5`, p, rows)
}

// Moved says that what Save wrote is committed.
func (c *Claim) Moved(p Position, rows int64) { c.Position, c.Rows = p, rows }

// Finish says that the pass is complete.
func (c *Claim) Finish(ctx context.Context, db sqlx.ExtContext, differences int64) error {
	return c.write(ctx, db, `position = $4, differences = $5, finished_at = clock_timestamp()`, Position{Copied: c.Position.Copied}, differences)
}

// Release lets the next runner begin at once. It is sent even when ctx has ended.
func (c *Claim) Release(ctx context.Context, db sqlx.ExtContext) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
	defer cancel()
	return pg.Retry(ctx, releaseRetry, pg.Transient, func(ctx context.Context) error { return c.write(ctx, db, `owner = ''`) })
}

// A release that fails would make the next runner wait for the lease.
const releaseTime = 5 * time.Second

var releaseRetry = pg.Backoff{Base: 50 * time.Millisecond, Max: time.Second, Attempts: 10}

// Value stores a position as JSON.
func (p Position) Value() (driver.Value, error) {
	text, err := json.Marshal(p)
	return string(text), err
}

func (c *Claim) write(ctx context.Context, db sqlx.ExtContext, set string, more ...any) error {
	res, err := db.ExecContext(ctx, `UPDATE tandem.backfill SET updated_at = clock_timestamp(), `+set+`
		WHERE migration = $1 AND kind = $2 AND token = $3`, append([]any{c.Migration, c.Kind, c.Token}, more...)...)
	if err != nil {
		return fmt.Errorf("position of %s of %s: %w", c.Kind, c.Migration, pg.Cause(ctx, err))
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, fmt.Errorf("%s of %s: %w", c.Kind, c.Migration, ErrTaken))
	}
	return nil
}
