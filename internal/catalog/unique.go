package catalog

import (
	"context"
	"fmt"
	"strings"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pair"
	"github.com/tandem-go/tandem/internal/pg"
)

// Taken is an object of old that has to go before old is dropped: the SQL that drops it and the SQL that brings it back.
type Taken struct {
	Kind    string // as in Twin
	Name    string
	Drop    string
	Rebuild []string // before Restore, outside a transaction; may be run again
	Restore []string // in a transaction
}

const takenSQL = `
	SELECT x.relname AS name, coalesce(pg_get_constraintdef(k.oid), '') AS constraint_body, ` + indexBody + ` AS body, ` + indexPredicate + ` AS predicate, ` + indexSpace + ` AS space, k.conname AS constraint_name,
	       CASE WHEN k.condeferred THEN ' DEFERRABLE INITIALLY DEFERRED' WHEN k.condeferrable THEN ' DEFERRABLE' ELSE '' END AS deferrable,
	       ` + indexExtras + ` AS extras
	FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
	LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.contype = 'u'
	WHERE i.indrelid = $1 AND i.indisunique AND NOT i.indisprimary
	  AND (i.indkey::int2[] && $2::int2[] OR EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid
	       AND d.refobjid = i.indrelid AND d.refobjsubid = ANY ($2::int4[])))
	ORDER BY x.relname`

// Uniques lists the unique indexes of old.
func Uniques(ctx context.Context, q sqlx.QueryerContext, t *Table, d pair.Definition) ([]Taken, error) {
	var rows []struct {
		Name string `db:"name"`
		body
		Space      string         `db:"space"`
		Constraint *string        `db:"constraint_name"`
		Whole      string         `db:"constraint_body"`
		Deferrable string         `db:"deferrable"`
		Extras     pq.StringArray `db:"extras"`
	}
	if err := sqlx.SelectContext(ctx, q, &rows, takenSQL, t.OID, pq.Array(t.numbers(d.Old))); err != nil {
		return nil, fmt.Errorf("unique indexes of %s: %w", t, pg.Cause(ctx, err))
	}
	var out []Taken
	for _, r := range rows {
		index := ident.Quote(t.Schema) + "." + ident.Quote(r.Name)
		u := Taken{Kind: "index", Name: r.Name, Drop: "DROP INDEX " + index, Rebuild: []string{
			"DROP INDEX CONCURRENTLY IF EXISTS " + index,
			"CREATE UNIQUE INDEX CONCURRENTLY " + ident.Quote(r.Name) + " ON " + t.SQL() + " " + r.placed(r.Space)}}
		if r.Constraint != nil {
			u.Kind = "unique constraint"
			u.Drop = "ALTER TABLE " + t.SQL() + " DROP CONSTRAINT " + ident.Quote(*r.Constraint)
			u.Restore = append(u.Restore, "ALTER TABLE "+t.SQL()+" ADD CONSTRAINT "+ident.Quote(*r.Constraint)+" UNIQUE USING INDEX "+ident.Quote(r.Name)+r.Deferrable)
		}
		if t.Partitioned { // neither CONCURRENTLY nor USING INDEX works there: it is built while writers wait
			u.Rebuild, u.Restore = nil, []string{"CREATE UNIQUE INDEX " + ident.Quote(r.Name) + " ON " + t.SQL() + " " + r.placed(r.Space)}
			if r.Constraint != nil {
				u.Restore[0] = "ALTER TABLE " + t.SQL() + " ADD CONSTRAINT " + ident.Quote(*r.Constraint) + " " + r.Whole
			}
		}
		u.Restore = append(u.Restore, r.Extras...)
		out = append(out, u)
	}
	return out, nil
}

// Rules lists the checks and foreign keys of old.
func Rules(ctx context.Context, q sqlx.QueryerContext, t *Table, d pair.Definition) ([]Taken, error) {
	var rows []constraint
	if err := sqlx.SelectContext(ctx, q, &rows, constraintsSQL, t.OID, pq.Array(t.numbers(d.Old))); err != nil {
		return nil, fmt.Errorf("constraints of %s: %w", t, pg.Cause(ctx, err))
	}
	var old bool // before version 18 PostgreSQL adds no foreign key NOT VALID to a partitioned table
	if err := sqlx.GetContext(ctx, q, &old, `SELECT current_setting('server_version_num')::int < 180000`); err != nil {
		return nil, fmt.Errorf("constraints of %s: %w", t, pg.Cause(ctx, err))
	}
	var out []Taken
	for _, k := range rows {
		if !k.Mentions {
			continue
		}
		alter, name := "ALTER TABLE "+t.SQL(), ident.Quote(k.Name)
		r := Taken{Kind: k.kind(), Name: k.Name, Drop: alter + " DROP CONSTRAINT " + name,
			Restore: []string{alter + " ADD CONSTRAINT " + name + " " + strings.TrimSuffix(k.Body, " NOT VALID") + " NOT VALID"}}
		switch {
		case old && t.Partitioned && k.Kind == "f":
			r.Restore = []string{alter + " ADD CONSTRAINT " + name + " " + k.Body}
		case k.Valid:
			r.Restore = append(r.Restore, alter+" VALIDATE CONSTRAINT "+name)
		}
		r.Restore = append(r.Restore, k.commentSQL(t.Table)...)
		out = append(out, r)
	}
	return out, nil
}
