package expand_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/switchover"
)

// By the column of the pair an upsert finds its row in every phase, inside and outside a transaction, whichever column has a unique index just then.
func TestUpsertByThePair(t *testing.T) {
	t.Parallel()
	b, r := newUsers(t)
	ada := user{FullName: "Ada"}
	require.NoError(t, r.Insert(b.ctx, &ada))
	twins := func() { require.NoError(t, expand.ApplyTwins(b.ctx, b.db, users, expand.Options{})) }
	relax := func() { b.db.MustExec(`ALTER TABLE users DROP CONSTRAINT users_user_name_key`) }
	restore := func() {
		b.db.MustExec(`UPDATE users SET user_name = full_name, full_name_stamp = $1 + 1`, switchover.Switch.Floor()) // the reverse backfill
		b.db.MustExec(`ALTER TABLE users ADD CONSTRAINT users_user_name_key UNIQUE (user_name)`)
	}
	for _, c := range []struct {
		name  string
		phase switchover.Phase
		do    func()
	}{
		{"start", switchover.Start, nil},
		{"expand", switchover.Expand, nil},
		{"migrate", switchover.Migrate, nil},
		{"migrate with twin", switchover.Migrate, twins},
		{"switch", switchover.Switch, nil},
		{"relaxed", switchover.Switch, relax},
		{"relaxed and reverted to migrate", switchover.Migrate, nil},
		{"relaxed and reverted to expand", switchover.Expand, nil},
		{"relaxed again", switchover.Switch, nil},
		{"contract", switchover.Contract, nil},
		{"reverted, not restored", switchover.Switch, nil},
		{"restored", switchover.Switch, restore},
		{"contract again", switchover.Contract, relax},
		{"complete", switchover.Complete, nil},
	} {
		b.set(c.phase)
		if c.do != nil {
			c.do()
		}
		upsertBoth(b.ctx, t, r, ada.ID, c.name)
		require.NoError(t, r.InTx(b.ctx, nil, func(ctx context.Context, tx *expand.Tx) error {
			upsertBoth(ctx, t, r.In(tx), ada.ID, c.name+" in a transaction")
			return nil
		}), c.name)
	}
}

// upsertBoth upserts a row that is there and one that is not.
func upsertBoth(ctx context.Context, t *testing.T, r *expand.Repository[user], id int64, name string) {
	t.Helper()
	found := user{FullName: "Ada", Email: name}
	require.NoError(t, r.Upsert(ctx, &found, "full_name"), name)
	require.Equal(t, id, found.ID, name)
	requireUser(ctx, t, r, found)
	fresh := user{FullName: name}
	require.NoError(t, r.Upsert(ctx, &fresh, "full_name"), name)
	requireUser(ctx, t, r, fresh)
	require.NoError(t, r.Delete(ctx, fresh.ID), name)
}

// Old decides nothing from Switch on: a member that is late by the swap must not find a row by the name it had before.
func TestUpsertAfterTheSwap(t *testing.T) {
	t.Parallel()
	b, r := newUsers(t)
	b.set(switchover.Migrate)
	require.NoError(t, expand.ApplyTwins(b.ctx, b.db, users, expand.Options{}))
	b.set(switchover.Switch)
	renamed := user{FullName: "before"}
	require.NoError(t, r.Insert(b.ctx, &renamed))
	b.set(switchover.Contract) // without Relax, as if its gate were waived
	renamed.FullName = "after"
	require.NoError(t, r.Update(b.ctx, &renamed))
	b.setCached(switchover.Switch)
	err := r.Upsert(b.ctx, &user{FullName: "before"}, "full_name")
	require.Equal(t, "23505", pg.SQLState(err))
	requireUser(b.ctx, t, r, renamed)
}

// With an index on both columns, upserts of one value at the same time never meet as a unique violation, in whichever index they meet.
func TestUpsertsAtTheSameTime(t *testing.T) {
	t.Parallel()
	b, r := newUsers(t)
	b.set(switchover.Migrate)
	require.NoError(t, expand.ApplyTwins(b.ctx, b.db, users, expand.Options{}))
	for _, ph := range []switchover.Phase{switchover.Migrate, switchover.Switch} {
		b.set(ph)
		var wg sync.WaitGroup
		errs := make(chan error, 8)
		for range cap(errs) {
			wg.Go(func() {
				for i := range 150 {
					if err := r.Upsert(b.ctx, &user{FullName: fmt.Sprint(ph, i)}, "full_name"); err != nil {
						errs <- err
						return
					}
				}
			})
		}
		wg.Wait()
		close(errs)
		for err := range errs {
			require.NoError(t, err)
		}
	}
}

// A zero field tagged default is nobody's wish: update and upsert leave the row's value alone.
func TestZeroDefaultsStay(t *testing.T) {
	t.Parallel()
	type account struct {
		ID       int64     `db:"id" tandem:"default"`
		FullName string    `db:"full_name"`
		Email    string    `db:"email"`
		Created  time.Time `db:"created_at" tandem:"default"`
	}
	b := newBed(t, `CREATE TABLE users (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, user_name text NOT NULL, email text UNIQUE,
		created_at timestamptz NOT NULL DEFAULT now())`, users)
	r, err := expand.NewRepository[account](b.db, b.member, users)
	require.NoError(t, err)
	long := time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, ph := range allPhases {
		b.set(ph)
		row := account{FullName: "first", Email: ph.String(), Created: long}
		require.NoError(t, r.Insert(b.ctx, &row))
		up := account{FullName: "upserted", Email: ph.String()}
		require.NoError(t, r.Upsert(b.ctx, &up, "email"))
		require.Equal(t, row.ID, up.ID)
		require.True(t, long.Equal(up.Created), "the row's own is read back: %s", up.Created)
		require.NoError(t, r.Update(b.ctx, &account{ID: row.ID, FullName: "updated", Email: row.Email}))
		got, err := r.Get(b.ctx, row.ID)
		require.NoError(t, err)
		require.Equal(t, "updated", got.FullName)
		require.True(t, long.Equal(got.Created), "%s", got.Created)

		row.Created = long.AddDate(2, 0, 0)
		require.NoError(t, r.Update(b.ctx, &row))
		got, err = r.Get(b.ctx, row.ID)
		require.NoError(t, err)
		require.True(t, row.Created.Equal(got.Created), "what is given is written")
		up.Created = long.AddDate(1, 0, 0)
		require.NoError(t, r.Upsert(b.ctx, &account{FullName: "a", Email: row.Email, Created: up.Created}, "email"))
		got, err = r.Get(b.ctx, row.ID)
		require.NoError(t, err)
		require.True(t, up.Created.Equal(got.Created), "what is given is written")
		require.NoError(t, r.UpdateColumns(b.ctx, &account{ID: row.ID}, "created_at"))
		got, err = r.Get(b.ctx, row.ID)
		require.NoError(t, err)
		require.True(t, got.Created.IsZero(), "what is named is written")
	}
}
