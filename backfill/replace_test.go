package backfill_test

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/switchover"
)

var things = expand.Replace(expand.ReplaceSpec{Table: "things", Into: "things_v2", IntoKey: []string{"day", "id"}})

// thingsSQL is a table and a partitioned one for the same rows.
func thingsSQL(rows int) string {
	return fmt.Sprintf(`CREATE TABLE things (id int PRIMARY KEY, day int NOT NULL, name text);
		INSERT INTO things SELECT i, i %% 3, 'name ' || i FROM generate_series(1, %d) i;
		CREATE TABLE things_v2 (name text, day int, id int, PRIMARY KEY (day, id)) PARTITION BY LIST (day);
		CREATE TABLE things_0 PARTITION OF things_v2 FOR VALUES IN (0);
		CREATE TABLE things_rest PARTITION OF things_v2 DEFAULT`, rows)
}

const (
	elsewhere    = `SELECT count(*) FROM things a FULL JOIN things_v2 b USING (id) WHERE (a.day, a.name) IS DISTINCT FROM (b.day, b.name)`
	copiedThings = `SELECT count(*) FROM things_v2`
)

func TestCopyTable(t *testing.T) {
	t.Parallel()
	b := newBed(t, thingsSQL(1000), things)
	ctx, stop := context.WithCancel(t.Context())
	_, err := backfill.Run(ctx, b.db, things, backfill.Options{Batch: 50, Stripes: 1, Target: 10e9, Progress: func(p backfill.Progress) {
		if p.Rows >= 500 {
			stop()
		}
	}})
	require.ErrorIs(t, err, context.Canceled)
	done := b.number(copiedThings)
	require.Positive(t, done)
	res := b.run()
	require.True(t, res.Resumed)
	require.EqualValues(t, 1000-done, res.Rows)
	require.Zero(t, b.number(elsewhere))
	require.Zero(t, b.run().Rows)
	b.verified(1000)
	_, err = backfill.Run(t.Context(), b.db, things, backfill.Options{Reverse: true})
	require.ErrorIs(t, err, backfill.ErrPhase)
	_, err = backfill.Sweep(t.Context(), b.db, things)
	require.NoError(t, err)
}

// Somebody holds rows while they are to be copied: the copy waits for what becomes of them.
func TestCopyWaitsForWriters(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]string{
		"delete": `DELETE FROM things WHERE id = 7`,
		"update": `UPDATE things SET name = 'changed' WHERE id = 7`,
		"move":   `UPDATE things SET day = 2 WHERE id = 7`,
		"key":    `UPDATE things SET id = 7000 WHERE id = 7`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, thingsSQL(100), things)
			tx := b.db.MustBegin()
			tx.MustExec(write)
			done := make(chan error, 1)
			go func() {
				_, err := backfill.Run(t.Context(), b.db, things, backfill.Options{})
				done <- err
			}()
			require.Eventually(t, func() bool {
				return len(done) > 0 || b.number(`SELECT count(*) FROM pg_locks WHERE NOT granted`) > 0
			}, time.Minute, 5*time.Millisecond)
			require.NoError(t, tx.Commit())
			require.NoError(t, <-done)
			require.Zero(t, b.number(elsewhere))
		})
	}
}

// A transaction that does not see the copy of a row cannot take it away unnoticed.
func TestCopyBehindASnapshot(t *testing.T) {
	t.Parallel()
	for _, level := range []sql.IsolationLevel{sql.LevelRepeatableRead, sql.LevelSerializable} {
		for name, write := range map[string]string{
			"delete": `DELETE FROM things WHERE id = 7`,
			"update": `UPDATE things SET name = 'changed' WHERE id = 7`,
			"move":   `UPDATE things SET day = 2 WHERE id = 7`,
		} {
			t.Run(fmt.Sprint(level, " ", name), func(t *testing.T) {
				t.Parallel()
				b := newBed(t, thingsSQL(100), things)
				tx, err := b.db.BeginTxx(t.Context(), &sql.TxOptions{Isolation: level})
				require.NoError(t, err)
				var n int
				require.NoError(t, tx.Get(&n, copiedThings))
				b.run()
				_, err = tx.Exec(write)
				require.Equal(t, pg.Serialization, pg.SQLState(err), "%v", err)
				require.NoError(t, tx.Rollback())
				require.Zero(t, b.number(elsewhere))
			})
		}
	}
}

// A row that is not copied yet, and one that the new table would not take, can be deleted at every level.
func TestDeleteOfWhatIsNotCopied(t *testing.T) {
	t.Parallel()
	b := newBed(t, thingsSQL(100)+`; ALTER TABLE things_v2 ADD CHECK (name <> 'name 9')`, things)
	for _, level := range []sql.IsolationLevel{sql.LevelReadCommitted, sql.LevelRepeatableRead, sql.LevelSerializable} {
		tx, err := b.db.BeginTxx(t.Context(), &sql.TxOptions{Isolation: level})
		require.NoError(t, err)
		tx.MustExec(`DELETE FROM things WHERE id IN (8, 9)`)
		var n int
		require.NoError(t, tx.Get(&n, copiedThings))
		require.Zero(t, n)
		require.NoError(t, tx.Rollback())
	}
}

// Old binaries write, each in its own way, while the rows are copied.
func TestWritersWhileCopying(t *testing.T) {
	t.Parallel()
	b := newBed(t, thingsSQL(2000), things)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	turns := make(chan struct{})
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for n := range errs {
		wg.Go(func() {
			for turn := 0; ; turn++ {
				for id := n; id <= 2000; id += 4 {
					query := []string{`UPDATE things SET name = $2 WHERE id = $1`, `UPDATE things SET day = day + 1, name = $2 WHERE id = $1`, `DELETE FROM things WHERE id = $1 AND $2 <> ''`,
						`INSERT INTO things VALUES ($1, 5, $2) ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name || '!'`}[(n+turn+id)%4]
					if _, err := b.db.ExecContext(t.Context(), query, id, fmt.Sprint("turn ", turn)); err != nil {
						errs[n] = err
						return
					}
					select {
					case turns <- struct{}{}:
					case <-ctx.Done():
						return
					}
				}
			}
		})
	}
	_, err := backfill.Run(t.Context(), b.db, things, backfill.Options{Batch: 25, Stripes: 1, Target: 10e9, Progress: func(backfill.Progress) {
		for range 8 {
			<-turns
		}
	}})
	stop()
	wg.Wait()
	require.NoError(t, err)
	for _, err := range errs {
		require.NoError(t, err)
	}
	require.Zero(t, b.number(elsewhere))
	b.verified(b.number(`SELECT count(*) FROM things`))
}

// Rows that the new table does not take are set aside one by one, and copied when they are mended.
func TestCopyBadRows(t *testing.T) {
	t.Parallel()
	b := newBed(t, thingsSQL(300)+`; UPDATE things SET name = NULL WHERE id IN (7, 70, 71); ALTER TABLE things_v2 ALTER COLUMN name SET NOT NULL;
		DROP TABLE things_rest; CREATE TABLE things_some PARTITION OF things_v2 FOR VALUES IN (1, 2); UPDATE things SET day = 9 WHERE id = 200`, things)
	res := b.run()
	require.EqualValues(t, 296, res.Rows)
	require.EqualValues(t, 4, res.BadRows)
	require.Equal(t, []string{"200", "7", "70", "71"}, b.texts(badKeys))
	gates, err := switchover.Gates(t.Context(), b.db, things.Name(), switchover.Switch, switchover.Options{})
	require.NoError(t, err)
	require.Contains(t, fmt.Sprint(gates), "bad-rows: 4 rows do not convert")
	_, err = b.db.Exec(`UPDATE things SET name = NULL WHERE id = 1`)
	require.Equal(t, "23502", pg.SQLState(err), "the writer is told")
	b.exec(`UPDATE things SET name = 'mended', day = 1 WHERE id IN (200, 7, 70, 71)`)
	res = b.run()
	require.Zero(t, res.BadRows)
	require.Zero(t, b.number(elsewhere))
}

// Verify finds what is missing, what differs and what should not be there.
func TestVerifyTable(t *testing.T) {
	t.Parallel()
	b := newBed(t, thingsSQL(300), things)
	b.run()
	b.exec(`BEGIN; SELECT set_config('tandem.mirror', 'things_v2', true);
		DELETE FROM things_v2 WHERE id = 10; UPDATE things_v2 SET name = NULL WHERE id = 20; UPDATE things_v2 SET name = name || ' ' WHERE id = 21;
		INSERT INTO things_v2 (day, id) VALUES (0, -1); UPDATE things_v2 SET day = 8 WHERE id = 30; COMMIT`)
	report, err := backfill.Verify(t.Context(), b.db, things, backfill.VerifyOptions{Batch: 100, Target: 10e9})
	require.NoError(t, err)
	requireReport(t, backfill.Report{Rows: 300, Differences: 6, Keys: [][]string{{"10"}, {"20"}, {"21"}, {"30"}, {"0", "-1"}, {"8", "30"}}}, report)
	require.Equal(t, []string{"a row of things_v2 without one in things", "found by verify"}, b.texts(`SELECT DISTINCT detail FROM tandem.mismatch ORDER BY 1`))
	// the way to mend them: touch the rows; the others go by hand
	b.exec(`UPDATE things SET id = id WHERE id IN (10, 20, 21, 30)`)
	b.exec(`BEGIN; SELECT set_config('tandem.mirror', 'things_v2', true); DELETE FROM things_v2 WHERE (day, id) IN ((0, -1), (8, 30)); COMMIT`)
	b.verified(300)
}
