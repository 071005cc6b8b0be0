package contract_test

import (
	"context"
	"fmt"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/contract"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/switchover"
)

var exampleName = expand.Rename[string]("users", "user_name", "full_name")

// atOnce has no waiting times, as no operator should in earnest.
var atOnce = switchover.Options{Quiet: switchover.None, Soak: switchover.None}

// must ends an Example at an error, which its output then shows.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// switched is a small table whose pair is in Switch.
func switched(ctx context.Context) (db *sqlx.DB, drop func()) {
	db, drop = pgtest.Example()
	db.MustExec(`CREATE TABLE users (id bigint PRIMARY KEY, user_name text NOT NULL DEFAULT 'nobody'); INSERT INTO users VALUES (1, 'Ada')`)
	must(expand.Apply(ctx, db, exampleName, expand.Options{}))
	must(switchover.Advance(ctx, db, exampleName.Name(), switchover.Expand, atOnce))
	must(switchover.Advance(ctx, db, exampleName.Name(), switchover.Migrate, atOnce))
	_, err := backfill.Run(ctx, db, exampleName, backfill.Options{})
	must(err)
	must(expand.ApplyTwins(ctx, db, exampleName, expand.Options{}))
	_, err = backfill.Verify(ctx, db, exampleName, backfill.VerifyOptions{})
	must(err)
	must(switchover.Advance(ctx, db, exampleName.Name(), switchover.Switch, atOnce))
	return db, drop
}

func ExampleCheck() {
	ctx := context.Background()
	db, drop := switched(ctx)
	defer drop()
	db.MustExec(`CREATE POLICY named ON users USING (user_name <> '')`)
	list, err := contract.Check(ctx, db, exampleName)
	must(err)
	for _, d := range list {
		fmt.Println(d)
	}
	// Output:
	// policy named: ALTER POLICY so that it names the new column
	// 	in Switch: ALTER POLICY named ON public.users USING ((full_name <> ''::text));
}

func ExamplePlan() {
	ctx := context.Background()
	db, drop := switched(ctx)
	defer drop()
	steps, err := contract.Plan(ctx, db, exampleName, contract.Relax)
	must(err)
	for _, s := range steps {
		fmt.Println(s.Name, s.SQL)
	}
	// Output:
	// relax old [ALTER TABLE public.users ALTER COLUMN user_name DROP NOT NULL ALTER TABLE public.users ALTER COLUMN user_name DROP DEFAULT]
}

// The end of a migration.
func ExampleApply() {
	ctx := context.Background()
	db, drop := switched(ctx)
	defer drop()
	o := contract.Options{Gates: atOnce}
	must(contract.Apply(ctx, db, exampleName, contract.Relax, o))
	must(switchover.Advance(ctx, db, exampleName.Name(), switchover.Contract, atOnce))
	must(contract.Apply(ctx, db, exampleName, contract.Finish, o))
	must(contract.Apply(ctx, db, exampleName, contract.Drop, o))
	var columns []string
	must(db.Select(&columns, `SELECT attname || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END FROM pg_attribute
		WHERE attrelid = 'users'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum`))
	fmt.Println(columns)
	// Output: [id NOT NULL full_name NOT NULL]
}

func ExampleStage_String() {
	fmt.Println(contract.Relax, contract.Finish, contract.Drop, contract.Restore)
	// Output: relax finish drop restore
}
