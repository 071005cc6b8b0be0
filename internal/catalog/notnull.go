package catalog

import (
	"context"
	"fmt"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pg"
)

// NotNull is the NOT NULL constraint of a column, which has a name from PostgreSQL 18 on; empty before.
type NotNull struct {
	Name    string `db:"name"`
	Kind    string `db:"kind"` // what is said behind it: NO INHERIT, NOT VALID
	Comment string `db:"comment"`
}

// ReadNotNull reads it.
func ReadNotNull(ctx context.Context, q sqlx.QueryerContext, t *Table, column string) (NotNull, error) {
	var list []NotNull
	err := sqlx.SelectContext(ctx, q, &list, `
		SELECT conname AS name, concat_ws(' ', CASE WHEN connoinherit THEN 'NO INHERIT' END, CASE WHEN NOT convalidated THEN 'NOT VALID' END) AS kind,
		       coalesce(obj_description(oid, 'pg_constraint'), '') AS comment
		FROM pg_constraint WHERE conrelid = $1 AND contype = 'n' AND conkey = $2::int2[]`, t.OID, pq.Array(t.numbers([]string{column})))
	if err != nil || len(list) == 0 {
		return NotNull{}, wrapped(ctx, err, "NOT NULL of %s.%s", t, ident.Quote(column))
	}
	return list[0], nil
}

// ownedSQL finds the sequences of a column that are dropped with it. An identity's is none: no migration works on one.
const ownedSQL = `
	SELECT format('ALTER SEQUENCE %I.%I OWNED BY %s.%s', n.nspname, c.relname, $3::text, $4::text)
	FROM pg_depend d JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'S' JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND d.refobjsubid = $2 AND d.deptype = 'a' ORDER BY 1`

// Owned returns the statements that let a new column own the sequences of an old one.
func Owned(ctx context.Context, q sqlx.QueryerContext, t *Table, from, to string) ([]string, error) {
	var out []string
	for _, number := range t.numbers([]string{from}) {
		if err := sqlx.SelectContext(ctx, q, &out, ownedSQL, t.OID, number, t.SQL(), ident.Quote(to)); err != nil {
			return nil, wrapped(ctx, err, "sequences of %s.%s", t, ident.Quote(from))
		}
	}
	return out, nil
}

func wrapped(ctx context.Context, err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf(format+": %w", append(args, pg.Cause(ctx, err))...)
}
