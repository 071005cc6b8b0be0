package state

import (
	"context"
	"fmt"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/pair"
	"github.com/tandem-go/tandem/internal/pg"
)

// Guarded is a table and the trigger by which the guard of one of its pairs is known.
type Guarded struct {
	Schema  string `db:"nspname"`
	Table   string `db:"relname"`
	Trigger string `db:"tgname"`
}

// GuardOf is where the guard of a pair is, if it has one.
func GuardOf(d pair.Definition) Guarded {
	return Guarded{Schema: d.Table.Schema, Table: d.Table.Name, Trigger: guard.Names(d)[0]}
}

// Guards lists what looks like a guard, whether a migration is registered for it or not.
func Guards(ctx context.Context, q sqlx.QueryerContext) (map[Guarded]bool, error) {
	var list []Guarded
	err := sqlx.SelectContext(ctx, q, &list, `SELECT n.nspname, c.relname, g.tgname FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid
		JOIN pg_namespace n ON n.oid = c.relnamespace WHERE g.tgname LIKE 'zz\_tandem\_%' AND NOT g.tgisinternal AND g.tgparentid = 0`)
	if err != nil {
		return nil, fmt.Errorf("guards: %w", pg.Cause(ctx, err))
	}
	out := make(map[Guarded]bool, len(list))
	for _, g := range list {
		out[g] = true
	}
	return out, nil
}
