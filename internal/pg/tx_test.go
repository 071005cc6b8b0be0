package pg_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func show(t *testing.T, q sqlx.Queryer) [3]string {
	t.Helper()
	var s [3]string
	require.NoError(t, q.QueryRowx(`SELECT current_setting('lock_timeout'), current_setting('statement_timeout'), current_setting('synchronous_commit')`).Scan(&s[0], &s[1], &s[2]))
	return s
}

// Settings hold in the transaction and nowhere else, whether it commits or not.
func TestInTxSettingsAreLocal(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.SetMaxOpenConns(1)
	before := show(t, db)
	for _, c := range []struct {
		s    pg.Settings
		want [3]string
	}{
		{pg.Settings{}, before},
		{pg.Settings{LockTimeout: 200 * time.Millisecond}, [3]string{"200ms", before[1], before[2]}},
		{pg.Settings{StatementTimeout: 2 * time.Minute}, [3]string{before[0], "2min", before[2]}},
		{pg.Settings{AsyncCommit: true}, [3]string{before[0], before[1], "off"}},
		{pg.Settings{LockTimeout: time.Nanosecond, StatementTimeout: 1001 * time.Microsecond}, [3]string{"1ms", "2ms", before[2]}}, // never 0
		{pg.Settings{LockTimeout: -time.Second}, before},
		{pg.Settings{LockTimeout: time.Second, StatementTimeout: time.Hour, AsyncCommit: true}, [3]string{"1s", "1h", "off"}},
	} {
		for _, fail := range []error{nil, errBusy} {
			err := pg.InTx(t.Context(), db, c.s, func(_ context.Context, tx *sqlx.Tx) error {
				require.Equal(t, c.want, show(t, tx))
				return fail
			})
			require.ErrorIs(t, err, fail)
			require.Equal(t, before, show(t, db))
		}
	}
}

func TestInTxCommitsOrRollsBack(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.SetMaxOpenConns(1)
	db.MustExec(`CREATE TABLE t (n int UNIQUE DEFERRABLE INITIALLY DEFERRED)`)
	write := func(fn func(tx *sqlx.Tx) error) error {
		return pg.InTx(t.Context(), db, pg.Settings{}, func(_ context.Context, tx *sqlx.Tx) error {
			tx.MustExec(`INSERT INTO t VALUES (1)`)
			return fn(tx)
		})
	}
	count := func() (n int) {
		require.NoError(t, db.Get(&n, `SELECT count(*) FROM t`))
		return n
	}
	require.ErrorIs(t, write(func(*sqlx.Tx) error { return errBusy }), errBusy)
	require.Zero(t, count())
	require.Panics(t, func() { _ = write(func(*sqlx.Tx) error { panic("x") }) })
	require.Zero(t, count()) // and the only connection is free again
	require.NoError(t, write(func(*sqlx.Tx) error { return nil }))
	require.Equal(t, 1, count())
	err := write(func(*sqlx.Tx) error { return nil })
	require.ErrorContains(t, err, "commit: ")
	require.Equal(t, "23505", pg.SQLState(err))
	require.Equal(t, 1, count())
}

// A canceled statement comes back as 57014: the context's own reason must be in the chain.
func TestInTxNamesTheContext(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	stop := errors.New("operator said stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	err := pg.InTx(ctx, db, pg.Settings{}, func(ctx context.Context, tx *sqlx.Tx) error {
		cancel(stop)
		_, err := tx.ExecContext(ctx, `SELECT pg_sleep(60)`)
		return err
	})
	require.ErrorIs(t, err, stop)
	require.ErrorIs(t, pg.InTx(ctx, db, pg.Settings{}, nil), stop)
	late, cancelLate := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancelLate()
	err = pg.InTx(late, db, pg.Settings{}, func(ctx context.Context, tx *sqlx.Tx) error {
		_, err := tx.ExecContext(ctx, `SELECT pg_sleep(60)`)
		return err
	})
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestBlockers(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	db, other := pgtest.Open(t, dsn), pgtest.Open(t, dsn+" application_name='the report'")
	table := ident.Table{Schema: "public", Name: "My.Table"}
	db.MustExec(`CREATE TABLE ` + table.SQL() + ` (n int); CREATE TABLE other (n int)`)
	got, err := pg.Blockers(t.Context(), db, table)
	require.NoError(t, err)
	require.Empty(t, got)

	held := other.MustBegin()
	held.MustExec("LOCK TABLE " + table.SQL() + " IN ROW EXCLUSIVE MODE;\n\tSELECT count(*)   FROM other")
	other.MustExec(`BEGIN; INSERT INTO ` + table.SQL() + ` VALUES (1); PREPARE TRANSACTION 'left behind'`)
	t.Cleanup(func() { other.MustExec(`ROLLBACK PREPARED 'left behind'`) })

	got, err = pg.Blockers(t.Context(), db, table)
	require.NoError(t, err)
	require.Len(t, got, 2)
	byPID := map[bool]pg.Blocker{got[0].PID == 0: got[0], got[1].PID == 0: got[1]}
	require.Regexp(t, `^pid \d+ \(the report, idle in transaction, transaction open for .*\) holds RowExclusiveLock: LOCK TABLE .* SELECT count\(\*\) FROM other$`, byPID[false].String())
	require.Regexp(t, `^prepared transaction left behind holds RowExclusiveLock since `, byPID[true].String())

	locked := pg.InTx(t.Context(), db, pg.Settings{LockTimeout: time.Millisecond}, func(ctx context.Context, tx *sqlx.Tx) error {
		_, err := tx.ExecContext(ctx, `LOCK TABLE `+table.SQL()+` IN SHARE MODE`)
		return err
	})
	named := pg.NameBlockers(t.Context(), db, table, locked)
	require.Equal(t, pg.LockNotAvailable, pg.SQLState(named))
	require.ErrorContains(t, named, `in the way on "My.Table": `)
	require.ErrorContains(t, named, "the report")
	require.ErrorContains(t, named, "left behind")
	require.Equal(t, errBusy, pg.NameBlockers(t.Context(), db, table, errBusy))
	require.NoError(t, pg.NameBlockers(t.Context(), db, table, nil))
	require.ErrorContains(t, pg.NameBlockers(t.Context(), db, ident.Table{Schema: "public", Name: "other2"}, locked), "has let go")
	require.NoError(t, held.Rollback())
}
