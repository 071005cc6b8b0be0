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
		// the spelled type is looked up before the guard's search_path hides the application's schemas
		if _, err := tx.ExecContext(ctx, `CREATE TEMPORARY TABLE tandem_parse (`+columnsSQL(t, d)+`) ON COMMIT DROP`); err != nil {
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

// constrainedSQL finds the domain, or one that it is made of, that has a constraint.
const constrainedSQL = `
	WITH RECURSIVE chain AS (
		SELECT t.* FROM pg_type t JOIN pg_attribute a ON a.atttypid = t.oid WHERE a.attrelid = $1 AND a.attnum = $2
		UNION ALL SELECT t.* FROM chain c JOIN pg_type t ON t.oid = c.typbasetype)
	SELECT format_type(oid, NULL) FROM chain c WHERE typtype = 'd' AND (typnotnull OR EXISTS (SELECT FROM pg_constraint WHERE contypid = c.oid)) LIMIT 1`

// lengthSQL finds the domain with a length, varchar(8) or bit(4), in Spec.Type: PostgreSQL's cast to it cuts what is longer and says nothing, and a domain's
// length cannot be left to the assignment.
const lengthSQL = `
	WITH RECURSIVE chain AS (
		SELECT t.* FROM pg_type t JOIN pg_attribute a ON a.atttypid = t.oid WHERE a.attrelid = $1 AND a.attnum = $2
		UNION ALL SELECT t.* FROM chain c JOIN pg_type t ON t.oid IN (c.typbasetype, CASE WHEN c.typcategory = 'A' THEN c.typelem END))
	SELECT format_type(oid, NULL) FROM chain WHERE typtype = 'd' AND typtypmod >= 0
	  AND typbasetype IN ('varchar'::regtype, 'bpchar'::regtype, 'bit'::regtype, 'varbit'::regtype) LIMIT 1`

// refuseDomain refuses to add a column of a domain with constraints: PostgreSQL would check them by writing the whole table anew, under ACCESS EXCLUSIVE. And
// one of a domain that cuts values.
func refuseDomain(ctx context.Context, db *sqlx.DB, t *catalog.Table, d pair.Definition) error {
	for i, name := range d.New {
		if t.Column(name) != nil {
			continue
		}
		old := t.Column(d.Old[min(i, len(d.Old)-1)])
		err := pg.InTx(ctx, db, pg.Settings{}, func(ctx context.Context, tx *sqlx.Tx) error {
			relation, number := t.OID, old.Number // whose type new gets; a rename needs no right to make tables
			if d.Types != nil {
				number = 1
				if _, err := tx.ExecContext(ctx, `CREATE TEMPORARY TABLE tandem_parse (c `+d.Types[i]+`) ON COMMIT DROP`); err != nil {
					return err
				}
				if err := tx.GetContext(ctx, &relation, `SELECT 'pg_temp.tandem_parse'::regclass::oid::bigint`); err != nil {
					return err
				}
			}
			var domain []string
			if err := tx.SelectContext(ctx, &domain, constrainedSQL, relation, number); err != nil {
				return err
			}
			var cut []string
			if err := tx.SelectContext(ctx, &cut, lengthSQL, relation, number); err != nil {
				return err
			}
			if d.Types != nil && len(cut) > 0 {
				return fmt.Errorf("table %s, column %s: %w: domain %s has a length, and PostgreSQL's cast to it cuts what is longer: make it a domain over text with a CHECK",
					t, ident.Quote(name), ErrRefused, cut[0])
			}
			var filled bool
			if err := tx.GetContext(ctx, &filled, `SELECT EXISTS (SELECT FROM `+d.Table.SQL()+`)`); err != nil {
				return err
			}
			if filled && len(domain) > 0 {
				return fmt.Errorf("table %s, column %s: %w: domain %s has constraints, and to add a column of it PostgreSQL writes the whole table anew under ACCESS EXCLUSIVE: "+
					"add them to the domain after Apply (NOT VALID, then VALIDATE), or add the column yourself", t, ident.Quote(name), ErrRefused, domain[0])
			}
			return errParsed
		})
		if !errors.Is(err, errParsed) {
			return err
		}
	}
	return nil
}
