package catalog

import (
	"context"
	"fmt"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pg"
)

// Leaf is where rows lie: the table itself, or one of its partitions.
type Leaf struct {
	Relation string `db:"relation"` // quoted
	Pages    int64  `db:"pages"`    // now, by the file's size
	Rows     int64  `db:"rows"`     // the planner's estimate; -1: never analysed
	Blocks   bool   `db:"blocks"`   // rows can be found and written by their blocks: a heap that this role may read and write
}

const leavesSQL = `
	SELECT format('%I.%I', n.nspname, c.relname) AS relation, c.reltuples::bigint AS rows,
	       CASE WHEN c.relkind = 'r' THEN pg_relation_size(c.oid) / current_setting('block_size')::bigint ELSE 0 END AS pages,
	       c.relkind = 'r' AND m.amname = 'heap' AND has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'UPDATE') AS blocks
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_am m ON m.oid = c.relam
	WHERE c.oid = to_regclass($1) AND c.relkind <> 'p' OR c.oid IN (SELECT relid FROM pg_partition_tree(to_regclass($1)) WHERE isleaf) AND c.relkind <> 'p'
	ORDER BY c.oid`

// Leaves lists the partitions of a table that have rows of their own, or the table itself.
func Leaves(ctx context.Context, q sqlx.QueryerContext, t ident.Table) ([]Leaf, error) {
	var out []Leaf
	if err := sqlx.SelectContext(ctx, q, &out, leavesSQL, t.SQL()); err != nil {
		return nil, fmt.Errorf("partitions of %s: %w", t, pg.Cause(ctx, err))
	}
	return out, nil
}

// heapOnlySQL finds an index that mentions one of the columns: then no update of them is heap-only. A BRIN index does not hinder it from version 16 on.
const heapOnlySQL = `
	SELECT coalesce(min(x.indexrelid::regclass::text), '') FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_am m ON m.oid = i.relam
	WHERE x.indrelid IN (SELECT to_regclass($1)::oid UNION SELECT relid FROM pg_partition_tree(to_regclass($1)))
	  AND NOT (m.amname = 'brin' AND current_setting('server_version_num')::int >= 160000)
	  AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = x.indrelid AND a.attname = ANY ($2) AND NOT a.attisdropped
	    AND (a.attnum = ANY (x.indkey) OR EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = x.indexrelid
	                                              AND d.refclassid = 'pg_class'::regclass AND d.refobjid = x.indrelid AND d.refobjsubid = a.attnum)))`

// HeapOnly names an index that keeps updates of the columns from being heap-only, "" when none does.
func HeapOnly(ctx context.Context, q sqlx.QueryerContext, t ident.Table, columns []string) (index string, err error) {
	if err := sqlx.GetContext(ctx, q, &index, heapOnlySQL, t.SQL(), pq.Array(columns)); err != nil {
		return "", fmt.Errorf("indexes of %s: %w", t, pg.Cause(ctx, err))
	}
	return index, nil
}
