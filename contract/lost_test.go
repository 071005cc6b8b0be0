package contract_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"testing"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/contract"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/switchover"
)

var cutStep = flag.Int("cut.step", 13, "TestLostConnection cuts at every n-th message")

// operation is one thing that an operator does.
type operation struct {
	name string
	do   func(ctx context.Context, db *sqlx.DB) error
}

func advanceTo(to switchover.Phase) operation {
	return operation{"advance to " + to.String(), func(ctx context.Context, db *sqlx.DB) error {
		return switchover.Advance(ctx, db, fullName.Name(), to, quick)
	}}
}

func stageOf(stage contract.Stage) operation {
	return operation{stage.String(), func(ctx context.Context, db *sqlx.DB) error {
		return contract.Apply(ctx, db, fullName, stage, contract.Options{Gates: quick})
	}}
}

func copyRows(name string, reverse bool) operation {
	return operation{name, func(ctx context.Context, db *sqlx.DB) error {
		_, err := backfill.Run(ctx, db, fullName, backfill.Options{Reverse: reverse, Batch: 250, Stripes: 1})
		return err
	}}
}

// walk is a whole migration, with the way back from Contract in it.
var walk = []operation{
	{"apply", func(ctx context.Context, db *sqlx.DB) error { return expand.Apply(ctx, db, fullName, expand.Options{}) }},
	advanceTo(switchover.Expand),
	advanceTo(switchover.Migrate),
	copyRows("run", false),
	{"twins", func(ctx context.Context, db *sqlx.DB) error {
		return expand.ApplyTwins(ctx, db, fullName, expand.Options{})
	}},
	{"verify", func(ctx context.Context, db *sqlx.DB) error {
		_, err := backfill.Verify(ctx, db, fullName, backfill.VerifyOptions{Batch: 500})
		return err
	}},
	advanceTo(switchover.Switch),
	stageOf(contract.Relax),
	advanceTo(switchover.Contract),
	stageOf(contract.Finish),
	{"revert to Switch", func(ctx context.Context, db *sqlx.DB) error {
		return switchover.Revert(ctx, db, fullName.Name(), switchover.Switch, quick)
	}},
	copyRows("reverse", true),
	stageOf(contract.Restore),
	stageOf(contract.Relax),
	advanceTo(switchover.Contract),
	stageOf(contract.Finish),
	stageOf(contract.Drop),
}

// done tells whether an operation that was cut, and is then done again, says that it was through already.
func done(err error) bool {
	return err == nil || errors.Is(err, switchover.ErrStep) || errors.Is(err, contract.ErrPhase)
}

// outcome is everything that an operation may have changed, but for times and who did it.
func outcome(t *testing.T, db *sqlx.DB) []string {
	t.Helper()
	lines, err := catalog.Describe(t.Context(), db, fullName.Definition().Table)
	require.NoError(t, err)
	for _, query := range []string{
		`SELECT md5(string_agg((to_jsonb(u) || jsonb_build_object('full_name_stamp', (to_jsonb(u)->>'full_name_stamp')::int >> 24))::text, '|' ORDER BY id)) FROM users u`,
		`SELECT format('%s %s %s', phase, guard, relaxed) FROM tandem.migration`,
		`SELECT format('%s %s %s %s', kind, owner, position, finished_at IS NULL) FROM tandem.backfill ORDER BY kind`,
		`SELECT count(*)::text FROM tandem.mismatch`,
		`SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = 'tandem'::regnamespace ORDER BY 1`,
		`SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid`,
	} {
		var more []string
		require.NoError(t, db.SelectContext(t.Context(), &more, query))
		lines = append(lines, more...)
	}
	return lines
}

// Each operation is cut at each message that it sends to the server, once before the server sees it and once after the server has done it. It either mends that itself or
// returns an error that names the migration; done again, everything is as if nothing had happened.
func TestLostConnection(t *testing.T) {
	t.Parallel()
	db, base := ownDatabase(t, pgtest.DSN(t))
	db.MustExec(usersSQL)
	require.NoError(t, db.Close())
	points := 0
	for i, op := range walk {
		whole := &pgtest.Cut{}
		dsn := pgtest.Copy(t, base)
		db, next := ownDatabase(t, dsn)
		counted := pgtest.OpenCut(t, dsn, whole)
		require.NoError(t, op.do(t.Context(), counted), op.name)
		require.NoError(t, counted.Close())
		want := outcome(t, db)
		require.NoError(t, db.Close())
		t.Run(fmt.Sprintf("%d %s", i, op.name), func(t *testing.T) {
			for at := int64(1 + i%*cutStep); at <= whole.Sent(); at += int64(*cutStep) {
				for _, after := range []bool{false, true} {
					if cutOnce(t, op, base, &pgtest.Cut{At: at, After: after}, want) {
						points++
					}
				}
			}
		})
		base = next
	}
	t.Logf("%d cuts", points)
	require.Greater(t, points, 100)
}

func cutOnce(t *testing.T, op operation, base string, cut *pgtest.Cut, want []string) (reached bool) {
	t.Helper()
	dsn := pgtest.Copy(t, base)
	broken := pgtest.OpenCut(t, dsn, cut)
	if err := op.do(t.Context(), broken); err != nil {
		require.ErrorContains(t, err, fullName.Name(), "message %d", cut.At)
	}
	_ = broken.Close() // its connection is closed already
	db, _ := ownDatabase(t, dsn)
	if err := op.do(t.Context(), db); !done(err) {
		require.NoError(t, err, "again after message %d, after %v", cut.At, cut.After)
	}
	require.Equal(t, want, outcome(t, db), "message %d, after %v", cut.At, cut.After)
	require.NoError(t, db.Close())
	return cut.Reached() // not always: a pool does not open the same number of connections each time
}

// ownDatabase opens a database and tells its name.
func ownDatabase(t *testing.T, dsn string) (db *sqlx.DB, name string) {
	t.Helper()
	db = pgtest.Open(t, dsn)
	require.NoError(t, db.GetContext(t.Context(), &name, `SELECT current_database()`))
	return db, name
}
