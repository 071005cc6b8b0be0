package main

import (
	"context"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/contract"
	"github.com/tandem-go/tandem/examples/internal/trial"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/switchover"
)

// wayBack is that of examples/retype, with another pair, and with a person to mend whom full_name cannot hold.
func wayBack(ctx context.Context, t *testing.T, db *sqlx.DB, mend func()) {
	t.Helper()
	revert := func(to switchover.Phase) {
		require.NoError(t, switchover.Revert(ctx, db, Names.Name(), to, switchover.Options{}))
	}
	reverse := func() int64 {
		done, err := backfill.Run(ctx, db, Names, backfill.Options{Reverse: true})
		require.NoError(t, err)
		return done.BadRows
	}
	restore := func() error { return contract.Apply(ctx, db, Names, contract.Restore, contract.Options{}) }

	revert(switchover.Switch)
	require.Equal(t, int64(1), reverse(), "a first name of two words")
	require.ErrorContains(t, restore(), "rows of Contract wait for their old value: 1 rows")
	mend()
	require.Zero(t, reverse())
	require.NoError(t, restore())
	revert(switchover.Migrate)
	revert(switchover.Expand)
	revert(switchover.Start)
	require.NoError(t, expand.Undo(ctx, db, Names, expand.Options{}))
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
	ada, mononym := Person{ID: 14, FirstName: "Ada Maria", LastName: some("Lovelace"), Place: some(Point{51.5, -0.25})}, Person{ID: 24, FirstName: "Sappho"}
	require.NoError(t, l.serve(t.Context(), pgtest.Open(t, dsn), func(ctx context.Context) error {
		for _, step := range story[:7] { // up to the drop of full_name
			if err := step.Do(op, ctx); err != nil {
				return err
			}
		}
		write := desk(ctx, t, db, l)
		write(ada)
		write(mononym)
		if err := l.Wait(ctx); err != nil { // writes of first_name and last_name alone
			return err
		}
		wayBack(ctx, t, db, func() {
			ada.FirstName = "Ada-Maria"
			write(ada)
		})
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

// desk is a member that joins now, and writes whom the load leaves alone.
func desk(ctx context.Context, t *testing.T, db *sqlx.DB, l *load) (write func(Person)) {
	t.Helper()
	member, err := switchover.Join(ctx, db, switchover.JoinOptions{Service: "desk", Poll: 50 * time.Millisecond})
	require.NoError(t, err)
	t.Cleanup(func() { _ = member.Leave(context.WithoutCancel(ctx)) })
	people, err := expand.NewRepository[Person](db, member, Names, Places)
	require.NoError(t, err)
	return func(p Person) {
		l.Once(ctx, func(ctx context.Context, _ int64) (int64, Person, error) {
			err := people.Update(ctx, &p)
			require.NoError(t, err)
			return p.ID, p, err
		}, 0)
	}
}
