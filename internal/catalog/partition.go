package catalog

import (
	"context"
	"fmt"
	"slices"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pair"
)

// partitionsSQL finds what a partition has and its parent has not: DROP COLUMN on the parent takes it along without a word, or fails on it.
const partitionsSQL = `
	WITH part AS (
		SELECT a.attrelid AS oid, array_agg(a.attnum) AS numbers, bool_or(a.attnotnull AND NOT parent.attnotnull) AS stricter FROM pg_partition_tree($1) p
		JOIN pg_attribute a ON a.attrelid = p.relid AND a.attname = ANY ($2) AND NOT a.attisdropped
		JOIN pg_attribute parent ON parent.attrelid = $1 AND parent.attname = a.attname WHERE p.level > 0 GROUP BY 1
	), hit AS (
		SELECT DISTINCT part.oid, d.classid, d.objid FROM part
		JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = part.oid AND d.refobjsubid = ANY (part.numbers)
	), own AS (
		SELECT 'index' AS kind, i.indexrelid::regclass::text AS name, part.oid FROM part JOIN pg_index i ON i.indrelid = part.oid
		WHERE NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = i.indexrelid)
		  AND (i.indkey::int2[] && numbers OR EXISTS (SELECT FROM hit WHERE classid = 'pg_class'::regclass AND objid = i.indexrelid))
		UNION ALL
		SELECT CASE contype WHEN 'c' THEN 'check' ELSE 'foreign key' END, quote_ident(conname), part.oid FROM part JOIN pg_constraint k ON k.conrelid = part.oid
		WHERE contype IN ('c', 'f') AND conkey && numbers AND coninhcount = 0
		UNION ALL
		SELECT 'NOT NULL', array_to_string($2, ', '), oid FROM part WHERE stricter
		UNION ALL
		SELECT 'trigger', quote_ident(t.tgname), hit.oid FROM hit JOIN pg_trigger t ON classid = 'pg_trigger'::regclass AND t.oid = objid
		WHERE tgparentid = 0 AND NOT t.tgname = ANY ($3)
		UNION ALL
		SELECT 'policy', quote_ident(polname), hit.oid FROM hit JOIN pg_policy p ON classid = 'pg_policy'::regclass AND p.oid = objid
		UNION ALL
		SELECT 'statistics object', quote_ident(stxname), hit.oid FROM hit JOIN pg_statistic_ext s ON classid = 'pg_statistic_ext'::regclass AND s.oid = objid
		UNION ALL
		SELECT 'publication', quote_ident(pubname), part.oid FROM part JOIN pg_publication_rel r ON r.prrelid = part.oid AND r.prattrs::int2[] && numbers
		JOIN pg_publication p ON p.oid = r.prpubid
	)
	SELECT DISTINCT CASE relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' ELSE 'rule' END AS kind,
	       CASE WHEN relkind IN ('v', 'm') THEN c.oid::regclass::text ELSE rulename || ' on ' || c.oid::regclass::text END AS name, true AS blocks,
	       'it reads a partition: make it read the new column, or drop it for the time of the migration' AS remedy
	FROM hit JOIN pg_rewrite r ON classid = 'pg_rewrite'::regclass AND r.oid = objid JOIN pg_class c ON c.oid = r.ev_class
	UNION ALL
	SELECT 'foreign key', quote_ident(conname) || ' of ' || conrelid::regclass::text, true, 'it points at the old column of a partition: add one that points at the new'
	FROM part JOIN pg_constraint k ON k.contype = 'f' AND k.confrelid = part.oid AND k.confkey && numbers AND k.conparentid = 0
	UNION ALL
	SELECT 'replica identity', i.indexrelid::regclass::text, true, 'ALTER TABLE ... REPLICA IDENTITY FULL on the partition, or USING INDEX another, for the time of the migration'
	FROM part JOIN pg_index i ON i.indrelid = part.oid AND i.indisreplident AND i.indkey::int2[] && numbers
	UNION ALL
	SELECT kind, name || ' of partition ' || oid::regclass::text, true,
	       'the parent has none, so it gets no twin and would be lost: after the backfill make the like on the new column of the partition, and drop it in Switch' FROM own
	ORDER BY 1, 2`

// partitionDependents lists what DROP COLUMN on a partitioned table would lose or fail on: what belongs to a partition alone, and twins that only hands can make.
func partitionDependents(ctx context.Context, q sqlx.QueryerContext, t *Table, d pair.Definition, version int) ([]Dependent, error) {
	var out []Dependent
	if err := sqlx.SelectContext(ctx, q, &out, partitionsSQL, t.OID, pq.Array(d.Old), pq.Array(guard.Names(d))); err != nil {
		return nil, err
	}
	if d.IsSet() { // has no twins by itself
		return out, nil
	}
	numbers := pq.Array(t.numbers(d.Old))
	var indexes []index
	if err := sqlx.SelectContext(ctx, q, &indexes, indexesSQL, t.OID, numbers); err != nil {
		return nil, err
	}
	for _, x := range indexes {
		twin := TwinName(d, x.Name)
		if !x.Mentions || x.Constraint == "x" || slices.ContainsFunc(indexes, func(other index) bool { return other.Name == twin && other.Valid }) {
			continue
		}
		kind := map[bool]string{true: "unique constraint", false: "index"}[x.Constraint == "u"]
		out = append(out, Dependent{Kind: kind, Name: ident.Quote(x.Name), Blocks: true, Remedy: ByHand(kind, d, x.Name), OID: x.OID})
	}
	var constraints []constraint
	if err := sqlx.SelectContext(ctx, q, &constraints, constraintsSQL, t.OID, numbers); err != nil {
		return nil, err
	}
	for _, k := range constraints {
		twin := TwinName(d, k.Name)
		if version >= 180000 || k.Kind != "f" || !k.Mentions || slices.ContainsFunc(constraints, func(other constraint) bool { return other.Name == twin }) {
			continue
		}
		out = append(out, Dependent{Kind: "foreign key", Name: ident.Quote(k.Name), Blocks: true, Remedy: ByHand("foreign key", d, k.Name), OID: k.OID})
	}
	return out, nil
}

// handmade is why ApplyTwins does not make the twin of something on a partitioned table.
var handmade = map[string]string{
	"index":             "CREATE INDEX CONCURRENTLY does not work on a partitioned table; after the backfill ",
	"unique constraint": "PostgreSQL cannot make one of an index on a partitioned table; after the backfill ",
	"foreign key":       "before version 18 PostgreSQL adds none NOT VALID to a partitioned table; after the backfill ",
}

// ByHand says how the twin of something on a partitioned table is made.
func ByHand(kind string, d pair.Definition, name string) string {
	twin := ident.Quote(TwinName(d, name))
	switch kind {
	case "index":
		return handmade[kind] + fmt.Sprintf("create %s ON ONLY the parent, build one on each partition CONCURRENTLY, and attach them", twin)
	case "unique constraint":
		return handmade[kind] + fmt.Sprintf("ALTER TABLE %s ADD CONSTRAINT %s UNIQUE (...)", d.Table, twin)
	default:
		return handmade[kind] + fmt.Sprintf("ALTER TABLE %s ADD CONSTRAINT %s FOREIGN KEY (...), which reads the table under SHARE ROW EXCLUSIVE", d.Table, twin)
	}
}
