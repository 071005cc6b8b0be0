package backfill_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/switchover"
)

// What Verify has found is listed with its values, and made of old again: of what old is by then. Rows of Contract and rows that have gone are left alone.
func TestRepair(t *testing.T) {
	t.Parallel()
	for name, p := range childPairs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, usersSQL(5000), p)
			b.run()
			b.verified(5000)
			b.exec(`ANALYZE users`)
			b.advance(p, switchover.Switch)
			b.exec(`ALTER TABLE users DISABLE TRIGGER USER`)
			b.exec(`UPDATE users SET full_name = 'wrong' WHERE id % 2 = 0`)
			b.exec(`UPDATE users SET full_name_stamp = NULL WHERE id = 7`)
			b.exec(`ALTER TABLE users ENABLE TRIGGER USER`)
			report, err := backfill.Verify(b.ctx, b.db, p, backfill.VerifyOptions{})
			require.NoError(t, err)
			require.EqualValues(t, 2501, report.Differences)
			require.Len(t, report.Keys, 1000)
			list, next, err := backfill.Differences(b.ctx, b.db, p, backfill.DifferencesOptions{Limit: 600, Values: true})
			require.NoError(t, err)
			require.Len(t, list, 600)
			more, end, err := backfill.Differences(b.ctx, b.db, p, backfill.DifferencesOptions{Limit: 600, After: next})
			require.NoError(t, err)
			require.Len(t, more, 400)
			require.Zero(t, end)
			require.NotEqual(t, list[0].Key, more[0].Key)
			for _, d := range list {
				if d.Key[0] != "7" {
					require.Equal(t, "wrong", *d.New[0])
					require.Equal(t, "name "+d.Key[0], *d.Old[0])
				}
			}
			// meanwhile one goes, one is written by a wrapper, and one is of Contract
			b.exec(`DELETE FROM users WHERE id = 4`)
			b.exec(`ALTER TABLE users DISABLE TRIGGER USER`)
			b.exec(`UPDATE users SET full_name_stamp = 5 << 24 WHERE id = 6`)
			b.exec(`ALTER TABLE users ENABLE TRIGGER USER`)
			want := map[string]string{"sql": "later", "go": "LATER"}[name]
			b.exec(`UPDATE users SET user_name = 'later', full_name = $1, full_name_stamp = 4 << 24 WHERE id = 8`, want)
			left := 2501
			for left > 1 {
				n, err := backfill.Repair(b.ctx, b.db, p)
				require.NoError(t, err)
				require.Positive(t, n)
				report, err = backfill.Verify(b.ctx, b.db, p, backfill.VerifyOptions{})
				require.NoError(t, err)
				require.Less(t, report.Differences, int64(left))
				if left = int(report.Differences); left == 0 {
					break
				}
			}
			require.Equal(t, []string{"wrong"}, b.texts(`SELECT full_name FROM users WHERE id = 6`))
			require.Equal(t, []string{want}, b.texts(`SELECT full_name FROM users WHERE id = 8`))
			require.Equal(t, 1, b.number(`SELECT count(*) FROM users WHERE full_name = 'wrong'`))
			require.Positive(t, b.number(`SELECT count(*) FROM tandem.event WHERE kind = 'repair'`))
			n, err := backfill.Repair(b.ctx, b.db, p)
			require.NoError(t, err)
			require.Zero(t, n)
		})
	}
	b := newBed(t, bioSQL(10), bio)
	_, err := backfill.Repair(b.ctx, b.db, bio)
	require.ErrorIs(t, err, backfill.ErrTwoTables)
}

// A verification that was killed, or given up, goes on where it was: with what it had counted and listed. One of another copy begins anew.
func TestVerifyResumes(t *testing.T) {
	t.Parallel()
	for name, p := range childPairs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, usersSQL(1000), p)
			b.run()
			b.exec(`ALTER TABLE users DISABLE TRIGGER USER; UPDATE users SET full_name = 'wrong' WHERE id IN (1, 100, 101, 1000); ALTER TABLE users ENABLE TRIGGER USER`)
			_, err := backfill.Verify(b.ctx, b.db, p, backfill.VerifyOptions{Batch: 100, Target: 10e9, Progress: func(p backfill.Progress) {
				if p.Rows == 300 {
					require.NoError(t, backfill.Cancel(b.ctx, b.db, fullName.Name()))
				}
			}})
			require.ErrorIs(t, err, backfill.ErrCancelled)
			require.NoError(t, backfill.Resume(b.ctx, b.db, p.Name()))
			require.Equal(t, 400, b.number(`SELECT rows FROM tandem.range`))
			first := int64(-1)
			report, err := backfill.Verify(b.ctx, b.db, p, backfill.VerifyOptions{Batch: 100, Target: 10e9, Progress: func(p backfill.Progress) {
				if first < 0 {
					first = p.Rows
				}
			}})
			require.NoError(t, err)
			require.EqualValues(t, 500, first)
			requireReport(t, backfill.Report{Rows: 1000, Differences: 4, Keys: [][]string{{"1"}, {"100"}, {"101"}, {"1000"}}}, report)

			// begun, and the copy has gone on since
			_, err = backfill.Verify(b.ctx, b.db, p, backfill.VerifyOptions{Batch: 100, Target: 10e9, Progress: func(backfill.Progress) {
				require.NoError(t, backfill.Cancel(b.ctx, b.db, fullName.Name()))
			}})
			require.ErrorIs(t, err, backfill.ErrCancelled)
			require.NoError(t, backfill.Resume(b.ctx, b.db, p.Name()))
			b.exec(`UPDATE tandem.backfill SET written_at = clock_timestamp() WHERE kind = 'copy'`)
			report, err = backfill.Verify(b.ctx, b.db, p, backfill.VerifyOptions{})
			require.NoError(t, err)
			require.EqualValues(t, 1000, report.Rows)
			require.EqualValues(t, 4, report.Differences)
			require.Len(t, report.Keys, 4)
		})
	}
}

// Only the keys that are named are repaired, whatever is in them; and none where old is not the truth.
func TestRepairOfSome(t *testing.T) {
	t.Parallel()
	p := expand.Rename[string]("odd", "a", "b", "k", "n")
	b := newBed(t, `CREATE TABLE odd (k text, n int, a text NOT NULL, PRIMARY KEY (k, n)); INSERT INTO odd SELECT k, 1, 'v' FROM unnest(ARRAY['x', 'a,b', '{"c"}', '\d', 'NULL', '']) k`, p)
	b.run()
	b.around(`UPDATE odd SET b = 'wrong'`)
	report, err := backfill.Verify(b.ctx, b.db, p, backfill.VerifyOptions{})
	require.NoError(t, err)
	require.Len(t, report.Keys, 6)
	left := 6
	for _, key := range report.Keys {
		n, err := backfill.Repair(b.ctx, b.db, p, key, []string{"no such", "1"})
		require.NoError(t, err)
		require.EqualValues(t, 1, n, key)
		left--
		require.Equal(t, left, b.number(`SELECT count(*) FROM odd WHERE b = 'wrong'`))
	}
	b.verified(6)
	b.exec(`ANALYZE odd`)
	b.exec(`UPDATE tandem.migration SET phase = 'Contract', guard = 'reject'`)
	_, err = backfill.Repair(b.ctx, b.db, p)
	require.ErrorIs(t, err, backfill.ErrPhase)
	b.exec(`UPDATE tandem.migration SET phase = 'Switch', guard = 'reverse'`)
	_, err = backfill.Repair(b.ctx, b.db, p)
	require.ErrorIs(t, err, backfill.ErrPhase)
}

// A set is repaired like a column.
func TestRepairOfASet(t *testing.T) {
	t.Parallel()
	for name, sql := range map[string]bool{"go": false, "sql": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, usersSQL(100), tokens(sql))
			b.run()
			b.around(`UPDATE users SET raw = 'wrong' WHERE id = 1`, `UPDATE users SET name = 'wrong' WHERE id = 100`)
			_, err := backfill.Verify(b.ctx, b.db, b.pair, backfill.VerifyOptions{})
			require.NoError(t, err)
			n, err := backfill.Repair(b.ctx, b.db, b.pair)
			require.NoError(t, err)
			require.EqualValues(t, 2, n)
			b.verified(100)
		})
	}
}
