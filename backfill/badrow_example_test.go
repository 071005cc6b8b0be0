package backfill_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/switchover"
)

// oddly is a migration of which a Run has set aside row 3, 'odd'; mended says that its conversion has been corrected since.
func oddly(ctx context.Context, mended *bool) (p *expand.Pair[string, string], db *sqlx.DB, drop func()) {
	p = expand.Convert(expand.Spec[string, string]{Table: "users", Old: "user_name", New: "full_name", Forward: func(s string) (string, error) {
		if s == "odd" && !*mended {
			return "", errOdd
		}
		return strings.ToUpper(s), nil
	}})
	db, drop = migrating(ctx, p)
	_, err := backfill.Run(ctx, db, p, backfill.Options{})
	must(err)
	return p, db, drop
}

func ExampleBadRows() {
	ctx := context.Background()
	p, db, drop := oddly(ctx, new(bool))
	defer drop()
	for page := (backfill.BadRowsOptions{Limit: 100}); ; {
		rows, err := backfill.BadRows(ctx, db, p, page)
		must(err)
		if len(rows) == 0 {
			break
		}
		for _, r := range rows {
			fmt.Println(r.Key, r.Error)
		}
		page.After = rows[len(rows)-1].Key
	}
	// Output:
	// [3] users.full_name: forward of odd: odd value
}

func ExampleRetryBadRows() {
	ctx := context.Background()
	var mended bool
	p, db, drop := oddly(ctx, &mended)
	defer drop()
	done, err := backfill.RetryBadRows(ctx, db, p, backfill.RetryOptions{All: true})
	fmt.Println(done.Mended, len(done.Bad), err)
	mended = true // a deploy later
	done, err = backfill.RetryBadRows(ctx, db, p, backfill.RetryOptions{Keys: [][]string{{"3"}}})
	fmt.Println(done.Mended, len(done.Bad), err)
	// Output:
	// 0 1 <nil>
	// 1 0 <nil>
}

func ExampleAcceptBadRows() {
	ctx := context.Background()
	p, db, drop := oddly(ctx, new(bool))
	defer drop()
	_, err := backfill.AcceptBadRows(ctx, db, p, "a test account, to be deleted in May", backfill.AcceptOptions{Keys: [][]string{{"3"}}, Actor: "ada"})
	must(err)
	rows, err := backfill.BadRows(ctx, db, p, backfill.BadRowsOptions{Accepted: true})
	must(err)
	fmt.Println(rows[0].Key, rows[0].AcceptedBy, rows[0].Accepted)
	gates, err := switchover.Gates(ctx, db, p.Name(), switchover.Switch, switchover.Options{})
	must(err)
	for _, g := range gates {
		fmt.Println(g.Name) // no bad-rows
	}
	// Output:
	// [3] ada a test account, to be deleted in May
	// verify
	// statistics
}

func ExampleUnacceptBadRows() {
	ctx := context.Background()
	p, db, drop := oddly(ctx, new(bool))
	defer drop()
	_, err := backfill.AcceptBadRows(ctx, db, p, "a test account", backfill.AcceptOptions{All: true})
	must(err)
	fmt.Println(backfill.UnacceptBadRows(ctx, db, p, backfill.AcceptOptions{All: true}))
	rows, err := backfill.BadRows(ctx, db, p, backfill.BadRowsOptions{Open: true})
	fmt.Println(len(rows), err)
	// Output:
	// 1 <nil>
	// 1 <nil>
}

// Beside the server of an application, for as long as it runs.
func ExampleSweepUntil() {
	p := expand.Convert(expand.Spec[string, string]{Table: "users", Old: "user_name", New: "full_name",
		Forward: func(s string) (string, error) { return "I am " + s, nil }})
	db, drop := migrating(context.Background(), p)
	defer drop()
	_, err := backfill.Run(context.Background(), db, p, backfill.Options{})
	must(err)

	ctx, stop := context.WithCancel(context.Background())
	swept, done := make(chan backfill.Swept), make(chan error)
	go func() {
		done <- backfill.SweepUntil(ctx, db, p, backfill.SweepOptions{Report: func(s backfill.Swept) { swept <- s }})
	}()
	db.MustExec(`UPDATE users SET user_name = 'Barbara' WHERE id = 2`) // by an old binary
	fmt.Println((<-swept).Rows)
	stop()
	fmt.Println(<-done)
	// Output:
	// 1
	// sweep users.full_name: context canceled
}
