package main

import (
	"context"
	"testing"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/contract"
	"github.com/tandem-go/tandem/examples/internal/trial"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/switchover"
)

// wayBack goes from Contract to the table of before; from an earlier phase, begin at that line.
func wayBack(ctx context.Context, db *sqlx.DB) error {
	revert := func(to switchover.Phase) error {
		return switchover.Revert(ctx, db, PriceCents.Name(), to, switchover.Options{})
	}
	for _, step := range []func() error{
		// from Contract: everybody writes both columns again, price gets what it has missed, and then NOT NULL and the guard that repairs
		func() error { return revert(switchover.Switch) },
		func() error { _, err := backfill.Run(ctx, db, PriceCents, backfill.Options{Reverse: true}); return err },
		func() error { return contract.Apply(ctx, db, PriceCents, contract.Restore, contract.Options{}) },
		// from Switch, from Migrate, from Expand: at once
		func() error { return revert(switchover.Migrate) },
		func() error { return revert(switchover.Expand) },
		func() error { return revert(switchover.Start) },
		// from Start: price_cents goes
		func() error { return expand.Undo(ctx, db, PriceCents, expand.Options{}) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func TestWayBack(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	db, shop := pgtest.Open(t, dsn), pgtest.Open(t, dsn)
	require.NoError(t, createTable(t.Context(), db, minRows))
	l := newLoad(minRows)
	op := &operator{db: db, load: l, say: t.Logf, stopOld: l.Start(t.Context(), l.old(db))}
	require.NoError(t, l.serve(t.Context(), shop, func(ctx context.Context) error {
		for _, step := range story[:6] { // all but the drop
			if err := step.Do(op, ctx); err != nil {
				return err
			}
		}
		if err := l.Wait(ctx); err != nil { // writes of price_cents alone
			return err
		}
		if err := wayBack(ctx, db); err != nil {
			return err
		}
		return l.Wait(ctx)
	}))
	s := trial.Stage{Say: t.Logf}
	l.Report(&s)
	s.Operations = 0
	require.NoError(t, prove(t.Context(), db, l, "round(price * 100)::bigint", &s.Result))
	require.Zero(t, s.Result)
	var columns []string
	require.NoError(t, db.Select(&columns, `SELECT attname || ' ' || attnotnull FROM pg_attribute
		WHERE attrelid = 'items'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum`))
	require.Equal(t, []string{"id true", "name true", "price true"}, columns)
}
