package contract_test

import (
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/contract"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/switchover"
)

// A writer of either table holds the swap off, and is named; he ends as he has begun, and the next is refused, whatever his snapshot.
func TestMoveSwapWaitsForBothTables(t *testing.T) {
	t.Parallel()
	for table, write := range map[string]string{"users": `UPDATE users SET email = 'x' WHERE id = 1`, "profiles": `UPDATE profiles SET avatar = 'x' WHERE user_id = 1`} {
		m := newMover(t)
		m.toSwitch()
		m.apply(contract.Relax)
		snapshot, err := m.db.BeginTxx(m.ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
		require.NoError(t, err)
		defer func() { _ = snapshot.Rollback() }()
		_, err = snapshot.Exec(`SELECT count(*) FROM tandem.migration`)
		require.NoError(t, err)
		writer, err := m.db.BeginTxx(m.ctx, nil)
		require.NoError(t, err)
		defer func() { _ = writer.Rollback() }()
		_, err = writer.Exec(write)
		require.NoError(t, err)
		o := switchover.Options{Quiet: switchover.None, Soak: switchover.None, LockTimeout: time.Millisecond, Attempts: 1}
		require.Eventually(t, func() bool { // until the member has acknowledged
			err = switchover.Advance(m.ctx, m.db, bio.Name(), switchover.Contract, o)
			return pg.SQLState(err) == pg.LockNotAvailable
		}, waitTime, 10*time.Millisecond, "%v", err)
		require.ErrorContains(t, err, "in the way on "+table)
		_, err = writer.Exec(`UPDATE users SET bio = 'written' WHERE id = 1`)
		require.NoError(t, err)
		require.NoError(t, writer.Commit())
		require.NoError(t, switchover.Advance(m.ctx, m.db, bio.Name(), switchover.Contract, o))
		_, err = snapshot.Exec(`UPDATE users SET bio = 'late' WHERE id = 2`)
		require.Equal(t, pg.StaleStamp, pg.SQLState(err), "%v", err)
		require.Equal(t, []string{"written"}, m.texts(`SELECT bio FROM profiles WHERE user_id = 1`))
	}
}

// The gates look at the table that the columns are in, and say so.
func TestMoveGates(t *testing.T) {
	t.Parallel()
	m := newMover(t)
	gates := func(to switchover.Phase) (out []string) {
		list, err := switchover.Gates(m.ctx, m.db, bio.Name(), to, switchover.Options{Quiet: switchover.None, Soak: switchover.None})
		require.NoError(t, err)
		for _, g := range list {
			if g.Name != "members" { // the member may not have said so yet
				out = append(out, g.String())
			}
		}
		return out
	}
	require.Empty(t, gates(switchover.Expand))
	m.exec(`ALTER TABLE profiles DISABLE TRIGGER zz_tandem_bio_insert; ALTER TABLE users DISABLE TRIGGER "zz_tandem_profiles.bio_row"`)
	require.Equal(t, []string{"guard: 7 of the guard's 9 triggers (repair) are on users and profiles and ENABLE ALWAYS: run expand.Apply"}, gates(switchover.Expand))
	require.NoError(t, expand.Apply(m.ctx, m.db, bio, expand.Options{}))
	require.Empty(t, gates(switchover.Expand))
	m.toMigrate()
	_, err := backfill.Verify(m.ctx, m.db, bio, backfill.VerifyOptions{})
	require.NoError(t, err)
	require.Equal(t, []string{
		"twins: index users_bio has no valid twin on bio: run expand.ApplyTwins",
		"twins: index users_unique has no valid twin on bio: run expand.ApplyTwins",
		"twins: check short of users: if profiles needs its like, make it there by hand, then waive",
		"statistics: the planner knows nothing of bio: run ANALYZE profiles (expand.ApplyTwins does)"}, gates(switchover.Switch))
	m.exec(`CREATE INDEX by_hand ON profiles (bio); ANALYZE profiles`)
	require.Len(t, gates(switchover.Switch), 2)
	require.NoError(t, expand.ApplyTwins(m.ctx, m.db, bio, expand.Options{}))
	require.Equal(t, 1, m.number(`SELECT count(*) FROM pg_indexes WHERE tablename = 'profiles' AND indexdef LIKE '%(bio)'`))
	m.toSwitch()
	require.Contains(t, gates(switchover.Contract)[0], `bio still has NOT NULL, its default, short, users_unique, which`)
	m.apply(contract.Relax)
	m.advance(switchover.Contract)
	m.exec(`ALTER TABLE profiles DISABLE TRIGGER USER; UPDATE profiles SET bio_stamp = NULL WHERE user_id < 4; DELETE FROM profiles WHERE user_id = 5`)
	require.Equal(t, []string{"unstamped: 4 rows (counted to 1000) have no stamp, only their old value is right: run backfill.Run"}, gates(switchover.Complete))
	m.exec(`ALTER TABLE profiles ENABLE TRIGGER USER`)
	res, err := backfill.Run(m.ctx, m.db, bio, backfill.Options{})
	require.NoError(t, err)
	require.EqualValues(t, 4, res.Rows)
	require.Empty(t, gates(switchover.Complete))
}
