package history_test

import (
	"context"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/switchover"
)

// mailed is a second migration of the same table, whose values convert in Go and in SQL.
var mailed = expand.Convert(expand.Spec[string, string]{Table: "users", Old: "mail", New: "email", Type: "text",
	Forward: backwards, Backward: backwards, ForwardSQL: "reverse({mail})", BackwardSQL: "reverse({email})"})

const twoSQL = `CREATE TABLE users (id bigint PRIMARY KEY, user_name text NOT NULL, mail text DEFAULT reverse('first') NOT NULL)`

// emails is added to a row's key for the register that its second column is.
const emails = 1000

// addSecond begins the second migration.
func (f *fleet) addSecond() {
	if f.second != nil {
		f.Helper()
		require.NoError(f, expand.Apply(f.Context(), f.db, f.second, expand.Options{}))
	}
}

// walkSecond lets an operator of its own walk the second migration from when the first has come to Migrate, so that they are in different phases.
func (f *fleet) walkSecond(ctx context.Context) (end func() error) {
	if f.second == nil {
		return func() error { return nil }
	}
	done := make(chan error, 1)
	go func() {
		for p := ""; p != switchover.Migrate.String(); {
			if err := f.db.GetContext(ctx, &p, `SELECT phase FROM tandem.migration WHERE name = $1`, f.pair.Name()); err != nil {
				done <- err
				return
			}
			_ = pg.Sleep(ctx, time.Millisecond)
		}
		o := &operator{f.db, f.second, f.h}
		_, err := o.walk(ctx)
		done <- err
	}()
	return func() error { return <-done }
}

// ofSecond lets an actor know the second column alone.
func ofSecond(act func(context.Context, *fleet, *actor)) func(context.Context, *fleet, *actor) {
	return func(ctx context.Context, f *fleet, a *actor) {
		a.pair, a.register = f.second, emails
		act(ctx, f, a)
	}
}

type userOfTwo struct {
	ID       int64  `db:"id"`
	FullName string `db:"full_name"`
	Email    string `db:"email"`
}

// bothColumns is a member whose repository has both pairs, and writes one of them or both.
func bothColumns(ctx context.Context, f *fleet, a *actor) {
	f.member(ctx, a.joining(), func(m *switchover.Member) {
		users, err := expand.NewRepository[userOfTwo](f.db, m, f.pair, f.second)
		if err != nil {
			f.h.fail(err)
			return
		}
		for ; ctx.Err() == nil; a.pause(ctx) {
			a.oneOfBoth(ctx, users)
		}
	})
}

func (a *actor) oneOfBoth(ctx context.Context, users *expand.Repository[userOfTwo]) {
	key := a.key()
	switch a.rng.IntN(7) {
	case 0, 1, 2:
		a.readBoth(ctx, users, key)
	case 3:
		a.write(key, func(v string) error {
			return users.UpdateColumns(ctx, &userOfTwo{ID: key, FullName: v}, "full_name")
		})
	case 4:
		a.writeAll([]int64{key + emails}, func(v []string) error {
			return users.UpdateColumns(ctx, &userOfTwo{ID: key, Email: v[0]}, "email")
		})
	case 5:
		a.writeAll([]int64{key, key + emails}, func(v []string) error { return users.Upsert(ctx, &userOfTwo{key, v[0], v[1]}, "id") })
	default:
		a.writeAll([]int64{key, key + emails}, func(v []string) error { return users.Update(ctx, &userOfTwo{key, v[0], v[1]}) })
	}
}

// readBoth sees two registers at one moment.
func (a *actor) readBoth(ctx context.Context, users *expand.Repository[userOfTwo], key int64) {
	var second event
	a.read(ctx, key, func() (string, error) {
		second = event{Actor: a.name, Key: key + emails, Call: now()}
		u, err := users.Get(ctx, key)
		if err == nil {
			second.Value, second.Return = u.Email, now()
		}
		return u.FullName, err
	})
	if second.Return > 0 {
		a.h.add(second)
	}
}

func (f *fleet) lastOfTwo(a *actor) {
	f.Helper()
	f.member(f.Context(), a.joining(), func(m *switchover.Member) {
		users, err := expand.NewRepository[userOfTwo](f.db, m, f.pair, f.second)
		require.NoError(f, err)
		for key := int64(1); key <= rowsOfTable; key++ {
			a.readBoth(f.Context(), users, key)
		}
	})
}
