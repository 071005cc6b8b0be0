package backfill

import (
	"context"
	"fmt"
	"slices"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/state"
)

// window are the arguments for task.between.
func window(pos state.Position) []any { return append(anys(pos.High), anys(pos.Low)...) }

func anys(key []string) []any {
	out := make([]any, len(key))
	for i, k := range key {
		out[i] = k
	}
	return out
}

// at says where in the table an error came up.
func at(pos state.Position, err error) error {
	if pos.Low == nil {
		return fmt.Errorf("in the first window: %w", err)
	}
	return fmt.Errorf("after key %v: %w", pos.Low, err)
}

func equal(a, b []string) bool { return slices.Equal(a, b) }

// countUpTo is how many rows are counted; beyond, the planner's estimate is good enough for a progress bar and costs nothing.
const countUpTo = 100_000

func estimate(ctx context.Context, db *sqlx.DB, t ident.Table) (int64, error) {
	var n int64
	err := db.GetContext(ctx, &n, `SELECT count(*) FROM (SELECT FROM `+t.SQL()+` LIMIT $1) x`, countUpTo+1)
	if err == nil && n > countUpTo {
		err = db.GetContext(ctx, &n, `SELECT greatest($2, sum(c.reltuples))::bigint FROM pg_class c
			WHERE c.oid = to_regclass($1) OR c.oid IN (SELECT relid FROM pg_partition_tree(to_regclass($1)) WHERE isleaf)`, t.SQL(), n)
	}
	if err != nil {
		return 0, fmt.Errorf("rows of %s: %w", t, pg.Cause(ctx, err))
	}
	return n, nil
}
