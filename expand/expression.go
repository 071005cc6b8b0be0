package expand

import (
	"context"
	"errors"
	"fmt"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pair"
	"github.com/tandem-go/tandem/internal/pg"
)

// guardPath is the search_path of the guard's functions.
const guardPath = `SELECT set_config('search_path', 'pg_catalog, pg_temp', true)`

// checkForward lets PostgreSQL parse the conversion, with the search_path that the guard has.
func checkForward(ctx context.Context, db *sqlx.DB, d pair.Definition) error {
	if !d.HasForward() || d.Identity() {
		return nil
	}
	return pg.InTx(ctx, db, pg.Settings{}, func(ctx context.Context, tx *sqlx.Tx) error {
		if _, err := tx.ExecContext(ctx, guardPath); err != nil {
			return err
		}
		for _, e := range d.ForwardSQL("t.") {
			if _, err := tx.ExecContext(ctx, `SELECT `+e+` FROM `+d.Table.SQL()+` AS t LIMIT 0`); err != nil {
				return fmt.Errorf("forward expression %s: %w", e, err)
			}
		}
		return nil
	})
}

// errParsed ends a transaction that was only to parse something.
var errParsed = errors.New("rolled back on purpose")

// checkBackward lets PostgreSQL parse the way back, and tell whether old can be assigned its result. New is not there yet, so it asks a temporary table.
func checkBackward(ctx context.Context, db *sqlx.DB, t *catalog.Table, d pair.Definition) error {
	if !d.HasBackward() || d.Identity() {
		return nil
	}
	err := pg.InTx(ctx, db, pg.Settings{}, func(ctx context.Context, tx *sqlx.Tx) error {
		columns := ""
		for _, name := range d.Old {
			columns += ident.Quote(name) + " " + t.Column(name).TypeSQL() + ", "
		}
		for i, name := range d.New {
			typeSQL := t.Column(d.Old[min(i, len(d.Old)-1)]).TypeSQL()
			if d.Types != nil {
				typeSQL = d.Types[i]
			}
			columns += ident.Quote(name) + " " + typeSQL + ", "
		}
		// the spelled type is looked up before the guard's search_path hides the application's schemas
		if _, err := tx.ExecContext(ctx, `CREATE TEMPORARY TABLE tandem_parse (`+columns[:len(columns)-2]+`) ON COMMIT DROP`); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, guardPath); err != nil {
			return err
		}
		for i, e := range d.BackwardSQL("t.") {
			if _, err := tx.ExecContext(ctx, `EXPLAIN UPDATE pg_temp.tandem_parse AS t SET `+ident.Quote(d.Old[i])+` = `+e); err != nil {
				return fmt.Errorf("backward expression %s: %w", e, err)
			}
		}
		return errParsed
	})
	if errors.Is(err, errParsed) {
		return nil
	}
	return err
}
