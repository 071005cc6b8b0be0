package state

import (
	"context"
	"fmt"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/pg"
)

// Canary is how reads of new begin in Switch, and when the fleet takes them back.
type Canary struct {
	Share     float64 `db:"share"`     // of the keys that are read from new
	Tolerance float64 `db:"tolerance"` // of the compared reads, what may differ
	Least     int64   `db:"least"`     // compared reads before that is judged
}

// SetCanary changes it, in a transaction that has locked the row. Another share is another epoch, which members have to acknowledge: a filter asks old while the share is
// partial, and nobody may still do so when old is not written any more.
func (m *Migration) SetCanary(ctx context.Context, tx *sqlx.Tx, c Canary) error {
	_, err := tx.ExecContext(ctx, `UPDATE tandem.migration SET share = $2, tolerance = $3, least = $4,
		epoch = CASE WHEN share = $2 THEN epoch ELSE epoch + 1 END,
		shared_at = CASE WHEN share = $2 THEN shared_at ELSE clock_timestamp() END WHERE name = $1`, m.Name, c.Share, c.Tolerance, c.Least)
	if err != nil {
		return fmt.Errorf("canary of %s: %w", m.Name, pg.Cause(ctx, err))
	}
	if m.Share != c.Share {
		m.Epoch++
	}
	m.Canary = c
	return nil
}

// Compared is what reads of one epoch have compared.
type Compared struct {
	Migration           string
	Epoch               int64
	Compared, Different int64
}

// Compare adds what a member, by its id, has compared. If that takes the migration back to Migrate it returns why.
func Compare(ctx context.Context, db sqlx.QueryerContext, member string, c Compared) (fellBack string, err error) {
	err = sqlx.GetContext(ctx, db, &fellBack, `SELECT coalesce(tandem.compare($1, $2, $3, $4, $5), '')`, c.Migration, c.Epoch, member, c.Compared, c.Different)
	if err != nil {
		return "", fmt.Errorf("compared reads of %s: %w", c.Migration, missing(pg.Cause(ctx, err)))
	}
	return fellBack, nil
}
