package expand_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/switchover"
)

// must ends an Example at an error, which its output then shows.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// citizen is the model in its final shape.
type citizen struct {
	ID       int64  `db:"id" tandem:"default"`
	FullName string `db:"full_name"`
}

// shop is what an Example works with: a table with its pair applied, in Expand, and a member.
type shop struct {
	db     *sqlx.DB
	member *switchover.Member
	people *expand.Repository[citizen]
	close  func()
}

func open(ctx context.Context) shop {
	db, drop := pgtest.Example()
	db.MustExec(`CREATE TABLE users (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, user_name text NOT NULL); CREATE UNIQUE INDEX users_name ON users (user_name)`)
	must(expand.Apply(ctx, db, users, expand.Options{}))
	must(switchover.Advance(ctx, db, users.Name(), switchover.Expand, switchover.Options{}))
	member, err := switchover.Join(ctx, db, switchover.JoinOptions{Service: "shop"})
	must(err)
	people, err := expand.NewRepository[citizen](db, member, users)
	must(err)
	return shop{db, member, people, func() { must(member.Leave(ctx)); drop() }}
}

// row is a row as the table has it.
func (s shop) row(id int64) string {
	var old, new string
	var stamped bool
	must(s.db.QueryRowx(`SELECT user_name, full_name, full_name_stamp IS NOT NULL FROM users WHERE id = $1`, id).Scan(&old, &new, &stamped))
	return fmt.Sprint(old, " ", new, " ", stamped)
}

func ExampleRename() {
	pair := expand.Rename[string]("users", "user_name", "full_name")
	fmt.Println(pair.Name(), pair.Err())
	// Output: users.full_name <nil>
}

func ExampleConvert() {
	pair := expand.Convert(expand.Spec[float64, int64]{Table: "items", Old: "price", New: "price_cents", Type: "bigint",
		Forward:    func(p float64) (int64, error) { return int64(p*100 + 0.5), nil },
		Backward:   func(c int64) (float64, error) { return float64(c) / 100, nil },
		ForwardSQL: "floor({price} * 100 + 0.5)", BackwardSQL: "{price_cents} / 100.0"})
	fmt.Println(pair.Forward(12.34))
	fmt.Println(pair.Backward(1234))
	// Output:
	// 1234 <nil>
	// 12.34 <nil>
}

func ExamplePair_Err() {
	pair := expand.Rename[string]("users", "user_name", "user_name")
	fmt.Println(pair.Err())
	// Output: pair on users: column user_name is both old and new: name another
}

func ExamplePlan() {
	db, drop := pgtest.Example()
	defer drop()
	db.MustExec(`CREATE TABLE users (id bigint PRIMARY KEY, user_name text); INSERT INTO users VALUES (1, 'Ada'), (2, NULL)`)
	steps, err := expand.Plan(context.Background(), db, users) // declared with string, which has no NULL
	must(err)
	fmt.Println(steps[0].Name)
	fmt.Println(steps[0].Why)
	fmt.Println(steps[0].SQL[0])
	// Output:
	// add columns and guard
	// metadata only; in one transaction, so that no write of the new column goes unguarded; of 2 sampled rows 1 are NULL, and the pair's Go type has no NULL: declare it with *T or sql.Null[T] (key {2}, old NULL: users.full_name: column user_name is NULL, and the pair's type has none: declare it with *T or sql.Null[T])
	// ALTER TABLE public.users ADD COLUMN IF NOT EXISTS full_name text
}

func ExampleApply() {
	ctx := context.Background()
	db, drop := pgtest.Example()
	defer drop()
	db.MustExec(`CREATE TABLE users (id bigint PRIMARY KEY, user_name text NOT NULL)`)
	must(expand.Apply(ctx, db, users, expand.Options{}))
	must(expand.Apply(ctx, db, users, expand.Options{})) // nothing is left to do
	db.MustExec(`INSERT INTO users (id, user_name) VALUES (1, 'Ada')`)
	var name string
	must(db.Get(&name, `SELECT full_name FROM users`)) // the guard has brought the row into step
	fmt.Println(name)
	// Output: Ada
}

func ExampleUndo() {
	ctx := context.Background()
	db, drop := pgtest.Example()
	defer drop()
	db.MustExec(`CREATE TABLE users (id bigint PRIMARY KEY, user_name text)`)
	must(expand.Apply(ctx, db, users, expand.Options{}))
	must(expand.Undo(ctx, db, users, expand.Options{}))
	var columns []string
	must(db.Select(&columns, `SELECT attname FROM pg_attribute WHERE attrelid = 'users'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum`))
	fmt.Println(columns)
	// Output: [id user_name]
}

func ExampleDependents() {
	db, drop := pgtest.Example()
	defer drop()
	db.MustExec(`CREATE TABLE users (id bigint PRIMARY KEY, user_name text); CREATE VIEW names AS SELECT user_name FROM users`)
	list, err := expand.Dependents(context.Background(), db, users)
	must(err)
	for _, d := range list {
		fmt.Println(d.Kind, d.Name)
	}
	// Output:
	// view names
}

func ExamplePlanTwins() {
	ctx := context.Background()
	s := open(ctx)
	defer s.close()
	must(switchover.Advance(ctx, s.db, users.Name(), switchover.Migrate, switchover.Options{Wait: true}))
	steps, err := expand.PlanTwins(ctx, s.db, users)
	must(err)
	for _, step := range steps {
		fmt.Println(step.Name)
	}
	// Output:
	// build index users_name_tandem_62dd85 for users_name
	// analyze
}

func ExampleApplyTwins() {
	ctx := context.Background()
	s := open(ctx)
	defer s.close()
	must(switchover.Advance(ctx, s.db, users.Name(), switchover.Migrate, switchover.Options{Wait: true}))
	must(expand.ApplyTwins(ctx, s.db, users, expand.Options{}))
	var unique int
	must(s.db.Get(&unique, `SELECT count(*) FROM pg_indexes WHERE tablename = 'users' AND indexdef ~ '^CREATE UNIQUE INDEX .*\((user|full)_name\)'`))
	fmt.Println(unique)
	// Output: 2
}

func ExampleNewRepository() {
	ctx := context.Background()
	s := open(ctx)
	defer s.close()
	type account struct {
		ID    int64  `db:"id"`
		Email string `db:"email"`
	}
	_, err := expand.NewRepository[account](s.db, s.member, users)
	fmt.Println(err)
	// Output:
	// repository of expand_test.account: of 1 pairs 0 have a field: give each pair a field with its new column as db tag
}

func ExampleRepository() {
	ctx := context.Background()
	s := open(ctx)
	defer s.close()
	p := citizen{FullName: "Ada"}
	must(s.people.Insert(ctx, &p)) // in Expand: user_name, full_name and full_name_stamp
	fmt.Println(p.ID, s.row(p.ID))
	p.FullName = "Ada Lovelace"
	must(s.people.UpdateColumns(ctx, &p, "full_name"))
	found, err := s.people.Select(ctx, `WHERE {full_name} = $1`, users.Arg("Ada Lovelace"))
	fmt.Println(found, err)
	must(s.people.Delete(ctx, p.ID))
	_, err = s.people.Get(ctx, p.ID)
	fmt.Println(errors.Is(err, sql.ErrNoRows))
	// Output:
	// 1 Ada Ada true
	// [{1 Ada Lovelace}] <nil>
	// true
}

func ExamplePinned() {
	ctx := context.Background()
	s := open(ctx)
	defer s.close()
	type row struct {
		ID       int64                        `db:"id"`
		FullName expand.Value[string, string] `db:"full_name"`
	}
	must(users.Do(ctx, s.member, func(p *expand.Pinned[string, string]) error {
		v, err := p.Value("Ada")
		if err != nil {
			return err
		}
		fmt.Println(p.Phase(), p.Columns())
		_, err = sqlx.NamedExecContext(ctx, s.db, `INSERT INTO users (`+p.Columns()+`) VALUES (`+p.Params()+`)`, row{FullName: v})
		return err
	}))
	must(users.Do(ctx, s.member, func(p *expand.Pinned[string, string]) error {
		var rows []row
		if err := s.db.SelectContext(ctx, &rows, `SELECT u.id, `+p.Select("u")+` FROM users u ORDER BY `+p.Column("u")); err != nil {
			return err
		}
		name, err := p.Read(rows[0].FullName, rows[0].ID)
		fmt.Println(name)
		return err
	}))
	// Output:
	// Expand user_name, full_name, full_name_stamp
	// Ada
}

// A password becomes a hash, and no hash a password: the pair is written by its old value.
func ExamplePinned_ValueFromOld() {
	ctx := context.Background()
	db, drop := pgtest.Example()
	defer drop()
	db.MustExec(`CREATE TABLE accounts (id bigint PRIMARY KEY, password text NOT NULL)`)
	pair := passwords("")
	must(expand.Apply(ctx, db, pair, expand.Options{}))
	must(switchover.Advance(ctx, db, pair.Name(), switchover.Expand, switchover.Options{}))
	member, err := switchover.Join(ctx, db, switchover.JoinOptions{})
	must(err)
	must(pair.Do(ctx, member, func(p *expand.Pinned[string, string]) error {
		v, err := p.ValueFromOld("secret")
		if err != nil {
			return err
		}
		_, err = sqlx.NamedExecContext(ctx, db, `INSERT INTO accounts (id, `+p.Columns()+`) VALUES (:id, `+p.Params()+`)`, account{1, v})
		return err
	}))
	var hash string
	must(db.Get(&hash, `SELECT left(hash, 12) FROM accounts`))
	fmt.Println(hash)
	must(member.Leave(ctx))
	// Output:
	// 2bb80d537b1d
}

// A Cell is one column as it is stored; what a Value of a row of Contract has for old is NULL.
func ExampleCell() {
	var c expand.Cell[string]
	must(c.Scan("Ada"))
	fmt.Println(c.Value())
	must(c.Scan(nil))
	fmt.Println(c.Value())
	// Output:
	// Ada <nil>
	// <nil> <nil>
}

func ExampleStamp() {
	var s expand.Stamp
	fmt.Println(s.Value()) // nobody who knows both columns has written the row
	must(s.Scan(int64(50331649)))
	fmt.Println(s.Value())
	// Output:
	// <nil> <nil>
	// 50331649 <nil>
}

func ExampleInTx() {
	ctx := context.Background()
	s := open(ctx)
	defer s.close()
	err := expand.InTx(ctx, s.db, s.member, nil, func(ctx context.Context, tx *expand.Tx) error {
		if err := s.people.In(tx).Insert(ctx, &citizen{FullName: "Ada"}); err != nil {
			return err
		}
		return s.people.In(tx).Insert(ctx, &citizen{FullName: "Grace"})
	})
	list, listErr := s.people.Select(ctx, `ORDER BY {full_name}`)
	fmt.Println(list, err, listErr)
	// Output: [{1 Ada} {2 Grace}] <nil> <nil>
}

func ExampleBegin() {
	ctx := context.Background()
	s := open(ctx)
	defer s.close()
	tx, err := expand.Begin(ctx, s.db, s.member, nil)
	must(err)
	defer func() { _ = tx.Rollback() }()
	must(s.people.In(tx).Insert(ctx, &citizen{FullName: "Ada"}))
	must(tx.Commit())
	fmt.Println(s.row(1))
	// Output: Ada Ada true
}

// A transaction that is begun elsewhere.
func ExampleAdopt() {
	ctx := context.Background()
	s := open(ctx)
	defer s.close()
	theirs := s.db.MustBegin()
	tx := expand.Adopt(ctx, theirs, s.member)
	must(s.people.In(tx).Insert(ctx, &citizen{FullName: "Ada"}))
	must(theirs.Commit())
	tx.Release()
	fmt.Println(s.row(1))
	// Output: Ada Ada true
}

func ExampleTx_Rollback() {
	ctx := context.Background()
	s := open(ctx)
	defer s.close()
	tx, err := expand.Begin(ctx, s.db, s.member, nil)
	must(err)
	must(s.people.In(tx).Insert(ctx, &citizen{FullName: "Ada"}))
	must(tx.Rollback())
	fmt.Println(s.people.Select(ctx, ""))
	// Output: [] <nil>
}
