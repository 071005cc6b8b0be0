package catalog

import (
	"context"
	"fmt"
	"strings"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pair"
)

// respell asks PostgreSQL how the definitions of the table's indexes, checks and statistics objects read when old is called new. It makes an empty copy of
// the table in schema tandem, renames the column there, reads, and rolls back to where it began. No text is rewritten by us, so partial and expression
// indexes, opclasses, INCLUDE, orders and quoting are PostgreSQL's own. The table itself is locked ACCESS SHARE for that moment.
func respell(ctx context.Context, tx *sqlx.Tx, d pair.Definition) (Spelling, error) {
	copied := ident.Table{Schema: "tandem", Name: ident.Derive("copy of ", d.Table.Schema+"."+d.Table.Name, "")}
	s := Spelling{}
	if err := execAll(ctx, tx, `SAVEPOINT tandem_copy`, `CREATE TABLE `+copied.SQL()+` (LIKE `+d.Table.SQL()+` INCLUDING ALL)`); err != nil {
		return s, err
	}
	before, err := bodies(ctx, tx, copied)
	if err != nil {
		return s, err
	}
	if err := execAll(ctx, tx, renameCopied(copied, d)...); err != nil {
		return s, err
	}
	after, err := bodies(ctx, tx, copied)
	if err != nil {
		return s, err
	}
	if d.Types != nil {
		if err := retype(ctx, tx, copied, d, after); err != nil {
			return s, err
		}
	}
	for oid, b := range before {
		if a, ok := after[oid]; ok {
			s[b.key()] = a
		}
	}
	return s, execAll(ctx, tx, `ROLLBACK TO SAVEPOINT tandem_copy`, `RELEASE SAVEPOINT tandem_copy`)
}

func renameCopied(copied ident.Table, d pair.Definition) (out []string) {
	for i := range d.Old {
		out = append(out, `ALTER TABLE `+copied.SQL()+` DROP COLUMN IF EXISTS `+ident.Quote(d.New[i])+` CASCADE`,
			`ALTER TABLE `+copied.SQL()+` RENAME COLUMN `+ident.Quote(d.Old[i])+` TO `+ident.Quote(d.New[i]))
	}
	return out
}

// retype lets PostgreSQL read what it has spelled once more, on a bare copy where new has its type: lower(a) of text is lower((a)::text) of varchar. What makes no sense there
// keeps its spelling, and fails when it is to be made.
func retype(ctx context.Context, tx *sqlx.Tx, copied ident.Table, d pair.Definition, after map[int64]body) error {
	bare := ident.Table{Schema: copied.Schema, Name: ident.Derive("", copied.Name, "_bare")}
	statements := append([]string{`CREATE TABLE ` + bare.SQL() + ` (LIKE ` + d.Table.SQL() + `)`}, renameCopied(bare, d)...)
	for i, name := range d.New {
		statements = append(statements, fmt.Sprintf(`ALTER TABLE %s ALTER COLUMN %s TYPE %s USING NULL`, bare.SQL(), ident.Quote(name), d.Types[i]))
	}
	if err := execAll(ctx, tx, statements...); err != nil {
		return err
	}
	for oid, b := range after {
		create := map[string]string{"index": `CREATE INDEX ON ` + bare.SQL() + ` ` + b.Body,
			"statistics": `CREATE STATISTICS ` + ident.Quote(bare.Schema) + `."tandem retyped" ` + b.Body + ` FROM ` + bare.SQL()}[b.Kind]
		if create == "" {
			continue
		}
		if err := execAll(ctx, tx, `SAVEPOINT tandem_retyped`); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, create); err == nil {
			made, err := bodies(ctx, tx, bare)
			if err != nil {
				return err
			}
			for _, m := range made {
				if m.Kind == b.Kind {
					m.OID = oid
					after[oid] = m
				}
			}
		}
		if err := execAll(ctx, tx, `ROLLBACK TO SAVEPOINT tandem_retyped`); err != nil {
			return err
		}
	}
	return nil
}

func execAll(ctx context.Context, tx *sqlx.Tx, statements ...string) error {
	for _, sql := range statements {
		if _, err := tx.ExecContext(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// Spelling maps the kind and the body of a definition with old to the same with new.
type Spelling map[[2]string]body

func (s Spelling) of(kind, text string) body { return s[[2]string{kind, text}] }

type body struct {
	OID       int64  `db:"oid"`
	Kind      string `db:"kind"` // index, check, statistics
	Body      string `db:"body"`
	Predicate string `db:"predicate"` // of an index
}

func (b body) key() [2]string { return [2]string{b.Kind, b.Body} }

// placed is the body of an index with its tablespace, which pg_get_indexdef leaves out: it stands before the predicate.
func (b body) placed(space string) string {
	if space == "" {
		return b.Body
	}
	where := ""
	if b.Predicate != "" {
		where = " WHERE " + b.Predicate
	}
	return strings.TrimSuffix(b.Body, where) + " TABLESPACE " + ident.Quote(space) + where
}

// The body of an index is what follows the table's name: USING btree (a) WHERE ...
const bodiesSQL = `
	SELECT i.indexrelid::bigint AS oid, 'index' AS kind, ` + indexBody + ` AS body, ` + indexPredicate + ` AS predicate
	FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid
	JOIN pg_namespace n ON n.oid = c.relnamespace WHERE i.indrelid = to_regclass($1)
	UNION ALL
	SELECT oid::bigint, 'check', pg_get_constraintdef(oid), '' FROM pg_constraint WHERE conrelid = to_regclass($1) AND contype = 'c'
	UNION ALL
	SELECT s.oid::bigint, 'statistics', ` + statisticsBody + `, '' FROM pg_statistic_ext s WHERE s.stxrelid = to_regclass($1)`

// indexBody cuts the exact beginning off pg_get_indexdef: CREATE [UNIQUE] INDEX name ON [ONLY] schema.table
const indexBody = `substr(pg_get_indexdef(i.indexrelid), 1 + length(
	format('CREATE %sINDEX %I ON %s%I.%I ', CASE WHEN i.indisunique THEN 'UNIQUE ' END, x.relname,
	       CASE WHEN x.relkind = 'I' THEN 'ONLY ' END, n.nspname, c.relname)))`

// indexPredicate is as pg_get_indexdef has it.
const indexPredicate = `coalesce(pg_get_expr(i.indpred, i.indrelid, false), '')`

// statisticsBody is (kinds) ON columns and expressions, of which the columns are sorted by name: PostgreSQL sorts them by their position.
const statisticsBody = `coalesce(substring(substr(pg_get_statisticsobjdef(s.oid), length(format('CREATE STATISTICS %I.%I ', (SELECT nspname FROM pg_namespace WHERE oid = s.stxnamespace), s.stxname)))
	FROM '^ (\([a-z, ]+\)) ON ') || ' ', '') || 'ON ' || (
	SELECT string_agg(part, ', ' ORDER BY place, part) FROM (
	  SELECT 1 AS place, quote_ident(a.attname) AS part FROM pg_attribute a WHERE a.attrelid = s.stxrelid AND a.attnum = ANY (s.stxkeys::int2[])
	  UNION ALL SELECT 2, '(' || e || ')' FROM unnest(pg_get_statisticsobjdef_expressions(s.oid)) e) parts)`

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
