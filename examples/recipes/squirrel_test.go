package recipes_test

import (
	"context"
	"testing"

	"github.com/Masterminds/squirrel"
	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/switchover"
)

// build makes squirrel's statements with PostgreSQL's parameters.
var build = squirrel.StatementBuilder.PlaceholderFormat(squirrel.Dollar)

// pinned is the pair in a phase, as a statement of these recipes gets it.
type pinned = expand.Pinned[string, string]

// An insert, which becomes an upsert: Columns goes where squirrel takes a column, and Values are the rest of the row. A builder takes any number of rows.
func squirrelUpsert(p *pinned, list ...user) (squirrel.Sqlizer, error) {
	q := build.Insert("users").Columns("id", "email", p.Columns())
	for _, u := range list {
		v, err := p.Value(u.FullName)
		if err != nil {
			return nil, err
		}
		q = q.Values(append([]any{u.ID, u.Email}, p.Values(v)...)...)
	}
	return q.Suffix(`ON CONFLICT (id) DO UPDATE SET email = EXCLUDED.email, ` + p.Excluded()), nil
}

// An update sets column by column. squirrel does not quote: a name that needs quotes needs them here.
func squirrelUpdate(p *pinned, u user) (squirrel.Sqlizer, error) {
	v, err := p.Value(u.FullName)
	if err != nil {
		return nil, err
	}
	q, values := build.Update("users").Where(squirrel.Eq{"id": u.ID}), p.Values(v)
	for i, name := range p.Names() {
		q = q.Set(name, values[i])
	}
	return q.Suffix(`RETURNING id, email, ` + p.Select("")), nil
}

// A query: Select is one more column, and Column with Arg is a condition like any other.
func squirrelFind(p *pinned, names ...string) (squirrel.Sqlizer, error) {
	args := make([]any, len(names))
	for i, name := range names {
		var err error
		if args[i], err = p.Arg(name); err != nil {
			return nil, err
		}
	}
	return build.Select("u.id", "u.email", p.Select("u")).From("users u").Where(squirrel.Eq{p.Column("u"): args}).OrderBy(p.Column("u")), nil
}

// usersOf runs a query and lets the pair read each row.
func usersOf(ctx context.Context, db sqlx.ExtContext, p *pinned, q squirrel.Sqlizer) ([]user, error) {
	query, args, err := q.ToSql()
	if err != nil {
		return nil, err
	}
	var rows []userRow
	if err := sqlx.SelectContext(ctx, db, &rows, query, args...); err != nil {
		return nil, err
	}
	list := make([]user, len(rows))
	for i, r := range rows {
		list[i] = user{ID: r.ID, Email: r.Email}
		if list[i].FullName, err = p.Read(r.FullName, r.ID); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// Use this where squirrel builds the statements. The fragments are text to it, so one builder serves all phases.
func TestSquirrel(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.MustExec(usersSQL)
	db.MustExec(`INSERT INTO users SELECT i, 'Old ' || i FROM generate_series(1, 100) i`)
	migrate(t, db, db, func(m *switchover.Member, ph switchover.Phase) {
		ctx, id := t.Context(), 1000*int64(ph)
		ada, bob := user{id, "Ada " + ph.String(), "a"}, user{id + 1, "Bob " + ph.String(), "b"}
		require.NoError(t, fullName.Do(ctx, m, func(p *pinned) error {
			for range 2 { // the second time it meets its own rows
				q, err := squirrelUpsert(p, ada, bob)
				require.NoError(t, err)
				query, args, err := q.ToSql()
				require.NoError(t, err)
				if _, err := db.ExecContext(ctx, query, args...); err != nil {
					return err
				}
				ada.Email = "ada@example.com"
			}
			bob.FullName = "Robert " + ph.String()
			q, err := squirrelUpdate(p, bob)
			require.NoError(t, err)
			list, err := usersOf(ctx, db, p, q)
			require.NoError(t, err)
			require.Equal(t, []user{bob}, list)
			q, err = squirrelFind(p, ada.FullName, bob.FullName, "Old 7")
			require.NoError(t, err)
			list, err = usersOf(ctx, db, p, q)
			require.NoError(t, err)
			require.Equal(t, []user{ada, {7, "Old 7", ""}, bob}, list)
			return nil
		}))
	})
}
