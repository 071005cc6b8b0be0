package catalog

import (
	"context"
	"errors"
	"fmt"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pair"
	"github.com/tandem-go/tandem/internal/pg"
)

// errRollback ends the transaction of the empty copy.
var errRollback = errors.New("rolled back on purpose")

// respell asks PostgreSQL how the definitions of the table's indexes and checks read when old is called new. It makes an empty copy of
// the table in schema tandem, renames the column there, reads, and rolls back. No text is rewritten by us, so partial and expression
// indexes, opclasses, INCLUDE, orders and quoting are PostgreSQL's own. The table itself is locked ACCESS SHARE for that moment.
func respell(ctx context.Context, db *sqlx.DB, d pair.Definition, read func(ctx context.Context, tx *sqlx.Tx, s Spelling) error) error {
	copied := ident.Table{Schema: "tandem", Name: ident.Derive("copy of ", d.Table.Schema+"."+d.Table.Name, "")}
	err := pg.InTx(ctx, db, pg.Settings{LockTimeout: ddlLockTimeout}, func(ctx context.Context, tx *sqlx.Tx) error {
		if _, err := tx.ExecContext(ctx, `CREATE TABLE `+copied.SQL()+` (LIKE `+d.Table.SQL()+` INCLUDING ALL)`); err != nil {
			return err
		}
		s := Spelling{index: map[string]string{}, check: map[string]string{}}
		before, err := bodies(ctx, tx, copied)
		if err != nil {
			return err
		}
		for i := range d.Old {
			for _, sql := range []string{
				`ALTER TABLE ` + copied.SQL() + ` DROP COLUMN IF EXISTS ` + ident.Quote(d.New[i]) + ` CASCADE`,
				`ALTER TABLE ` + copied.SQL() + ` RENAME COLUMN ` + ident.Quote(d.Old[i]) + ` TO ` + ident.Quote(d.New[i]),
			} {
				if _, err := tx.ExecContext(ctx, sql); err != nil {
					return err
				}
			}
		}
		after, err := bodies(ctx, tx, copied)
		if err != nil {
			return err
		}
		for oid, b := range before {
			if a, ok := after[oid]; ok && b.Index {
				s.index[b.Body] = a.Body
			} else if ok {
				s.check[b.Body] = a.Body
			}
		}
		if err := read(ctx, tx, s); err != nil {
			return err
		}
		return errRollback
	})
	if errors.Is(err, errRollback) {
		return nil
	}
	return fmt.Errorf("definitions of %s: %w", d.Table, err)
}

// Spelling maps the body of a definition with old to the same with new.
type Spelling struct{ index, check map[string]string }

type body struct {
	OID   int64  `db:"oid"`
	Index bool   `db:"is_index"`
	Body  string `db:"body"`
}

// The body of an index is what follows the table's name: USING btree (a) WHERE ...
const bodiesSQL = `
	SELECT i.indexrelid::bigint AS oid, true AS is_index, ` + indexBody + ` AS body
	FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid
	JOIN pg_namespace n ON n.oid = c.relnamespace WHERE i.indrelid = to_regclass($1)
	UNION ALL
	SELECT oid::bigint, false, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = to_regclass($1) AND contype = 'c'`

// indexBody cuts the exact beginning off pg_get_indexdef: CREATE [UNIQUE] INDEX name ON [ONLY] schema.table
const indexBody = `substr(pg_get_indexdef(i.indexrelid), 1 + length(
	format('CREATE %sINDEX %I ON %s%I.%I ', CASE WHEN i.indisunique THEN 'UNIQUE ' END, x.relname,
	       CASE WHEN x.relkind = 'I' THEN 'ONLY ' END, n.nspname, c.relname)))`

func bodies(ctx context.Context, tx *sqlx.Tx, t ident.Table) (map[int64]body, error) {
	var rows []body
	if err := tx.SelectContext(ctx, &rows, bodiesSQL, t.SQL()); err != nil {
		return nil, err
	}
	out := make(map[int64]body, len(rows))
	for _, r := range rows {
		out[r.OID] = r
	}
	return out, nil
}
