package catalog

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/pair"
	"github.com/tandem-go/tandem/internal/pg"
)

// Dependent is something in the database that names the old column and does not move to the new one by itself.
type Dependent struct {
	Kind   string `db:"kind"`   // view, rule, policy, ...
	Name   string `db:"name"`   // as PostgreSQL describes it
	Blocks bool   `db:"blocks"` // DROP COLUMN would fail or take it along; false: it would break later
	Remedy string `db:"remedy"`
	OID    int64  `db:"oid"` // in the catalog of its kind; 0 of what a partition has alone
	Fixes  []Fix  `db:"-"`   // what solves it, where that can be told; in this order
}

func (d Dependent) String() string {
	out := fmt.Sprintf("%s %s: %s", d.Kind, d.Name, d.Remedy)
	for _, f := range d.Fixes {
		out += "\n\t" + f.String()
	}
	return out
}

// setsColumn is an assignment to NEW.column in PL/pgSQL, or SELECT ... INTO it; not a comparison.
const setsColumn = `'(^|;|\m(BEGIN|THEN|ELSE|LOOP)\M|\mINTO(\s+STRICT)?(?=\s))\s*NEW\s*\.\s*("%1$s"|%1$s\M)\s*(:?=|\mFROM\M|;)'`

// What the twins carry is left out here: indexes, unique and check constraints, statistics objects, foreign keys from old unless the guard cannot follow what they set; and defaults, NOT NULL,
// owned sequences and the guard's own triggers.
const dependentsSQL = `
	WITH hit AS (
		SELECT DISTINCT d.classid, d.objid, d.objsubid FROM pg_depend d
		WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND d.refobjsubid = ANY ($2)
		  AND NOT (d.classid = 'pg_class'::regclass AND d.objid = $1 AND d.objsubid = 0)
	), rewrite AS (
		SELECT r.*, c.relkind, c.relname FROM hit JOIN pg_rewrite r ON hit.classid = 'pg_rewrite'::regclass AND r.oid = hit.objid
		JOIN pg_class c ON c.oid = r.ev_class
	)
	SELECT DISTINCT CASE relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' ELSE 'rule' END AS kind,
	       CASE WHEN relkind IN ('v', 'm') THEN ev_class::regclass::text ELSE rulename || ' on ' || ev_class::regclass::text END AS name,
	       true AS blocks, CASE relkind WHEN 'm' THEN 'drop it, and create it so that it reads the new column (after Switch)'
	       ELSE 'make it read the new column (CREATE OR REPLACE VIEW, after Switch)' END AS remedy,
	       (CASE WHEN relkind IN ('v', 'm') THEN ev_class ELSE oid END)::bigint AS oid FROM rewrite
	UNION ALL
	SELECT 'policy', quote_ident(p.polname), true, 'ALTER POLICY so that it names the new column', p.oid::bigint
	FROM hit JOIN pg_policy p ON hit.classid = 'pg_policy'::regclass AND p.oid = hit.objid
	UNION ALL
	SELECT 'trigger', quote_ident(t.tgname), true, 'create it again for the new column (UPDATE OF, WHEN)', t.oid::bigint
	FROM hit JOIN pg_trigger t ON hit.classid = 'pg_trigger'::regclass AND t.oid = hit.objid AND NOT t.tgname = ANY ($3)
	     AND NOT t.tgfoid IN (SELECT oid FROM pg_proc WHERE pronamespace = to_regnamespace('tandem'))
	UNION ALL
	SELECT 'trigger', quote_ident(t.tgname), bool_or(s.sets), CASE WHEN bool_or(s.sets)
	       THEN 'it sets the column past the wrappers, which would write the other one: drop it for the time of the migration, and let the programs set the value'
	       ELSE 'it is told the column by name: create it again with the new one, after Switch' END, t.oid::bigint
	FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_language l ON l.oid = p.prolang CROSS JOIN unnest($4::text[]) old
	CROSS JOIN LATERAL (SELECT position('\x00'::bytea || convert_to(old, getdatabaseencoding()) || '\x00' IN '\x00' || t.tgargs) AS place) named
	CROSS JOIN LATERAL (SELECT t.tgtype & 3 = 3 AND t.tgtype & 20 <> 0 AND ( -- before each row of INSERT or UPDATE
	       l.lanname = 'plpgsql' AND regexp_replace(p.prosrc, '--[^\n]*|/\*([^*]|\*+[^*/])*\*+/', ' ', 'g') ~* format(` + setsColumn + `, regexp_replace(old, '(\W)', '\\\1', 'g'))
	       OR named.place = 1 AND p.proname IN ('tsvector_update_trigger', 'tsvector_update_trigger_column', 'moddatetime', 'autoinc', 'insert_username')) AS sets) s
	WHERE t.tgrelid = $1 AND NOT t.tgisinternal AND NOT t.tgname = ANY ($3) AND p.pronamespace IS DISTINCT FROM to_regnamespace('tandem') AND (s.sets OR named.place > 0)
	GROUP BY t.oid, t.tgname
	UNION ALL
	SELECT 'generated column', quote_ident(a.attname), true, 'its expression names the old column: make it name the new, which reads and rewrites the table under ACCESS EXCLUSIVE', f.oid::bigint
	FROM hit JOIN pg_attrdef f ON hit.classid = 'pg_attrdef'::regclass AND f.oid = hit.objid
	JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum AND a.attgenerated <> '' AND NOT a.attnum = ANY ($2)
	UNION ALL
	SELECT CASE k.contype WHEN 'x' THEN 'exclusion constraint' ELSE 'unique constraint' END, quote_ident(k.conname), true,
	       'it cannot be built CONCURRENTLY: put it on new by hand, which reads the table under ACCESS EXCLUSIVE', k.oid::bigint
	FROM hit JOIN pg_constraint k ON hit.classid = 'pg_constraint'::regclass AND k.oid = hit.objid AND k.contype IN ('x', 'u')
	JOIN pg_index i ON i.indexrelid = k.conindid AND i.indisexclusion -- a unique constraint WITHOUT OVERLAPS too
	UNION ALL
	SELECT 'foreign key', quote_ident(k.conname) || ' of ' || k.conrelid::regclass::text, true, 'it points at the old column: add one that points at the new', k.oid::bigint
	FROM pg_constraint k WHERE k.contype = 'f' AND k.confrelid = $1 AND k.confkey && $2::int2[] AND k.conparentid = 0
	UNION ALL
	SELECT 'foreign key', quote_ident(k.conname), true, CASE WHEN 'd' IN (k.confdeltype, k.confupdtype)
	       THEN 'ON ... SET DEFAULT finds no default on the new column until the end: make it another action for the time of the migration'
	       ELSE 'what it sets is carried over in SQL: give the pair both conversions in SQL, or make it NO ACTION for the time of the migration' END, k.oid::bigint
	FROM pg_constraint k WHERE k.contype = 'f' AND k.conrelid = $1 AND k.conkey && $2::int2[]
	     AND ('d' IN (k.confdeltype, k.confupdtype) OR NOT $6 AND (k.confdeltype = 'n' OR k.confupdtype IN ('c', 'n')))
	UNION ALL
	SELECT 'replica identity', i.indexrelid::regclass::text, true, 'ALTER TABLE ... REPLICA IDENTITY FULL, or USING INDEX another, for the time of the migration', i.indexrelid::bigint
	FROM pg_index i WHERE i.indrelid = $1 AND i.indisreplident AND i.indkey::int2[] && $2::int2[]
	UNION ALL
	SELECT 'statistics object', quote_ident(s.stxname), true, 'CREATE STATISTICS again with the new column', s.oid::bigint
	FROM pg_statistic_ext s WHERE NOT $7 AND s.stxrelid = $1 AND (s.stxkeys::int2[] && $2::int2[]
	     OR EXISTS (SELECT FROM hit WHERE classid = 'pg_statistic_ext'::regclass AND objid = s.oid))
	UNION ALL
	SELECT 'sequence', c.oid::regclass::text, true, 'ALTER SEQUENCE ... OWNED BY the new column', c.oid::bigint
	FROM hit JOIN pg_class c ON NOT $7 AND hit.classid = 'pg_class'::regclass AND c.oid = hit.objid AND c.relkind = 'S'
	UNION ALL
	SELECT 'partition key of', $1::oid::regclass::text, true, 'a partition key cannot be exchanged', $1::bigint
	FROM pg_partitioned_table p WHERE p.partrelid = $1 AND p.partattrs::int2[] && $2::int2[]
	UNION ALL
	SELECT 'function', hit.objid::regprocedure::text, true, 'its body (BEGIN ATOMIC) reads the column: CREATE OR REPLACE it', hit.objid::bigint FROM hit WHERE classid = 'pg_proc'::regclass
	UNION ALL
	SELECT 'function', p.oid::regprocedure::text, false, 'its body mentions table and column: read it, and change it before Contract', p.oid::bigint
	FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
	WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'tandem') AND p.prokind IN ('f', 'p') AND p.prosrc <> ''
	  AND EXISTS (SELECT FROM unnest($4::text[]) old WHERE position(lower(old) IN lower(p.prosrc)) > 0)
	  AND (position(lower($5) IN lower(p.prosrc)) > 0 OR p.prorettype = 'trigger'::regtype
	       OR (SELECT reltype FROM pg_class WHERE oid = $1) = ANY (p.proargtypes))
	ORDER BY 1, 2`

// The catalog has column lists and row filters of publications since version 15.
const publicationsSQL = `
	SELECT 'publication' AS kind, quote_ident(p.pubname) AS name, true AS blocks, 'make its list of columns and its filter name the new column' AS remedy, r.oid::bigint AS oid
	FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid
	WHERE r.prrelid = $1 AND (r.prattrs::int2[] && $2::int2[] OR EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_publication_rel'::regclass
	      AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND d.refobjsubid = ANY ($2::int4[])))`

// Dependents lists what names the old columns, besides what Twins carries over.
func Dependents(ctx context.Context, q sqlx.QueryerContext, t *Table, d pair.Definition) ([]Dependent, error) {
	var out []Dependent
	numbers := pq.Array(t.numbers(d.Old))
	err := sqlx.SelectContext(ctx, q, &out, dependentsSQL, t.OID, numbers, pq.Array(guard.Names(d)), pq.Array(d.Old), t.Name, d.HasForward() && d.HasBackward() && !d.Moved(), d.Carries())
	if err == nil {
		var version int
		if err = sqlx.GetContext(ctx, q, &version, `SELECT current_setting('server_version_num')::int`); err == nil && version >= 150000 {
			var publications []Dependent
			err = sqlx.SelectContext(ctx, q, &publications, publicationsSQL, t.OID, numbers)
			out = append(out, publications...)
		}
		if err == nil && t.Partitioned {
			var more []Dependent
			more, err = partitionDependents(ctx, q, t, d, version)
			out = append(out, more...)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("dependents of %s: %w", strings.Join(d.Old, ", "), pg.Cause(ctx, err))
	}
	all := slices.Clone(out)
	return slices.DeleteFunc(out, func(x Dependent) bool { return superseded(all, x) }), nil
}

// sets tells a trigger that sets the column.
func (d Dependent) sets() bool { return strings.HasPrefix(d.Remedy, "it sets the column") }

// superseded tells what is said already of a trigger that sets the column: it has to go before the start, so nothing is to be made again for Relax.
func superseded(list []Dependent, x Dependent) bool {
	return x.Kind == "trigger" && !x.sets() && slices.ContainsFunc(list, func(y Dependent) bool { return y.Kind == x.Kind && y.OID == x.OID && y.sets() })
}
