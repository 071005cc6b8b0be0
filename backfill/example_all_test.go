package backfill_test

import (
	"context"
	"fmt"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/switchover"
)

// Two columns of a table are renamed at the same time, and each row is written once.
func ExampleRunAll() {
	ctx := context.Background()
	db, drop := pgtest.Example()
	defer drop()
	db.MustExec(`CREATE TABLE users (id bigint PRIMARY KEY, user_name text, mail text); INSERT INTO users VALUES (1, 'Ada', 'ada@x.org'), (2, 'Grace', 'grace@x.org')`)
	pairs := []expand.Any{fullName, expand.Rename[string]("users", "mail", "email")}
	for _, p := range pairs {
		must(expand.Apply(ctx, db, p, expand.Options{}))
		must(switchover.Advance(ctx, db, p.Name(), switchover.Expand, switchover.Options{}))
		must(switchover.Advance(ctx, db, p.Name(), switchover.Migrate, switchover.Options{}))
	}
	results, err := backfill.RunAll(ctx, db, pairs, backfill.Options{})
	for i, res := range results {
		fmt.Println(pairs[i].Name(), res.Done)
	}
	fmt.Println(err)
	// Output:
	// users.full_name true
	// users.email true
	// <nil>
}

// One tenant first: its rows are done, and the gate to Switch still asks for the others.
func ExampleRun_where() {
	ctx := context.Background()
	db, drop := migrating(ctx, fullName)
	defer drop()
	res, err := backfill.Run(ctx, db, fullName, backfill.Options{Where: `{id} < 3`})
	fmt.Println(res.Rows, res.Done, err)
	res, err = backfill.Run(ctx, db, fullName, backfill.Options{})
	fmt.Println(res.Rows, res.Done, err)
	// Output:
	// 2 true <nil>
	// 1 true <nil>
}
