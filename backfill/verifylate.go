package backfill

import (
	"context"
	"fmt"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/state"
)

// A verification by blocks does not see a row that an UPDATE takes from a block before it was compared to one that was, or behind the last. So a second round goes over
// the blocks once more and compares what has been written since the first began. Only a row that moves so in both rounds is missed.

// oldest is the oldest transaction under way: what it and later ones write is not compared for certain.
func (v *verifier) oldest(ctx context.Context) (since int64, err error) {
	err = v.retry(ctx, func(ctx context.Context) error {
		return v.db.GetContext(ctx, &since, `SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint`)
	})
	if err != nil {
		return 0, fmt.Errorf("oldest transaction: %w", pg.Cause(ctx, err))
	}
	return since, nil
}

// lateSQL says that a row was written by that transaction or a later one. Of rows older than two billion transactions it may say so too.
func lateSQL(since int64) string {
	return fmt.Sprintf("age(t.xmin) <= age('%d'::xid)", since&0xFFFFFFFF)
}

// again tells whether a round is the first of two.
func (v *verifier) again(p state.Pass) bool { return p.Round == 0 && p.Since != 0 }

func (v *verifier) beginLate(ctx context.Context, p state.Pass) error {
	ranges, _, err := v.split(ctx, 0)
	if err != nil {
		return err
	}
	return v.retryTx(ctx, func(ctx context.Context, tx *sqlx.Tx) error { return p.Begin(ctx, tx, 1, p.Total, p.Copied, ranges) })
}
