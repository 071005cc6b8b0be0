package backfill_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/backfill"
)

// An operator's program asks; the workers, wherever they run, hear of it with their next statement.
func ExamplePause() {
	ctx := context.Background()
	db, drop := migrating(ctx, fullName)
	defer drop()
	must(backfill.Pause(ctx, db, "users.full_name"))
	c, err := backfill.Asked(ctx, db, "users.full_name")
	fmt.Println(c.Paused, err)
	// Output: true <nil>
}

func ExampleResume() {
	ctx := context.Background()
	db, drop := migrating(ctx, fullName)
	defer drop()
	must(backfill.Pause(ctx, db, "users.full_name"))
	must(backfill.Resume(ctx, db, "users.full_name"))
	res, err := backfill.Run(ctx, db, fullName, backfill.Options{})
	fmt.Println(res.Rows, err)
	// Output: 3 <nil>
}

func ExampleCancel() {
	ctx := context.Background()
	db, drop := migrating(ctx, fullName)
	defer drop()
	must(backfill.Cancel(ctx, db, "users.full_name"))
	_, err := backfill.Run(ctx, db, fullName, backfill.Options{})
	fmt.Println(errors.Is(err, backfill.ErrCancelled))
	// Output: true
}

// Shorter statements, by two workers in each process, together not more than 20,000 rows a second.
func ExampleTune() {
	ctx := context.Background()
	db, drop := migrating(ctx, fullName)
	defer drop()
	must(backfill.Tune(ctx, db, "users.full_name", backfill.Settings{Target: 20 * time.Millisecond, Workers: 2, Rate: 20_000}))
	res, err := backfill.Run(ctx, db, fullName, backfill.Options{})
	fmt.Println(res.Rows, err)
	// Output: 3 <nil>
}

func ExampleAsked() {
	ctx := context.Background()
	db, drop := migrating(ctx, fullName)
	defer drop()
	must(backfill.Tune(ctx, db, "users.full_name", backfill.Settings{Rate: 500}))
	c, err := backfill.Asked(ctx, db, "users.full_name")
	fmt.Println(c.Rate, c.Paused, err)
	// Output: 500 false <nil>
}

func ExampleBar() {
	ctx := context.Background()
	db, drop := migrating(ctx, fullName)
	defer drop()
	var terminal bytes.Buffer // os.Stderr
	_, err := backfill.Run(ctx, db, fullName, backfill.Options{Progress: backfill.Bar(&terminal, "users.full_name")})
	fmt.Println(strings.Contains(terminal.String(), "users.full_name: 3 rows, done 100%"), err)
	// Output: true <nil>
}

// differing is a table of three rows, one of which was changed behind the guard's back and found by Verify.
func differing(ctx context.Context) (db *sqlx.DB, drop func()) {
	db, drop = migrating(ctx, fullName)
	_, err := backfill.Run(ctx, db, fullName, backfill.Options{})
	must(err)
	db.MustExec(`ALTER TABLE users DISABLE TRIGGER USER; UPDATE users SET user_name = 'nobody' WHERE id = 2; ALTER TABLE users ENABLE TRIGGER USER`)
	_, err = backfill.Verify(ctx, db, fullName, backfill.VerifyOptions{})
	must(err)
	return db, drop
}

func ExampleDifferences() {
	ctx := context.Background()
	db, drop := differing(ctx)
	defer drop()
	list, _, err := backfill.Differences(ctx, db, fullName, backfill.DifferencesOptions{Values: true})
	for _, d := range list {
		fmt.Println(d.Key, *d.Old[0], *d.New[0])
	}
	fmt.Println(err)
	// Output:
	// [2] nobody Grace
	// <nil>
}

func ExampleRepair() {
	ctx := context.Background()
	db, drop := differing(ctx)
	defer drop()
	fmt.Println(backfill.Repair(ctx, db, fullName))
	report, err := backfill.Verify(ctx, db, fullName, backfill.VerifyOptions{})
	fmt.Println(report.Differences, err)
	// Output:
	// 1 <nil>
	// 0 <nil>
}

// What will it cost? A few rows are copied and taken back.
func ExampleForecast() {
	ctx := context.Background()
	db, drop := migrating(ctx, fullName)
	defer drop()
	cost, err := backfill.Forecast(ctx, db, fullName, backfill.ForecastOptions{})
	fmt.Println(cost.Rows, err)
	// Output: 3 <nil>
}

func ExampleCost() {
	ctx := context.Background()
	db, drop := migrating(ctx, fullName)
	defer drop()
	cost, err := backfill.Forecast(ctx, db, fullName, backfill.ForecastOptions{})
	must(err)
	fmt.Println(strings.HasPrefix(cost.String(), "about 3 rows in "))
	// Output: true
}
