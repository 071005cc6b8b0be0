package backfill_test

import (
	"context"
	"fmt"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/backfill"
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

// migrating is a table of three rows whose pair is in Migrate.
func migrating(ctx context.Context, p expand.Any) (db *sqlx.DB, drop func()) {
	db, drop = pgtest.Example()
	db.MustExec(`CREATE TABLE users (id bigint PRIMARY KEY, user_name text); INSERT INTO users VALUES (1, 'Ada'), (2, 'Grace'), (3, 'odd')`)
	must(expand.Apply(ctx, db, p, expand.Options{}))
	must(switchover.Advance(ctx, db, p.Name(), switchover.Expand, switchover.Options{}))
	must(switchover.Advance(ctx, db, p.Name(), switchover.Migrate, switchover.Options{}))
	return db, drop
}

func ExampleRun() {
	ctx := context.Background()
	db, drop := migrating(ctx, fullName)
	defer drop()
	res, err := backfill.Run(ctx, db, fullName, backfill.Options{})
	fmt.Println(res.Rows, res.BadRows, err)
	res, err = backfill.Run(ctx, db, fullName, backfill.Options{})
	fmt.Println(res.Rows, res.BadRows, err) // again: nothing is left
	// Output:
	// 3 0 <nil>
	// 0 0 <nil>
}

// A row whose value does not convert is set aside with the reason, and the rest goes on.
func ExampleRun_badRows() {
	ctx := context.Background()
	p := expand.Convert(expand.Spec[string, string]{Table: "users", Old: "user_name", New: "full_name", Forward: func(s string) (string, error) {
		if s == "odd" {
			return "", errOdd
		}
		return s, nil
	}})
	db, drop := migrating(ctx, p)
	defer drop()
	res, err := backfill.Run(ctx, db, p, backfill.Options{})
	fmt.Println(res.Rows, res.BadRows, err)
	var why string
	must(db.Get(&why, `SELECT key::text || ' ' || error FROM tandem.bad_row`))
	fmt.Println(why)
	// Output:
	// 2 1 <nil>
	// {3} users.full_name: forward of odd: odd value
}

func ExampleVerify() {
	ctx := context.Background()
	db, drop := migrating(ctx, fullName)
	defer drop()
	_, err := backfill.Run(ctx, db, fullName, backfill.Options{})
	must(err)
	db.MustExec(`ALTER TABLE users DISABLE TRIGGER USER; UPDATE users SET user_name = 'nobody' WHERE id = 2`) // behind the guard's back
	report, err := backfill.Verify(ctx, db, fullName, backfill.VerifyOptions{})
	fmt.Println(report.Rows, report.Differences, report.Keys, err)
	// Output:
	// 3 1 [[2]] <nil>
}

// Strays of a pair that only Go converts wait for the sweeper.
func ExampleSweep() {
	ctx := context.Background()
	p := expand.Convert(expand.Spec[string, string]{Table: "users", Old: "user_name", New: "full_name",
		Forward: func(s string) (string, error) { return "I am " + s, nil }})
	db, drop := migrating(ctx, p)
	defer drop()
	_, err := backfill.Run(ctx, db, p, backfill.Options{})
	must(err)
	db.MustExec(`UPDATE users SET user_name = 'Barbara' WHERE id = 2`)
	fmt.Println(backfill.Sweep(ctx, db, p))
	var name string
	must(db.Get(&name, `SELECT full_name FROM users WHERE id = 2`))
	fmt.Println(name)
	// Output:
	// 1 <nil>
	// I am Barbara
}

func ExampleProgress_Fraction() {
	ctx := context.Background()
	db, drop := migrating(ctx, fullName)
	defer drop()
	var last backfill.Progress
	_, err := backfill.Run(ctx, db, fullName, backfill.Options{Progress: func(p backfill.Progress) { last = p }})
	fmt.Println(last.Fraction(), err)
	// Output: 1 <nil>
}
