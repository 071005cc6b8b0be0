package expand_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/switchover"
)

// More rows than the parameters of one statement: several, all or nothing.
func TestInsertManyBeyondOneStatement(t *testing.T) {
	t.Parallel()
	b, r := newUsers(t)
	for _, ph := range []switchover.Phase{switchover.Start, switchover.Expand, switchover.Contract} {
		b.set(ph)
		rows := make([]*user, 25_000)
		for i := range rows {
			rows[i] = &user{FullName: fmt.Sprint(ph, i), Email: "e"}
		}
		rows[24_000].FullName = rows[1].FullName
		if ph == switchover.Contract {
			b.db.MustExec(`CREATE UNIQUE INDEX ON users (full_name)`)
		}
		require.ErrorContains(t, r.InsertMany(b.ctx, rows), "unique")
		require.Zero(t, b.count(`users`), ph)
		require.Zero(t, rows[0].ID, "what the first statement had read back is forgotten")
		rows[24_000].FullName = "another"
		require.NoError(t, r.InsertMany(b.ctx, rows))
		require.Equal(t, len(rows), b.count(`users`))
		for _, i := range []int{0, 11_111, 24_000, 24_999} {
			requireUser(b.ctx, t, r, *rows[i])
		}
		b.db.MustExec(`TRUNCATE users`)
	}
}

func (b *bed) count(from string) (n int) {
	b.t.Helper()
	require.NoError(b.t, b.db.Get(&n, `SELECT count(*) FROM `+from))
	return n
}

func TestNilRows(t *testing.T) {
	t.Parallel()
	b, r := newUsers(t)
	rows := make([]*user, 25_000)
	for i := range rows {
		rows[i] = &user{FullName: fmt.Sprint(i)}
	}
	rows[24_321] = nil
	require.EqualError(t, r.InsertMany(b.ctx, rows), "insert into users: row 24321 is nil")
	require.EqualError(t, r.Insert(b.ctx, nil), "insert into users: row 0 is nil")
	require.EqualError(t, r.Upsert(b.ctx, nil), "upsert into users: row 0 is nil")
	require.EqualError(t, r.Update(b.ctx, nil), "update users: row 0 is nil")
	require.EqualError(t, r.UpdateColumns(b.ctx, nil, "email"), "update users: row 0 is nil")
	require.Zero(t, b.count(`users`))
	require.NoError(t, r.InsertMany(b.ctx, nil))
}

// Two pairs of one table, each in a phase of its own, through one repository.
func TestTwoPairs(t *testing.T) {
	t.Parallel()
	for _, first := range allPhases {
		for _, second := range allPhases {
			t.Run(first.String()+" and "+second.String(), func(t *testing.T) {
				t.Parallel()
				twoPairs(t, first, second)
			})
		}
	}
}

var mail = expand.Convert(expand.Spec[string, string]{Table: "users", Old: "email", New: "mail", Type: "text",
	Forward:    func(s string) (string, error) { return "<" + s + ">", nil },
	Backward:   func(s string) (string, error) { return strings.Trim(s, "<>"), nil },
	ForwardSQL: `'<' || {email} || '>'`, BackwardSQL: `trim({mail}, '<>')`})

const peopleSQL = `CREATE TABLE users (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, user_name text NOT NULL, age int, email text NOT NULL,
	UNIQUE (user_name, email))`

type person struct {
	ID       int64  `db:"id" tandem:"default"`
	FullName string `db:"full_name"`
	Age      int    `db:"age"`
	Mail     string `db:"mail"`
}

func twoPairs(t *testing.T, first, second switchover.Phase) {
	t.Helper()
	b := newBed(t, peopleSQL, users, mail)
	r, err := expand.NewRepository[person](b.db, b.member, mail, users)
	require.NoError(t, err)
	before := person{FullName: "of start", Age: 1, Mail: "<s>"}
	require.NoError(t, r.Insert(b.ctx, &before))
	b.walkTo(users, first)
	b.walkTo(mail, second)
	got, err := r.Get(b.ctx, before.ID)
	require.NoError(t, err)
	require.Equal(t, before, got)
	twoPairsExercise(b.ctx, t, r)
	require.NoError(t, r.InTx(b.ctx, nil, func(ctx context.Context, tx *expand.Tx) error {
		twoPairsExercise(ctx, t, r.In(tx))
		return nil
	}))

	// a stray that knows one of the old columns
	_, err = b.db.Exec(`UPDATE users SET email = 'stray' WHERE id = $1`, before.ID)
	switch second {
	case switchover.Contract:
		require.ErrorContains(t, err, "TD001")
	case switchover.Complete:
		require.ErrorContains(t, err, "email")
	default:
		require.NoError(t, err)
		before.Mail = "<stray>"
	}
	got, err = r.Get(b.ctx, before.ID)
	require.NoError(t, err)
	require.Equal(t, before, got)
}

// Each of two pairs in one conflict may have its unique index on either column: here the first on new only, the second on old only.
func TestUpsertByTwoPairs(t *testing.T) {
	t.Parallel()
	b := newBed(t, peopleSQL, users, mail)
	r, err := expand.NewRepository[person](b.db, b.member, users, mail)
	require.NoError(t, err)
	b.walkTo(mail, switchover.Expand)
	b.walkTo(users, switchover.Switch)
	b.db.MustExec(`ALTER TABLE users DROP CONSTRAINT users_user_name_email_key`)
	setPhase(t, b.db, users, switchover.Migrate)
	require.NoError(t, b.member.Refresh(b.ctx))
	require.NoError(t, r.Insert(b.ctx, &person{FullName: "a", Mail: "<m>"}))
	up := person{FullName: "a", Mail: "<m>", Age: 5}
	require.NoError(t, r.Upsert(b.ctx, &up, "mail", "full_name"))
	require.NoError(t, r.InTx(b.ctx, nil, func(ctx context.Context, tx *expand.Tx) error {
		up.ID = 0
		return r.In(tx).Upsert(ctx, &up, "full_name", "mail")
	}))
	list, err := r.Select(b.ctx, ``)
	require.NoError(t, err)
	require.Equal(t, []person{up}, list)
}

// walkTo takes one of the migrations up to a phase, with backfill and twins where it passes them.
func (b *bed) walkTo(p expand.Any, to switchover.Phase) {
	b.t.Helper()
	d := p.Definition()
	for ph := switchover.Expand; ph <= to; ph++ {
		if ph == switchover.Switch {
			b.db.MustExec(fmt.Sprintf(`UPDATE users SET %s = %s, %s = %d`, d.New[0], d.ForwardSQL("")[0], d.Stamp, switchover.Migrate.Floor()+1))
			require.NoError(b.t, expand.ApplyTwins(b.ctx, b.db, p, expand.Options{}))
		}
		setPhase(b.t, b.db, p, ph)
	}
	require.NoError(b.t, b.member.Refresh(b.ctx))
}

func twoPairsExercise(ctx context.Context, t *testing.T, r *expand.Repository[person]) {
	t.Helper()
	same := func(want person) {
		t.Helper()
		got, err := r.Get(ctx, want.ID)
		require.NoError(t, err)
		require.Equal(t, want, got)
		list, err := r.Select(ctx, `WHERE {mail} = $1 AND {full_name} = $2`, mail.Arg(want.Mail), users.Arg(want.FullName))
		require.NoError(t, err)
		require.Equal(t, []person{want}, list)
	}
	u := person{FullName: "a", Age: 2, Mail: "<m>"}
	require.NoError(t, r.Insert(ctx, &u))
	same(u)
	two := []*person{{FullName: "b", Mail: "<m>"}, {FullName: "a", Mail: "<n>"}}
	require.NoError(t, r.InsertMany(ctx, two))
	same(*two[1])
	u.FullName, u.Mail = "c", "<o>"
	require.NoError(t, r.Update(ctx, &u))
	same(u)
	u.Mail = "<p>"
	require.NoError(t, r.UpdateColumns(ctx, &u, "mail"))
	same(u)
	up := person{FullName: "c", Age: 3, Mail: "<p>"}
	require.NoError(t, r.Upsert(ctx, &up, "full_name", "mail"))
	require.Equal(t, u.ID, up.ID)
	same(up)
	fresh := person{FullName: "c", Age: 3, Mail: "<q>"}
	require.NoError(t, r.Upsert(ctx, &fresh, "full_name", "mail"))
	require.NotEqual(t, u.ID, fresh.ID)
	for _, id := range []int64{u.ID, fresh.ID, two[0].ID, two[1].ID} {
		require.NoError(t, r.Delete(ctx, id))
	}
}
