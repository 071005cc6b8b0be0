package catalog

import (
	"context"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pair"
)

// respell asks PostgreSQL how the definitions of the table's indexes and checks read when old is called new. It makes an empty copy of
// the table in schema tandem, renames the column there, reads, and rolls back to where it began. No text is rewritten by us, so partial and expression
// indexes, opclasses, INCLUDE, orders and quoting are PostgreSQL's own. The table itself is locked ACCESS SHARE for that moment.
func respell(ctx context.Context, tx *sqlx.Tx, d pair.Definition) (Spelling, error) {
	copied := ident.Table{Schema: "tandem", Name: ident.Derive("copy of ", d.Table.Schema+"."+d.Table.Name, "")}
	s := Spelling{index: map[string]string{}, check: map[string]string{}}
	if err := execAll(ctx, tx, `SAVEPOINT tandem_copy`, `CREATE TABLE `+copied.SQL()+` (LIKE `+d.Table.SQL()+` INCLUDING ALL)`); err != nil {
		return s, err
	}
	before, err := bodies(ctx, tx, copied)
	if err != nil {
		return s, err
	}
	for i := range d.Old {
		err := execAll(ctx, tx, `ALTER TABLE `+copied.SQL()+` DROP COLUMN IF EXISTS `+ident.Quote(d.New[i])+` CASCADE`,
			`ALTER TABLE `+copied.SQL()+` RENAME COLUMN `+ident.Quote(d.Old[i])+` TO `+ident.Quote(d.New[i]))
		if err != nil {
			return s, err
		}
	}
	after, err := bodies(ctx, tx, copied)
	if err != nil {
		return s, err
	}
	for oid, b := range before {
		if a, ok := after[oid]; ok && b.Index {
			s.index[b.Body] = a.Body
		} else if ok {
			s.check[b.Body] = a.Body
		}
	}
	return s, execAll(ctx, tx, `ROLLBACK TO SAVEPOINT tandem_copy`, `RELEASE SAVEPOINT tandem_copy`)
}

func execAll(ctx context.Context, tx *sqlx.Tx, statements ...string) error {
	for _, sql := range statements {
		if _, err := tx.ExecContext(ctx, sql); err != nil {
			return err
		}
	}
	return nil
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
