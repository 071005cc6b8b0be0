package catalog

import (
	"context"
	"fmt"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/ident"
)

// child is what an index or a constraint of a partitioned table is on one of its partitions. It has a name of its own, which does not follow the parent's.
type child struct {
	Index  bool   `db:"is_index"`
	Of     string `db:"of_name"` // the index or constraint of the table
	On     int64  `db:"on_oid"`  // the partition
	Schema string `db:"schema"`
	Table  string `db:"table_name"`
	Name   string `db:"name"`
}

// Constraints that a foreign key has for the partitions of the table that it points at are on the table itself. A check has the parent's name everywhere. The index of a constraint is renamed with it.
const childrenSQL = `
	WITH RECURSIVE tree AS (
		SELECT true AS is_index, x.relname AS of_name, i.indexrelid AS oid, i.indrelid AS on_oid, 0 AS level FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = $1
		UNION ALL
		SELECT false, conname, oid, conrelid, 0 FROM pg_constraint WHERE conrelid = $1 AND contype IN ('f', 'u') AND conparentid = 0
		UNION ALL
		SELECT tree.is_index, tree.of_name, below.oid, below.on_oid, tree.level + 1 FROM tree CROSS JOIN LATERAL (
			SELECT inhrelid AS oid, i.indrelid AS on_oid FROM pg_inherits JOIN pg_index i ON i.indexrelid = inhrelid WHERE tree.is_index AND inhparent = tree.oid
			UNION ALL
			SELECT oid, conrelid FROM pg_constraint WHERE NOT tree.is_index AND conparentid = tree.oid AND conrelid <> tree.on_oid) below)
	SELECT tree.is_index, tree.of_name, tree.on_oid::bigint, n.nspname AS schema, c.relname AS table_name,
	       CASE WHEN tree.is_index THEN (SELECT relname FROM pg_class WHERE oid = tree.oid) ELSE (SELECT conname FROM pg_constraint WHERE oid = tree.oid) END AS name
	FROM tree JOIN pg_class c ON c.oid = tree.on_oid JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE level > 0 AND NOT (is_index AND EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = tree.oid AND k.contype IN ('u', 'p'))) ORDER BY level, tree.on_oid`

// children lists them; none of a table without partitions.
func children(ctx context.Context, q sqlx.QueryerContext, t *Table) ([]child, error) {
	var out []child
	if !t.Partitioned {
		return nil, nil
	}
	return out, sqlx.SelectContext(ctx, q, &out, childrenSQL, t.OID)
}

// takeNames gives the twin's children the names of old's, which have gone with it.
func takeNames(w Twin, all []child) (out []string) {
	for _, old := range all {
		for _, fresh := range all {
			if old.Of != w.Of || fresh.Of != w.Name || old.Index != fresh.Index || old.On != fresh.On || old.Name == fresh.Name || old.Index != (w.Kind == "index") {
				continue
			}
			if old.Index {
				out = append(out, fmt.Sprintf("ALTER INDEX %s.%s RENAME TO %s", ident.Quote(old.Schema), ident.Quote(fresh.Name), ident.Quote(old.Name)))
				continue
			}
			out = append(out, fmt.Sprintf("ALTER TABLE %s.%s RENAME CONSTRAINT %s TO %s", ident.Quote(old.Schema), ident.Quote(old.Table), ident.Quote(fresh.Name), ident.Quote(old.Name)))
		}
	}
	return out
}
