package catalog

import (
	"context"
	"fmt"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pg"
)

// attributesSQL finds what a column has besides its type: comment, storage, compression, statistics target, options, grants. For each that
// new has not yet like old it returns the statement that gives it to new; %1$s stands for the table, %2$s for the new column.
const attributesSQL = `
	WITH o AS (SELECT a.*, t.typstorage, ` + settableOptions + ` AS options, col_description(a.attrelid, a.attnum) AS comment FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
	           WHERE attrelid = $1 AND attname = $2),
	     n AS (SELECT a.*, ` + settableOptions + ` AS options, col_description(a.attrelid, a.attnum) AS comment FROM pg_attribute a WHERE attrelid = $1 AND attname = $3)
	SELECT format('COMMENT ON COLUMN %1$s.%2$s IS %3$L', $4::text, $5::text, o.comment) FROM o, n WHERE o.comment IS DISTINCT FROM n.comment
	UNION ALL
	SELECT format('ALTER TABLE %1$s ALTER COLUMN %2$s SET STORAGE %3$s', $4::text, $5::text,
	       CASE o.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END)
	FROM o, n WHERE o.atttypid = n.atttypid AND o.attstorage <> n.attstorage
	UNION ALL
	SELECT format('ALTER TABLE %1$s ALTER COLUMN %2$s SET COMPRESSION %3$s', $4::text, $5::text,
	       CASE o.attcompression WHEN 'p' THEN 'pglz' WHEN 'l' THEN 'lz4' ELSE 'DEFAULT' END)
	FROM o, n WHERE o.atttypid = n.atttypid AND o.attcompression <> n.attcompression
	UNION ALL
	SELECT format('ALTER TABLE %1$s ALTER COLUMN %2$s SET STATISTICS %3$s', $4::text, $5::text, coalesce(o.attstattarget, -1))
	FROM o, n WHERE o.attstattarget IS DISTINCT FROM n.attstattarget
	UNION ALL
	SELECT format('ALTER TABLE %1$s ALTER COLUMN %2$s SET (%3$s)', $4::text, $5::text, o.options)
	FROM o, n WHERE o.options IS DISTINCT FROM n.options AND o.options IS NOT NULL
	UNION ALL
	SELECT format('GRANT %3$s (%2$s) ON %1$s TO %4$s%5$s', $4::text, $5::text, x.privilege_type,
	       CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END, CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
	FROM o, n, aclexplode(o.attacl) x WHERE NOT EXISTS (SELECT FROM aclexplode(n.attacl) y
	     WHERE (y.grantee, y.privilege_type, y.is_grantable) = (x.grantee, x.privilege_type, x.is_grantable))`

// Attributes returns the statements that give a new column the comment, storage, compression, statistics target, options and grants of an old one;
// none when it has them.
func Attributes(ctx context.Context, q sqlx.QueryerContext, t *Table, from, to string) ([]string, error) {
	var out []string
	if err := sqlx.SelectContext(ctx, q, &out, attributesSQL, t.OID, from, to, t.SQL(), ident.Quote(to)); err != nil {
		return nil, fmt.Errorf("attributes of %s.%s: %w", t, ident.Quote(from), pg.Cause(ctx, err))
	}
	return out, nil
}

// Grants returns the statements that give columns which do not exist yet, such as the stamp, the column grants of old ones, so that a role with rights on
// single columns can write them. Where there are more old columns, a role needs the right on each.
func Grants(ctx context.Context, q sqlx.QueryerContext, t *Table, from, to []string) ([]string, error) {
	var out []string
	err := sqlx.SelectContext(ctx, q, &out, `
		SELECT format('GRANT %s (%s) ON %s TO %s', x.privilege_type, $3::text, $4::text,
		       CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END)
		FROM pg_attribute a, aclexplode(a.attacl) x
		WHERE a.attrelid = $1 AND a.attname = ANY ($2) AND x.privilege_type IN ('SELECT', 'INSERT', 'UPDATE')
		GROUP BY x.privilege_type, x.grantee HAVING count(DISTINCT a.attnum) = cardinality($2) ORDER BY min(a.attnum)`,
		t.OID, pq.Array(from), ident.List("", to), t.SQL())
	if err != nil {
		return nil, fmt.Errorf("grants on %s (%s): %w", t, ident.List("", from), pg.Cause(ctx, err))
	}
	return out, nil
}
