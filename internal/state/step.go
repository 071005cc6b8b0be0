package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/pg"
)

// Fallback is the kind of the event with which the database itself takes a migration from Switch back to Migrate, because reads differ too often.
const Fallback = "fallback"

// Step is the event that changed the phase of a migration last. The zero value: none has.
type Step struct {
	ID     int64  `db:"id"`
	Kind   string `db:"kind"`   // advance, revert, fallback, or apply of a migration whose row was lost
	Actor  string `db:"actor"`  // who took it
	Detail string `db:"detail"` // why, where nobody had asked for it
}

// LastStep reads it. Whoever moves a migration holds the lock of its row and logs in the same transaction, so that steps have rising ids, and behind that lock
// an unchanged id means that nobody has moved it.
func LastStep(ctx context.Context, q sqlx.QueryerContext, name string) (Step, error) {
	var s Step
	err := sqlx.GetContext(ctx, q, &s, `SELECT id, kind, actor, detail FROM tandem.event
		WHERE migration = $1 AND to_phase IS NOT NULL AND from_phase IS DISTINCT FROM to_phase
		ORDER BY id DESC LIMIT 1`, name)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return s, fmt.Errorf("last step of %s: %w", name, missing(pg.Cause(ctx, err)))
	}
	return s, nil
}
