package expand_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/switchover"
)

func newUsers(t testing.TB) (*bed, *expand.Repository[user]) {
	t.Helper()
	b := newBed(t, usersSQL, users)
	r, err := expand.NewRepository[user](b.db, b.member, users)
	require.NoError(t, err)
	return b, r
}

// Every operation means the same in every phase, inside and outside a transaction.
func TestRepositoryInEveryPhase(t *testing.T) {
	t.Parallel()
	b, r := newUsers(t)
	for _, ph := range allPhases {
		b.set(ph)
		if ph == switchover.Switch {
			b.db.MustExec(`CREATE UNIQUE INDEX ON users (full_name)`) // the twin that the gate to Switch asks for
		}
		exercise(b.ctx, t, r, "plain "+ph.String())
		require.NoError(t, r.InTx(b.ctx, nil, func(ctx context.Context, tx *expand.Tx) error {
			exercise(ctx, t, r.In(tx), "tx "+ph.String())
			return nil
		}))
	}
	var strays int
	require.NoError(t, b.db.Get(&strays, `SELECT count(*) FROM tandem.stray`))
	require.LessOrEqual(t, strays, 10, "only the writes of Start go around the guard")
}

func exercise(ctx context.Context, t *testing.T, r *expand.Repository[user], name string) {
	t.Helper()
	u := user{FullName: name}
	require.NoError(t, r.Insert(ctx, &u))
	require.NotZero(t, u.ID, "the generated key is read back")
	require.Equal(t, "none", u.Email, "the default is read back")
	requireUser(ctx, t, r, u)

	many := []*user{{FullName: name + " 1", Email: "e1"}, {FullName: name + " 2"}, {FullName: name + " 3"}}
	require.NoError(t, r.InsertMany(ctx, many))
	for _, m := range many {
		requireUser(ctx, t, r, *m)
	}

	note := "a note"
	u.FullName, u.Note = name+" changed", &note
	require.NoError(t, r.Update(ctx, &u))
	requireUser(ctx, t, r, u)
	u.Email = "elsewhere"
	require.NoError(t, r.UpdateColumns(ctx, &u, "email"))
	u.FullName += " again"
	require.NoError(t, r.UpdateColumns(ctx, &u, "full_name"))
	requireUser(ctx, t, r, u)

	up := user{FullName: u.FullName, Email: "upserted"}
	require.NoError(t, r.Upsert(ctx, &up, "full_name"))
	u.Email, u.Note = "upserted", nil
	requireUser(ctx, t, r, u)

	list, err := r.Select(ctx, `WHERE {full_name} LIKE $1 || '%' AND note IS NULL ORDER BY {full_name} DESC LIMIT 2`, users.Arg(name))
	require.NoError(t, err)
	require.Equal(t, []user{u, *many[2]}, list)

	require.NoError(t, r.Delete(ctx, u.ID))
	_, err = r.Get(ctx, u.ID)
	require.ErrorIs(t, err, sql.ErrNoRows)
	require.ErrorIs(t, r.Delete(ctx, u.ID), sql.ErrNoRows)
	require.ErrorIs(t, r.Update(ctx, &u), sql.ErrNoRows)
}

func requireUser(ctx context.Context, t *testing.T, r *expand.Repository[user], want user) {
	t.Helper()
	got, err := r.Get(ctx, want.ID)
	require.NoError(t, err)
	require.Equal(t, want, got)
	list, err := r.Select(ctx, `WHERE {full_name} = $1`, users.Arg(want.FullName))
	require.NoError(t, err)
	require.Equal(t, []user{want}, list)
}

// A row that was written in one phase reads the same in every other phase that the column still exists in, also with a phase that a
// member cached long ago.
func TestReadersRuleAcrossPhases(t *testing.T) {
	t.Parallel()
	b, r := newUsers(t)
	stale := map[switchover.Phase]*expand.Repository[user]{}
	var rows []user
	for _, ph := range allPhases[:5] {
		b.set(ph)
		u := user{FullName: "of " + ph.String()}
		require.NoError(t, r.Insert(b.ctx, &u))
		changed := user{FullName: "before " + ph.String()}
		require.NoError(t, r.Insert(b.ctx, &changed))
		rows = append(rows, u, changed)
		member := b.join()
		cached, err := expand.NewRepository[user](b.db, member, users)
		require.NoError(t, err)
		stale[ph] = cached
		for i := range rows { // so that Contract leaves stale old values behind
			rows[i].FullName += "."
			require.NoError(t, r.UpdateColumns(b.ctx, &rows[i], "full_name"))
		}
		for cachedPhase, repo := range stale {
			for _, want := range rows {
				got, err := repo.Get(b.ctx, want.ID)
				require.NoError(t, err)
				require.Equal(t, want, got, "written in %s, read in %s", ph, cachedPhase)
			}
		}
	}
}

// An unstamped row reads as forward of old, whatever new holds.
func TestUnstampedRowReadsOld(t *testing.T) {
	t.Parallel()
	b, r := newUsers(t)
	u := user{FullName: "right"}
	require.NoError(t, r.Insert(b.ctx, &u))
	for _, ph := range allPhases[1:5] {
		b.setUnseen(switchover.Start)
		b.db.MustExec(`ALTER TABLE users DISABLE TRIGGER USER`)
		b.db.MustExec(`UPDATE users SET full_name = 'wrong', full_name_stamp = NULL`)
		b.set(ph)
		got, err := r.Get(b.ctx, u.ID)
		require.NoError(t, err)
		require.Equal(t, "right", got.FullName, ph)
	}
}

func TestDifferenceIsReported(t *testing.T) {
	t.Parallel()
	b, _ := newUsers(t)
	var seen []switchover.Difference
	member, err := switchover.Join(b.ctx, b.db, switchover.JoinOptions{OnDifference: func(d switchover.Difference) { seen = append(seen, d) }})
	require.NoError(t, err)
	r, err := expand.NewRepository[user](b.db, member, users)
	require.NoError(t, err)
	b.setUnseen(switchover.Migrate)
	require.NoError(t, member.Refresh(b.ctx))
	u := user{FullName: "same"}
	require.NoError(t, r.Insert(b.ctx, &u))
	_, err = r.Get(b.ctx, u.ID)
	require.NoError(t, err)
	require.Empty(t, seen)
	b.db.MustExec(`ALTER TABLE users DISABLE TRIGGER USER`)
	b.db.MustExec(`UPDATE users SET full_name = 'other'`)
	got, err := r.Get(b.ctx, u.ID)
	require.NoError(t, err)
	require.Equal(t, "same", got.FullName, "Migrate reads old")
	require.Len(t, seen, 1)
	require.Equal(t, []string{fmt.Sprint(u.ID)}, seen[0].Key)
	require.Equal(t, "forward of old same, new other", seen[0].Detail)
	require.NoError(t, member.Leave(b.ctx))
	var stored int
	require.NoError(t, b.db.Get(&stored, `SELECT count(*) FROM tandem.mismatch WHERE migration = 'users.full_name' AND source = 'read'`))
	require.Equal(t, 1, stored)
}

// A statement of a phase that has moved on is run again; in a transaction the error says that a retry is safe, and InTx retries.
func TestPhaseMovesUnderARepository(t *testing.T) {
	t.Parallel()
	for _, step := range []struct{ cached, actual switchover.Phase }{
		{switchover.Expand, switchover.Contract}, {switchover.Start, switchover.Contract}, {switchover.Migrate, switchover.Complete},
		{switchover.Contract, switchover.Complete}, {switchover.Switch, switchover.Complete}, {switchover.Start, switchover.Complete},
	} {
		t.Run(fmt.Sprintf("%s to %s", step.cached, step.actual), func(t *testing.T) {
			t.Parallel()
			b, r := newUsers(t)
			b.set(step.cached)
			u := user{FullName: "first"}
			require.NoError(t, r.Insert(b.ctx, &u))
			tx, err := expand.Begin(b.ctx, b.db, b.member, nil)
			require.NoError(t, err)
			b.setUnseen(step.actual)
			require.NoError(t, r.InTx(b.ctx, nil, func(ctx context.Context, tx *expand.Tx) error {
				u.FullName = "second"
				return r.In(tx).Update(ctx, &u)
			}))
			b.db.MustExec(`SELECT 1`)
			err = r.In(tx).Update(b.ctx, &u)
			require.ErrorIs(t, err, expand.ErrPhaseMoved)
			require.NotEmpty(t, pg.SQLState(err), "the SQLSTATE stays in the chain")
			require.NoError(t, tx.Rollback())
			b.setCached(step.cached)
			u.FullName = "third"
			require.NoError(t, r.Update(b.ctx, &u))
			require.Equal(t, step.actual, b.member.Phase(users.Name()))
			requireUser(b.ctx, t, r, u)
		})
	}
}

// setCached lets the member believe in a phase that is past.
func (b *bed) setCached(ph switchover.Phase) {
	b.t.Helper()
	var now switchover.Phase
	require.NoError(b.t, b.db.Get(&now, `SELECT phase FROM tandem.migration`))
	b.db.MustExec(`UPDATE tandem.migration SET phase = $1, epoch = epoch + 1`, ph)
	require.NoError(b.t, b.member.Refresh(b.ctx))
	b.db.MustExec(`UPDATE tandem.migration SET phase = $1, epoch = epoch + 1`, now)
}
