package expand_test

import (
	"database/sql"
	"strconv"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/switchover"
)

// differing is a bed in Switch with a share of keys, whose rows have an old and a new value that disagree, as no wrapper would leave them.
func differing(t *testing.T, c switchover.Canary, rows int) (*bed, *expand.Repository[user]) {
	t.Helper()
	b := newBed(t, usersSQL, users)
	b.set(switchover.Switch)
	b.db.MustExec(`ALTER TABLE users DISABLE TRIGGER USER`)
	b.db.MustExec(`INSERT INTO users (user_name, full_name, full_name_stamp) SELECT 'old ' || i, 'new ' || i, $1 FROM generate_series(1, $2) i`,
		switchover.Switch.Floor(), rows)
	b.db.MustExec(`ALTER TABLE users ENABLE ALWAYS TRIGGER zz_tandem_full_name_insert; ALTER TABLE users ENABLE ALWAYS TRIGGER zz_tandem_full_name_update`)
	require.NoError(t, switchover.SetCanary(b.ctx, b.db, users.Name(), c, switchover.Options{}))
	require.NoError(t, b.member.Refresh(b.ctx))
	r, err := expand.NewRepository[user](b.db, b.member, users)
	require.NoError(t, err)
	return b, r
}

// Each way of reading a key takes the same column, some keys one and some the other; filters ask old.
func TestCanaryReads(t *testing.T) {
	t.Parallel()
	const rows = 100
	b, r := differing(t, switchover.Canary{Share: 0.5, Tolerance: 1}, rows)
	list, err := r.Select(b.ctx, `ORDER BY id`)
	require.NoError(t, err)
	p, err := users.Pin(b.ctx, b.member)
	require.NoError(t, err)
	defer p.Release()
	kinds := map[string]int{}
	for _, u := range list {
		kinds[u.FullName[:3]]++
		got, err := r.Get(b.ctx, u.ID)
		require.NoError(t, err)
		require.Equal(t, u, got)
		var row struct {
			FullName expand.Value[string, string] `db:"full_name"`
		}
		require.NoError(t, sqlx.GetContext(b.ctx, b.db, &row, `SELECT `+p.Select("users")+` FROM users WHERE id = $1`, u.ID))
		value, err := p.Read(row.FullName, u.ID)
		require.NoError(t, err)
		require.Equal(t, u.FullName, value)
		value, err = p.Read(row.FullName)
		require.NoError(t, err)
		require.Equal(t, "old", value[:3], "without a key nobody knows its share")
	}
	require.Greater(t, kinds["old"], rows/4)
	require.Greater(t, kinds["new"], rows/4)
	found, err := r.Select(b.ctx, `WHERE {full_name} = $1`, users.Arg("old 7"))
	require.NoError(t, err)
	require.Len(t, found, 1)

	require.NoError(t, switchover.SetCanary(b.ctx, b.db, users.Name(), switchover.Canary{Tolerance: 1}, switchover.Options{}))
	require.NoError(t, b.member.Refresh(b.ctx))
	list, err = r.Select(b.ctx, `WHERE {full_name} LIKE $1`, users.Arg("new %"))
	require.NoError(t, err)
	require.Len(t, list, rows)
}

// Writes go to both columns whatever the share, and are read back from either.
func TestCanaryWrites(t *testing.T) {
	t.Parallel()
	b, r := differing(t, switchover.Canary{Share: 0.5, Tolerance: 1}, 20)
	for id := int64(1); id <= 20; id++ {
		u, err := r.Get(b.ctx, id)
		require.NoError(t, err)
		u.FullName = "written by " + u.FullName
		require.NoError(t, r.Update(b.ctx, &u))
		got, err := r.Get(b.ctx, id)
		require.NoError(t, err)
		require.Equal(t, u, got)
	}
	var differ int
	require.NoError(t, b.db.Get(&differ, `SELECT count(*) FROM users WHERE user_name <> full_name`))
	require.Zero(t, differ)
}

// Reads through the wrappers alone, of rows that differ, take the fleet back to Migrate, and what they return is old again.
func TestReadsTakeTheFleetBack(t *testing.T) {
	t.Parallel()
	b, r := differing(t, switchover.Canary{Least: 50}, 100)
	u, err := r.Get(b.ctx, 7)
	require.NoError(t, err)
	require.Equal(t, "new 7", u.FullName)
	_, err = r.Select(b.ctx, `ORDER BY id`)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return b.member.Phase(users.Name()) == switchover.Migrate }, 30*time.Second, 5*time.Millisecond)
	u, err = r.Get(b.ctx, 7)
	require.NoError(t, err)
	require.Equal(t, "old 7", u.FullName)
	var events int
	require.NoError(t, b.db.Get(&events, `SELECT count(*) FROM tandem.event WHERE kind = 'fallback' AND detail LIKE '101 of 101 compared reads of the last minutes differed%'`))
	require.Equal(t, 1, events)
}

// A read that fails for what new holds counts like one that differs: it is what a reader suffers most from.
func TestFailingReadsTakeTheFleetBack(t *testing.T) {
	t.Parallel()
	b, r := differing(t, switchover.Canary{Least: 5}, 1)
	b.db.MustExec(`ALTER TABLE users DISABLE TRIGGER USER; UPDATE users SET full_name = NULL`)
	for range 6 {
		_, err := r.Get(b.ctx, 1)
		require.ErrorIs(t, err, expand.ErrNull)
	}
	require.Eventually(t, func() bool { return b.member.Phase(users.Name()) == switchover.Migrate }, 30*time.Second, 5*time.Millisecond)
	u, err := r.Get(b.ctx, 1)
	require.NoError(t, err)
	require.Equal(t, "old 1", u.FullName)
}

// A key is the same key as a value, as a pointer, as an sql.Null and as bytes.
func TestCanaryKeysOfOtherTypes(t *testing.T) {
	t.Parallel()
	b, _ := differing(t, switchover.Canary{Share: 0.5, Tolerance: 1}, 40)
	p, err := users.Pin(b.ctx, b.member)
	require.NoError(t, err)
	defer p.Release()
	var row struct {
		FullName expand.Value[string, string] `db:"full_name"`
	}
	for id := int64(1); id <= 40; id++ {
		require.NoError(t, sqlx.GetContext(b.ctx, b.db, &row, `SELECT `+p.Select("users")+` FROM users WHERE id = $1`, id))
		want, err := p.Read(row.FullName, id)
		require.NoError(t, err)
		for _, key := range []any{&id, sql.NullInt64{Int64: id, Valid: true}, strconv.FormatInt(id, 10), []byte(strconv.FormatInt(id, 10))} {
			got, err := p.Read(row.FullName, key)
			require.NoError(t, err)
			require.Equal(t, want, got, "%T", key)
		}
	}
}
