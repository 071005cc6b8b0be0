package state

import (
	"context"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/pg"
)

// Counts are the numbers about one migration that its gates ask for.
type Counts struct {
	Dirty       int64    `db:"dirty"`
	BadRows     int64    `db:"bad_rows"`    // that nobody has accepted
	Accepted    int64    `db:"accepted"`    // bad rows that somebody lives with
	Mismatches  int64    `db:"mismatches"`  // since the present phase began
	Compared    int64    `db:"compared"`    // reads of the present epoch, in the last hour, that compared
	Different   int64    `db:"different"`   // of those, what differed
	StraySilent *float64 `db:"stray_since"` // seconds since the last stray; nil: never one
	LastStray   string   `db:"last_stray"`
}

const countsSQL = `
	SELECT (SELECT count(*) FROM tandem.dirty WHERE migration = m.name) AS dirty,
	       (SELECT count(*) FROM tandem.bad_row WHERE migration = m.name AND accepted IS NULL) AS bad_rows,
	       (SELECT count(*) FROM tandem.bad_row WHERE migration = m.name AND accepted IS NOT NULL) AS accepted,
	       (SELECT count(*) FROM tandem.mismatch WHERE migration = m.name AND source = 'read' AND at >= m.changed_at) AS mismatches,
	       (SELECT coalesce(sum(compared), 0) FROM tandem.comparison WHERE migration = m.name AND epoch = m.epoch) AS compared,
	       (SELECT coalesce(sum(different), 0) FROM tandem.comparison WHERE migration = m.name AND epoch = m.epoch) AS different,
	       (SELECT extract(epoch FROM clock_timestamp() - max(at))::float8 FROM tandem.stray WHERE migration = m.name) AS stray_since,
	       coalesce((SELECT format('%s by role %s from %s', coalesce(nullif(application, ''), 'a program without application_name'), role, address)
	                 FROM tandem.stray WHERE migration = m.name ORDER BY at DESC LIMIT 1), '') AS last_stray
	FROM tandem.migration m WHERE name = $1`

// Count reads the numbers of a migration.
func Count(ctx context.Context, q sqlx.QueryerContext, name string) (Counts, error) {
	var c Counts
	if err := sqlx.GetContext(ctx, q, &c, countsSQL, name); err != nil {
		return c, fmt.Errorf("counts of %s: %w", name, missing(pg.Cause(ctx, err)))
	}
	return c, nil
}

// Unconverted counts the rows that wait for a conversion or have none, but for those that were accepted; it is asked while writers stand still. What a stray has made of an
// accepted row is counted all the same: its key waits in tandem.dirty, or whoever took it from there found another value than the one accepted.
func Unconverted(ctx context.Context, q sqlx.QueryerContext, name string) (n int64, err error) {
	bad, err := Unaccepted(ctx, q, name)
	if err == nil {
		err = sqlx.GetContext(ctx, q, &n, `SELECT count(*) FROM tandem.dirty WHERE migration = $1`, name)
	}
	if err != nil {
		return 0, fmt.Errorf("unconverted rows of %s: %w", name, pg.Cause(ctx, err))
	}
	return n + bad, nil
}

// Unaccepted counts the bad rows that nobody has accepted.
func Unaccepted(ctx context.Context, q sqlx.QueryerContext, name string) (n int64, err error) {
	err = sqlx.GetContext(ctx, q, &n, `SELECT count(*) FROM tandem.bad_row WHERE migration = $1 AND accepted IS NULL`, name)
	if err != nil {
		return 0, fmt.Errorf("bad rows of %s: %w", name, missing(pg.Cause(ctx, err)))
	}
	return n, nil
}

// Stray groups the writes around the wrappers by who made them.
type Stray struct {
	Application string    `db:"application"`
	Role        string    `db:"role"`
	Address     string    `db:"address"`
	Operation   string    `db:"operation"`
	Count       int64     `db:"count"` // transactions
	Last        time.Time `db:"last"`
}

// Strays lists who wrote around the wrappers in the last hour.
func Strays(ctx context.Context, q sqlx.QueryerContext, name string) ([]Stray, error) {
	var out []Stray
	err := sqlx.SelectContext(ctx, q, &out, `SELECT application, role, address, operation, count(*) AS count, max(at) AS last
		FROM tandem.stray WHERE migration = $1 AND at > clock_timestamp() - interval '1 hour'
		GROUP BY application, role, address, operation ORDER BY last DESC`, name)
	if err != nil {
		return nil, fmt.Errorf("strays of %s: %w", name, missing(pg.Cause(ctx, err)))
	}
	return out, nil
}

// Unverify forgets the last verification.
func Unverify(ctx context.Context, tx *sqlx.Tx, name string) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM tandem.backfill WHERE migration = $1 AND kind = 'verify'`, name); err != nil {
		return fmt.Errorf("unverify %s: %w", name, pg.Cause(ctx, err))
	}
	return nil
}
