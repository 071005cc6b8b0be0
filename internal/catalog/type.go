package catalog

import (
	"context"
	"errors"
	"fmt"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/pg"
)

// errRollback ends a transaction that was only to find something out.
var errRollback = errors.New("rolled back on purpose")

// SpellType returns a type as PostgreSQL spells it in the catalog: `int8` is bigint, `varchar(9)` character varying(9). A type with a
// collation keeps it.
func SpellType(ctx context.Context, db *sqlx.DB, typeSQL string) (string, error) {
	var c Column
	err := pg.InTx(ctx, db, pg.Settings{}, func(ctx context.Context, tx *sqlx.Tx) error {
		if _, err := tx.ExecContext(ctx, `CREATE TEMPORARY TABLE tandem_type (c `+typeSQL+`) ON COMMIT DROP`); err != nil {
			return err
		}
		var oid int64
		if err := tx.GetContext(ctx, &oid, `SELECT 'pg_temp.tandem_type'::regclass::oid::bigint`); err != nil {
			return err
		}
		if err := tx.GetContext(ctx, &c, columnsSQL, oid); err != nil {
			return err
		}
		return errRollback
	})
	if !errors.Is(err, errRollback) {
		return "", fmt.Errorf("type %s: %w", typeSQL, err)
	}
	return c.TypeSQL(), nil
}
