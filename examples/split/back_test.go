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

// wayBack is that of examples/retype, with another pair.
func wayBack(ctx context.Context, db *sqlx.DB) error {
	if err := switchover.Revert(ctx, db, Names.Name(), switchover.Switch, switchover.Options{}); err != nil {
		return err
	}
	if _, err := backfill.Run(ctx, db, Names, backfill.Options{Reverse: true}); err != nil {
		return err
	}
	if err := contract.Apply(ctx, db, Names, contract.Restore, contract.Options{}); err != nil {
		return err
	}
	for _, to := range []switchover.Phase{switchover.Migrate, switchover.Expand, switchover.Start} {
		if err := switchover.Revert(ctx, db, Names.Name(), to, switchover.Options{}); err != nil {
			return err
		}
	}
	return expand.Undo(ctx, db, Names, expand.Options{})
}

// The names go to Contract and back to the column of before, while the places stay in Switch: everybody's name is in full_name again.
func TestWayBack(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	db := pgtest.Open(t, dsn)
	require.NoError(t, createTable(t.Context(), db, minRows))
	l := newLoad(minRows)
	s := &trial.Stage{Say: t.Logf, DB: map[string]*sqlx.DB{"operator": db, oldBinary: db, script: db}}
	op := newOperator(t.Context(), s, l)
	require.NoError(t, l.serve(t.Context(), pgtest.Open(t, dsn), func(ctx context.Context) error {
		for _, step := range story[:7] { // up to the drop of full_name
			if err := step.Do(op, ctx); err != nil {
				return err
			}
		}
		if err := l.Wait(ctx); err != nil { // writes of first_name and last_name alone
			return err
		}
		if err := wayBack(ctx, db); err != nil {
			return err
		}
		return l.Wait(ctx)
	}))
	l.Report(s)
	s.Operations = 0
	for _, people := range []shape{inOld, append(append(shape{}, oldNames...), newPlaces...)} {
		require.NoError(t, prove(t.Context(), db, l, people, &s.Result))
	}
	require.Zero(t, s.Result)
	var columns []string
	require.NoError(t, db.Select(&columns, `SELECT attname || ' ' || attnotnull FROM pg_attribute
		WHERE attrelid = 'people'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum`))
	require.Equal(t, []string{"id true", "full_name true", "lat false", "lon false", "place false", "place_stamp false"}, columns)
}
