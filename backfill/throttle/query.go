package throttle

import (
	"context"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/pg"
)

// rows reads rows in a transaction that the server ends by itself after Patience, also when the network has lost our cancel.
func rows(ctx context.Context, db *sqlx.DB, dest any, text string) error {
	return inTx(ctx, db, func(ctx context.Context, tx *sqlx.Tx) error { return tx.SelectContext(ctx, dest, text) })
}

// row is rows of one.
func row(ctx context.Context, db *sqlx.DB, dest any, text string, args ...any) error {
	return inTx(ctx, db, func(ctx context.Context, tx *sqlx.Tx) error { return tx.GetContext(ctx, dest, text, args...) })
}

func inTx(ctx context.Context, db *sqlx.DB, fn func(ctx context.Context, tx *sqlx.Tx) error) error {
	return pg.InTx(ctx, db, pg.Settings{StatementTimeout: Patience, LockTimeout: Patience, ReadOnly: true}, fn)
}
