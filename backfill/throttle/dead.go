package throttle

import (
	"context"
	"fmt"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/ident"
)

// DeadRows is the share of dead rows among a table's, as the statistics have it: autovacuum should come first.
type DeadRows struct {
	Table      string  // users, app.users, app."Users"; with its partitions
	Soft, Hard float64 // dead rows for each live one; default to 0.5 and 1
}

// Name implements Signal.
func (DeadRows) Name() string { return "dead rows" }

// After a crash, a failover or pg_stat_reset the statistics know of no live rows, but reltuples, by which autovacuum goes, is kept: without it a backfill would wait for a vacuum that is not due.
// A partitioned table's is the sum of its partitions'. // The functions are those of pg_stat_all_tables, which goes over the whole catalog for this question.
const deadSQL = `
	SELECT coalesce(sum(pg_stat_get_dead_tuples(c.oid)), 0)::float8 AS dead, coalesce(sum(greatest(pg_stat_get_live_tuples(c.oid), c.reltuples)) FILTER (WHERE c.relkind <> 'p'), 0)::float8 AS live, count(*) = 0 AS missing
	FROM pg_class c WHERE c.oid IN (SELECT to_regclass($1) UNION SELECT relid FROM pg_partition_tree(to_regclass($1)))`

// fewRows is a table that is vacuumed in no time.
const fewRows = 10_000

// Read implements Signal.
func (d DeadRows) Read(ctx context.Context, db *sqlx.DB) (Load, error) {
	soft, hard, err := limits(d.Name(), d.Soft, d.Hard, 0.5, 1)
	if err != nil {
		return Load{}, err
	}
	t, err := ident.ParseTable(d.Table)
	if err != nil {
		return Load{}, err
	}
	var s struct {
		Dead    float64 `db:"dead"`
		Live    float64 `db:"live"`
		Missing bool    `db:"missing"`
	}
	if err := row(ctx, db, &s, deadSQL, t.SQL()); err != nil {
		return Load{}, err
	}
	if s.Missing {
		return Load{}, fmt.Errorf("table %s is not there", t)
	}
	return Load{Ramp(s.Dead/max(s.Live, fewRows), soft, hard),
		fmt.Sprintf("%s has %.0f dead rows beside %.0f live ones: is autovacuum on, and does an old snapshot hinder it?", t, s.Dead, s.Live)}, nil
}
