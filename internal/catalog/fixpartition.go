package catalog

import (
	"context"
	"fmt"
	"strings"

	"github.com/lib/pq"

	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/phase"
)

// byHand tells what stands for something of a partitioned table, and ApplyTwins would make of another.
func (d Dependent) byHand() bool {
	for _, kind := range []string{"index", "unique constraint", "foreign key"} {
		if strings.HasPrefix(d.Remedy, handmade[kind]) {
			return true
		}
	}
	return false
}

// indexTreeSQL lists an index of a partitioned table and those on its partitions, parents first.
const indexTreeSQL = `
	SELECT x.relname AS name, format('%I.%I', n.nspname, c.relname) AS "table", n.nspname AS schema, p.isleaf AS leaf,
	       coalesce((SELECT relname FROM pg_class WHERE oid = p.parentrelid AND p.level > 0), '') AS parent, coalesce((SELECT nspname FROM pg_namespace JOIN pg_class o ON o.relnamespace = pg_namespace.oid
	         WHERE o.oid = p.parentrelid), '') AS parent_schema, ` + indexSpace + ` AS space
	FROM pg_partition_tree($1) p JOIN pg_class x ON x.oid = p.relid JOIN pg_index i ON i.indexrelid = p.relid JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
	ORDER BY p.level, c.relname`

// partitionedIndexAct builds the twin of an index partition by partition, which blocks nobody for long: the parent's is valid once each partition has attached its own.
func partitionedIndexAct(ctx context.Context, r *rehearsal, x Dependent) (*act, error) {
	var own index
	if err := r.get(ctx, &own, `SELECT * FROM (`+indexesSQL+`) x WHERE oid = $3`, r.t.OID, pq.Array(r.t.numbers(r.d.Old)), x.OID); err != nil {
		return nil, err
	}
	var tree []struct {
		Name, Table, Schema, Parent, Space string
		ParentSchema                       string `db:"parent_schema"`
		Leaf                               bool
	}
	if err := r.tx.SelectContext(ctx, &tree, indexTreeSQL, x.OID); err != nil {
		return nil, err
	}
	unique := map[bool]string{true: "UNIQUE "}[own.Unique]
	const copyBody = `substr(pg_get_indexdef(i.indexrelid), 1 + strpos(pg_get_indexdef(i.indexrelid), ' USING '))` // neither name has it
	read := `FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE x.relnamespace = pg_my_temp_schema() AND x.relname = ` + ident.Literal(strings.Trim(x.temporary(), `"`))
	return &act{make: `CREATE ` + unique + `INDEX ` + x.temporary() + ` ON ` + r.t.SQL() + ` ` + own.Body,
		read: `SELECT ` + copyBody + ` ` + read + ` UNION ALL SELECT ` + indexPredicate + ` ` + read,
		fixes: func(text []string) []Fix {
			b := body{Body: text[0], Predicate: text[1]}
			var out []Fix
			for _, n := range tree {
				how, only := "INDEX CONCURRENTLY", ""
				if !n.Leaf {
					how, only = "INDEX", "ONLY "
				}
				out = append(out, Fix{phase.Migrate, fmt.Sprintf("CREATE %s%s %s ON %s%s %s", unique, how, ident.Quote(TwinName(r.d, n.Name)), only, n.Table, b.placed(n.Space))})
			}
			for i := len(tree) - 1; i > 0; i-- { // partitions of partitions first
				n := tree[i]
				out = append(out, Fix{phase.Migrate, fmt.Sprintf("ALTER INDEX %s.%s ATTACH PARTITION %s.%s",
					ident.Quote(n.ParentSchema), ident.Quote(TwinName(r.d, n.Parent)), ident.Quote(n.Schema), ident.Quote(TwinName(r.d, n.Name)))})
			}
			return out
		}}, nil
}
