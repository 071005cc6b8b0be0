package catalog

import (
	"context"
	"fmt"
	"regexp"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/tandem-go/tandem/internal/fragment"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pg"
)

// What follows the old table when it is renamed, or goes with it, or keeps it from being dropped.
const replacedSQL = `
	WITH hit AS (
		SELECT DISTINCT d.classid, d.objid FROM pg_depend d WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND d.deptype IN ('n', 'a')
	)
	SELECT CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' ELSE 'rule' END AS kind,
	       CASE WHEN c.relkind IN ('v', 'm') THEN c.oid::regclass::text ELSE quote_ident(r.rulename) || ' on ' || c.oid::regclass END AS name, true AS blocks,
	       'it would go on with the old table: make it read the new one' AS remedy
	FROM hit JOIN pg_rewrite r ON hit.classid = 'pg_rewrite'::regclass AND r.oid = hit.objid JOIN pg_class c ON c.oid = r.ev_class WHERE c.oid <> $1
	UNION
	SELECT 'foreign key', quote_ident(k.conname) || ' of ' || k.conrelid::regclass, true, 'it points at the old table: add one that points at the new one, and drop it'
	FROM pg_constraint k WHERE k.contype = 'f' AND k.confrelid = $1 AND k.conrelid <> $1 AND k.conparentid = 0
	     AND NOT k.conrelid IN (SELECT relid FROM pg_partition_tree($1::oid::regclass))
	UNION
	SELECT 'policy', quote_ident(p.polname) || ' of ' || p.polrelid::regclass, true, 'ALTER POLICY so that it reads the new table'
	FROM hit JOIN pg_policy p ON hit.classid = 'pg_policy'::regclass AND p.oid = hit.objid WHERE p.polrelid <> $1
	UNION
	SELECT 'function', hit.objid::regprocedure::text, true, 'its body (BEGIN ATOMIC) reads the old table: CREATE OR REPLACE it' FROM hit WHERE classid = 'pg_proc'::regclass
	UNION
	SELECT 'sequence', s.oid::regclass::text, true, format('it goes with the old table, and %s uses it: ALTER SEQUENCE %s OWNED BY %s.%I', f.adrelid::regclass, s.oid::regclass, f.adrelid::regclass, a.attname)
	FROM hit JOIN pg_class s ON hit.classid = 'pg_class'::regclass AND s.oid = hit.objid AND s.relkind = 'S'
	JOIN pg_depend u ON u.refclassid = 'pg_class'::regclass AND u.refobjid = s.oid AND u.classid = 'pg_attrdef'::regclass
	JOIN pg_attrdef f ON f.oid = u.objid AND f.adrelid <> $1 JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
	WHERE NOT f.adrelid IN (SELECT relid FROM pg_partition_tree($1::oid::regclass)) AND NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = f.adrelid)
	UNION
	SELECT 'publication', quote_ident(p.pubname), true, 'ALTER PUBLICATION ... ADD TABLE the new one, DROP TABLE the old one'
	FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid WHERE r.prrelid = $1
	UNION
	SELECT 'function', p.oid::regprocedure::text, false, 'its body mentions the old table: read it, and change it before Contract'
	FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
	WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'tandem') AND p.prokind IN ('f', 'p') AND p.prosrc ~* $2 AND NOT $3
	ORDER BY 1, 2`

// Dependents lists what names the old table and does not move to the new one by itself.
func (r *Replacement) Dependents(ctx context.Context, q sqlx.QueryerContext) ([]Dependent, error) {
	var out []Dependent
	err := sqlx.SelectContext(ctx, q, &out, replacedSQL, r.Old.OID, `\m`+pattern(r.Definition.Table.Name)+`\M`, r.Definition.KeepName)
	if err != nil {
		return nil, fmt.Errorf("dependents of %s: %w", r.Old, pg.Cause(ctx, err))
	}
	return out, nil
}

// Referring lists the foreign keys of the old table, which go at a swap without a way back: its rows, of yesterday by then, would bind those they point at.
func (r *Replacement) Referring(ctx context.Context, q sqlx.QueryerContext, t ident.Table) (drop []string, err error) {
	err = sqlx.SelectContext(ctx, q, &drop, `SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', $2::text, conname) FROM pg_constraint
		WHERE contype = 'f' AND conrelid = $1 AND conparentid = 0 AND confrelid <> $1 ORDER BY conname`, r.Old.OID, t.SQL())
	return drop, pg.Cause(ctx, err)
}

const sequencesSQL = `
	SELECT format('SELECT setval(%L, greatest((SELECT last_value FROM %s), (SELECT last_value FROM %s)))', fresh, fresh, old) FROM (
		SELECT pg_get_serial_sequence($1, a) AS fresh, pg_get_serial_sequence($2, b) AS old FROM unnest($3::text[], $4::text[]) AS x(a, b)) y
	WHERE fresh IS NOT NULL AND old IS NOT NULL AND fresh <> old`

// Sequences returns the statements that bring the sequences of one table to where those of the other are, for columns that are copied as they are. They are for the moment in which
// nobody writes either table.
func (r *Replacement) Sequences(ctx context.Context, q sqlx.QueryerContext, back bool) (out []string, err error) {
	m, from, to := r.forward, r.Old, r.New
	if back {
		m, from, to = r.back, r.New, r.Old
	}
	var targets, sources []string
	for i, c := range m.Columns {
		for _, s := range from.Columns {
			if m.Exprs[i] == fragment.Placeholder(s.Name) {
				targets, sources = append(targets, c), append(sources, s.Name)
			}
		}
	}
	err = sqlx.SelectContext(ctx, q, &out, sequencesSQL, to.SQL(), from.SQL(), pq.Array(targets), pq.Array(sources))
	return out, pg.Cause(ctx, err)
}

// pattern is a name in a regular expression.
func pattern(name string) string { return regexp.QuoteMeta(name) }
