package throttle

import (
	"context"
	"fmt"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/ident"
)

// DeadRows is the share of dead rows among a table's, as the statistics have it: autovacuum should come first.
type DeadRows struct {
	Table      string  // users, app.users, app."Users"
	Soft, Hard float64 // dead rows for each live one; default to 0.5 and 1
}

// Name implements Signal.
func (DeadRows) Name() string { return "dead rows" }

// A table of less than 10,000 rows is vacuumed in no time.
const deadSQL = `
	SELECT coalesce(sum(n_dead_tup), 0)::float8 AS dead, coalesce(sum(n_live_tup), 0)::float8 AS live, to_regclass($1) IS NULL AS missing FROM pg_stat_all_tables
	WHERE relid = to_regclass($1) OR relid IN (SELECT relid FROM pg_partition_tree(to_regclass($1)))`

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
	if err := db.GetContext(ctx, &s, deadSQL, t.SQL()); err != nil {
		return Load{}, err
	}
	if s.Missing {
		return Load{}, fmt.Errorf("table %s is not there", t)
	}
	return Load{Ramp(s.Dead/max(s.Live, fewRows), soft, hard),
		fmt.Sprintf("%s has %.0f dead rows beside %.0f live ones: is autovacuum on, and does an old snapshot hinder it?", t, s.Dead, s.Live)}, nil
}
