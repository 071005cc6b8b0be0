package expand_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/switchover"
)

// lose takes all rows from the state tables, past the triggers that keep them.
func (b *bed) lose() {
	b.t.Helper()
	b.db.MustExec(`ALTER TABLE tandem.migration DISABLE TRIGGER USER; TRUNCATE tandem.migration; ALTER TABLE tandem.migration ENABLE TRIGGER USER;
		DELETE FROM tandem.backfill; DELETE FROM tandem.event`)
}

// In every phase: a running member goes on in the phase that it knows, a new one is told what to do instead of writing old alone, and Apply finds the way back by the guard.
func TestLostRow(t *testing.T) {
	t.Parallel()
	for _, ph := range allPhases[:5] {
		t.Run(ph.String(), func(t *testing.T) {
			t.Parallel()
			b := newBed(t, usersSQL, users)
			b.set(ph)
			r, err := expand.NewRepository[user](b.db, b.member, users)
			require.NoError(t, err)
			row := user{FullName: "ada"}
			require.NoError(t, r.Insert(b.ctx, &row))
			b.lose()
			require.NoError(t, b.member.Refresh(b.ctx))
			require.Equal(t, ph, b.member.Phase(users.Name()))
			row.FullName = "ada lovelace"
			require.NoError(t, r.Update(b.ctx, &row))
			again, err := r.Get(b.ctx, row.ID)
			require.NoError(t, err)
			require.Equal(t, row, again)

			late := b.join()
			other, err := expand.NewRepository[user](b.db, late, users)
			require.NoError(t, err)
			_, err = other.Get(b.ctx, row.ID)
			require.ErrorIs(t, err, switchover.ErrLost)
			require.ErrorContains(t, err, "run expand.Apply")
			require.ErrorIs(t, other.Insert(b.ctx, &user{FullName: "bob"}), switchover.ErrLost)
			_, err = users.Pin(b.ctx, late)
			require.ErrorIs(t, err, switchover.ErrLost)

			require.NoError(t, expand.Apply(b.ctx, b.db, users, expand.Options{}))
			require.NoError(t, expand.Apply(b.ctx, b.db, users, expand.Options{}))
			want := switchover.Start
			if ph == switchover.Contract {
				want = ph
			}
			for _, m := range []*switchover.Member{b.member, late} {
				require.NoError(t, m.Refresh(b.ctx))
				require.Equal(t, want, m.Phase(users.Name()))
			}
			again, err = other.Get(b.ctx, row.ID)
			require.NoError(t, err)
			require.Equal(t, row, again)
			require.NoError(t, other.Insert(b.ctx, &user{FullName: "bob"}))
			var event string
			require.NoError(t, b.db.Get(&event, `SELECT detail FROM tandem.event`))
			require.Contains(t, event, "its row was lost")
		})
	}
}

// The state tables and the guard with them are gone, but the rows say that Contract was reached: nothing begins again in Start.
func TestLostSchemaAfterContract(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL, users)
	b.set(switchover.Contract)
	r, err := expand.NewRepository[user](b.db, b.member, users)
	require.NoError(t, err)
	require.NoError(t, r.Insert(b.ctx, &user{FullName: "ada"}))
	b.db.MustExec(`DROP SCHEMA tandem CASCADE`)
	err = expand.Apply(b.ctx, b.db, users, expand.Options{})
	require.ErrorIs(t, err, switchover.ErrLost)
	require.ErrorContains(t, err, "restore schema tandem from a backup")
}

// A migration that is undone is no loss, and one that is started anew under a member is not taken for one.
func TestUndoneIsNotLost(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL, users)
	r, err := expand.NewRepository[user](b.db, b.member, users)
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, expand.Undo(b.ctx, b.db, users, expand.Options{}))
		require.NoError(t, b.member.Refresh(b.ctx))
		require.NoError(t, r.Insert(b.ctx, &user{FullName: time.Now().String()}))
		late := b.join()
		other, err := expand.NewRepository[user](b.db, late, users)
		require.NoError(t, err)
		require.NoError(t, other.Insert(context.WithoutCancel(b.ctx), &user{FullName: time.Now().String()}))
		require.NoError(t, expand.Apply(b.ctx, b.db, users, expand.Options{}))
		require.NoError(t, other.Insert(b.ctx, &user{FullName: time.Now().String()}))
		require.NoError(t, b.member.Refresh(b.ctx))
	}
}

// Where the guard of a lost row is taken away by hand, nothing is there any more to tell of: programs go on as before the start without being restarted.
func TestGuardTakenAwayByHand(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL, users)
	b.lose()
	late := b.join()
	r, err := expand.NewRepository[user](b.db, late, users)
	require.NoError(t, err)
	require.ErrorIs(t, r.Insert(b.ctx, &user{FullName: "ada"}), switchover.ErrLost)
	require.NoError(t, late.Refresh(b.ctx))
	require.ErrorIs(t, r.Insert(b.ctx, &user{FullName: "ada"}), switchover.ErrLost)
	for _, statement := range guard.Remove(users.Definition()) {
		b.db.MustExec(statement)
	}
	require.NoError(t, late.Refresh(b.ctx))
	require.NoError(t, r.Insert(b.ctx, &user{FullName: "ada"}))
}

// Apply and Join each bring a state schema of the first version up to date, and find the migration in it.
func TestApplyAndJoinUpgradeTheState(t *testing.T) {
	t.Parallel()
	first, err := os.ReadFile("../internal/state/schema_1.sql")
	require.NoError(t, err)
	for name, call := range map[string]func(b *bed) error{
		"apply": func(b *bed) error { return expand.Apply(b.ctx, b.db, users, expand.Options{}) },
		"join":  func(b *bed) error { b.join(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := &bed{t: t, ctx: t.Context(), db: pgtest.New(t)}
			b.db.MustExec(usersSQL + `; CREATE SCHEMA tandem; ` + string(first) + `; COMMENT ON SCHEMA tandem IS 'tandem state, version 1'`)
			_, err := expand.Plan(b.ctx, b.db, users)
			require.ErrorIs(t, err, switchover.ErrOlder)
			require.NoError(t, call(b))
			_, err = expand.Plan(b.ctx, b.db, users)
			require.NoError(t, err)
		})
	}
}
