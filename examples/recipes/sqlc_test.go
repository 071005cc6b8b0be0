package recipes_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/examples/recipes/sqlc"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/switchover"
)

// A query of sqlc's has its columns once and for all, so there is one for each set of columns that a phase writes.
func sqlcSave(ctx context.Context, q *sqlc.Queries, p *pinned, u user) error {
	v, err := p.Value(u.FullName)
	if err != nil {
		return err
	}
	switch ph := p.Phase(); {
	case !ph.WritesNew():
		return q.SaveOld(ctx, sqlc.SaveOldParams{ID: u.ID, Email: u.Email, UserName: v.Old})
	case ph.WritesOld():
		return q.SaveBoth(ctx, sqlc.SaveBothParams{ID: u.ID, Email: u.Email, UserName: v.Old, FullName: v.New, FullNameStamp: v.Stamp})
	case ph.Stamps():
		return q.SaveNew(ctx, sqlc.SaveNewParams{ID: u.ID, Email: u.Email, FullName: v.New, FullNameStamp: v.Stamp})
	default:
		return q.Save(ctx, sqlc.SaveParams{ID: u.ID, Email: u.Email, FullName: v.New})
	}
}

// A read takes all three columns while they exist. Value has the name as each of the columns has it.
func sqlcFind(ctx context.Context, q *sqlc.Queries, p *pinned, name string) (user, error) {
	v, err := p.Value(name)
	if err != nil {
		return user{}, err
	}
	var row sqlc.User
	switch ph := p.Phase(); {
	case ph == switchover.Complete:
		var last sqlc.FindRow
		last, err = q.Find(ctx, v.New)
		row = sqlc.User{ID: last.ID, Email: last.Email, FullName: last.FullName}
	case ph.ReadsNew():
		row, err = q.FindByNew(ctx, v.New)
	default:
		row, err = q.FindByOld(ctx, v.Old)
	}
	if err != nil {
		return user{}, err
	}
	u := user{ID: row.ID, Email: row.Email}
	u.FullName, err = p.Read(expand.Value[string, string]{Old: row.UserName, New: row.FullName, Stamp: row.FullNameStamp}, row.ID)
	return u, err
}

// Use this where sqlc generates the queries. Run expand.Apply before the program that has them starts: their columns must exist, also in Start.
func TestSqlc(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.MustExec(usersSQL)
	db.MustExec(`INSERT INTO users SELECT i, 'Old ' || i FROM generate_series(1, 100) i`)
	migrate(t, db, db, func(m *switchover.Member, ph switchover.Phase) {
		ctx := t.Context()
		ada := user{1000 * int64(ph), "Ada " + ph.String(), "a"}
		save := func(p *pinned, q *sqlc.Queries) error { return sqlcSave(ctx, q, p, ada) }
		require.NoError(t, fullName.Do(ctx, m, func(p *pinned) error { return save(p, sqlc.New(db)) }))
		ada.FullName = "Adah " + ph.String()
		require.NoError(t, expand.InTx(ctx, db, m, nil, func(_ context.Context, tx *expand.Tx) error {
			p, err := fullName.In(tx)
			if err != nil {
				return err
			}
			return save(p, sqlc.New(tx))
		}))
		require.NoError(t, fullName.Do(ctx, m, func(p *pinned) error {
			for _, want := range []user{ada, {7, "Old 7", ""}} {
				got, err := sqlcFind(ctx, sqlc.New(db), p, want.FullName)
				require.NoError(t, err)
				require.Equal(t, want, got)
			}
			return nil
		}))
	})
}
