package expand_test

import (
	"context"
	"testing"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/switchover"
)

// row is the model of hand-written SQL.
type row struct {
	ID       int64                        `db:"id"`
	FullName expand.Value[string, string] `db:"full_name"`
	Email    string                       `db:"email"`
}

const plainUsersSQL = `CREATE TABLE users (id bigint PRIMARY KEY, user_name text NOT NULL UNIQUE, email text NOT NULL DEFAULT '')`

func TestFragmentsText(t *testing.T) {
	t.Parallel()
	b := newBed(t, plainUsersSQL, users)
	for _, c := range []struct {
		phase                                            switchover.Phase
		columns, params, set, excluded, selected, column string
	}{
		{switchover.Start, `user_name`, `:full_name.old`, `user_name = :full_name.old`, `user_name = EXCLUDED.user_name`,
			`u.user_name AS "full_name.old", u.full_name AS "full_name.new", u.full_name_stamp AS "full_name.stamp"`, `u.user_name`},
		{switchover.Migrate, `user_name, full_name, full_name_stamp`, `:full_name.old, :full_name.new, :full_name.stamp`,
			`user_name = :full_name.old, full_name = :full_name.new, full_name_stamp = :full_name.stamp`,
			`user_name = EXCLUDED.user_name, full_name = EXCLUDED.full_name, full_name_stamp = EXCLUDED.full_name_stamp`,
			`u.user_name AS "full_name.old", u.full_name AS "full_name.new", u.full_name_stamp AS "full_name.stamp"`, `u.user_name`},
		{switchover.Contract, `full_name, full_name_stamp`, `:full_name.new, :full_name.stamp`,
			`full_name = :full_name.new, full_name_stamp = :full_name.stamp`, `full_name = EXCLUDED.full_name, full_name_stamp = EXCLUDED.full_name_stamp`,
			`u.user_name AS "full_name.old", u.full_name AS "full_name.new", u.full_name_stamp AS "full_name.stamp"`, `u.full_name`},
		{switchover.Complete, `full_name`, `:full_name.new`, `full_name = :full_name.new`, `full_name = EXCLUDED.full_name`,
			`u.full_name AS "full_name.new"`, `u.full_name`},
	} {
		b.set(c.phase)
		p, err := users.Pin(b.ctx, b.member)
		require.NoError(t, err)
		require.Equal(t, []string{c.columns, c.params, c.set, c.excluded, c.selected, c.column},
			[]string{p.Columns(), p.Params(), p.Set(), p.Excluded(), p.Select("u"), p.Column("u")}, c.phase)
		p.Release()
	}
}

// Bulk insert, upsert, update and a join, by sqlx, in every phase.
func TestFragmentsInSQL(t *testing.T) {
	t.Parallel()
	b := newBed(t, plainUsersSQL, users)
	for i, ph := range allPhases {
		b.set(ph)
		if ph == switchover.Switch {
			b.db.MustExec(`CREATE UNIQUE INDEX ON users (full_name)`)
		}
		require.NoError(t, expand.InTx(b.ctx, b.db, b.member, nil, func(ctx context.Context, tx *expand.Tx) error {
			p, err := users.In(tx)
			require.NoError(t, err)
			handWritten(ctx, t, tx.Tx, p, int64(10*i))
			return nil
		}))
		require.NoError(t, users.Do(b.ctx, b.member, func(p *expand.Pinned[string, string]) error {
			handWritten(b.ctx, t, b.db, p, int64(10*i+5))
			return nil
		}))
	}
}

func handWritten(ctx context.Context, t *testing.T, ext sqlx.ExtContext, p *expand.Pinned[string, string], first int64) {
	t.Helper()
	value := func(s string) expand.Value[string, string] {
		v, err := p.Value(s + " " + p.Phase().String() + string(rune('a'+first)))
		require.NoError(t, err)
		return v
	}
	insert := `INSERT INTO users (id, email, ` + p.Columns() + `) VALUES (:id, :email, ` + p.Params() + `)`
	rows := []row{{first, value("Ada"), "a"}, {first + 1, value("Bob"), "b"}}
	_, err := sqlx.NamedExecContext(ctx, ext, insert, rows)
	require.NoError(t, err)
	rows[1].FullName = value("Bobby")
	_, err = sqlx.NamedExecContext(ctx, ext, insert+` ON CONFLICT (id) DO UPDATE SET `+p.Excluded(), rows[1])
	require.NoError(t, err)
	rows[0].FullName = value("Adah")
	_, err = sqlx.NamedExecContext(ctx, ext, `UPDATE users SET `+p.Set()+` WHERE id = :id`, rows[0])
	require.NoError(t, err)

	name, err := p.Read(rows[0].FullName)
	require.NoError(t, err)
	arg, err := p.Arg(name)
	require.NoError(t, err)
	var got []row
	require.NoError(t, sqlx.SelectContext(ctx, ext, &got, `SELECT u.id, u.email, `+p.Select("u")+`
		FROM users u JOIN users v ON v.id = u.id WHERE `+p.Column("u")+` = $1`, arg))
	require.Len(t, got, 1)
	read, err := p.Read(got[0].FullName, got[0].ID)
	require.NoError(t, err)
	require.Equal(t, name, read)
}

// Do runs the statement once more when the phase has moved on.
func TestDoFollowsThePhase(t *testing.T) {
	t.Parallel()
	b := newBed(t, plainUsersSQL, users)
	b.set(switchover.Switch)
	b.setUnseen(switchover.Complete)
	var phases []switchover.Phase
	require.NoError(t, users.Do(b.ctx, b.member, func(p *expand.Pinned[string, string]) error {
		phases = append(phases, p.Phase())
		v, err := p.Value("x")
		require.NoError(t, err)
		_, err = sqlx.NamedExecContext(b.ctx, b.db, `INSERT INTO users (id, `+p.Columns()+`) VALUES (:id, `+p.Params()+`)`, row{ID: 1, FullName: v})
		return err
	}))
	require.Equal(t, []switchover.Phase{switchover.Switch, switchover.Complete}, phases)
}
