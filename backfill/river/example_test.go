package tandemriver_test

import (
	"context"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"

	"github.com/tandem-go/tandem/backfill"
	tandemriver "github.com/tandem-go/tandem/backfill/river"
	"github.com/tandem-go/tandem/backfill/throttle"
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

type panics struct{}

func (panics) Errorf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (panics) FailNow()                          { panic("it has failed") }

// migrating is a database with River's tables, and a table of three rows whose pair is in Migrate.
func migrating(ctx context.Context) (db *sqlx.DB, drop func()) {
	db, drop = pgtest.Example()
	installRiver(ctx, panics{}, db)
	db.MustExec(`CREATE TABLE users (id bigint PRIMARY KEY, user_name text); INSERT INTO users VALUES (1, 'Ada'), (2, 'Grace'), (3, 'Barbara')`)
	must(expand.Apply(ctx, db, fullName, expand.Options{}))
	must(switchover.Advance(ctx, db, fullName.Name(), switchover.Expand, switchover.Options{}))
	must(switchover.Advance(ctx, db, fullName.Name(), switchover.Migrate, switchover.Options{}))
	return db, drop
}

// A process of the fleet that works jobs, and one that inserts those of the backfill. Here they are the same.
func Example() {
	ctx := context.Background()
	db, drop := migrating(ctx)
	defer drop()

	worker, err := tandemriver.NewWorker(tandemriver.Migration{DB: db, Pair: fullName, Run: backfill.Options{Throttles: throttle.Default("users")}})
	must(err)
	workers := river.NewWorkers()
	river.AddWorker(workers, worker)
	client, err := river.NewClient(riverdatabasesql.New(db.DB), &river.Config{Workers: workers, Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 10}}})
	must(err)
	completed, unsubscribe := client.Subscribe(river.EventKindJobCompleted)
	defer unsubscribe()
	must(client.Start(ctx))

	_, err = tandemriver.Enqueue(ctx, client, fullName.Name(), tandemriver.EnqueueOptions{})
	must(err)
	select {
	case done := <-completed:
		fmt.Println(string(done.Job.Output()))
	case <-time.After(waitTime):
		fmt.Println("not done")
	}
	must(client.Stop(ctx))
	// Output: {"rows": 3, "bad_rows": 0}
}

// Two migrations of one process, one of them with longer slices and two statements at a time in each.
func ExampleNewWorker() {
	db, drop := pgtest.Example()
	defer drop()
	worker, err := tandemriver.NewWorker(
		tandemriver.Migration{DB: db, Pair: expand.Rename[string]("users", "mail", "email")},
		tandemriver.Migration{DB: db, Pair: fullName, Run: backfill.Options{For: time.Minute, Workers: 2}},
	)
	must(err)
	fmt.Println(river.AddWorkerSafely(river.NewWorkers(), worker))
	// Output: <nil>
}

// How long River lets a job work. Work itself is called by River alone.
func ExampleWorker() {
	db, drop := pgtest.Example()
	defer drop()
	worker, err := tandemriver.NewWorker(tandemriver.Migration{DB: db, Pair: fullName})
	must(err)
	fmt.Println(worker.Timeout(&river.Job[tandemriver.Args]{Args: tandemriver.Args{Migration: "users.full_name"}}))
	// Output: 1h0m10s
}

// To insert the jobs twice does nothing.
func ExampleEnqueue() {
	ctx := context.Background()
	db, drop := migrating(ctx)
	defer drop()
	client, err := river.NewClient(riverdatabasesql.New(db.DB), &river.Config{})
	must(err)
	for range 2 {
		results, err := tandemriver.Enqueue(ctx, client, fullName.Name(), tandemriver.EnqueueOptions{Slots: 2, Insert: &river.InsertOpts{Queue: "backfill"}})
		must(err)
		for _, r := range results {
			fmt.Println(r.Job.Kind, r.Job.Queue, r.UniqueSkippedAsDuplicate)
		}
	}
	// Output:
	// tandem_backfill backfill false
	// tandem_backfill backfill false
	// tandem_backfill backfill true
	// tandem_backfill backfill true
}

// The jobs are inserted by the caller, in a transaction that does something else as well.
func ExampleJobs() {
	ctx := context.Background()
	db, drop := migrating(ctx)
	defer drop()
	client, err := river.NewClient(riverdatabasesql.New(db.DB), &river.Config{})
	must(err)
	jobs, err := tandemriver.Jobs(fullName.Name(), tandemriver.EnqueueOptions{Slots: 2})
	must(err)
	tx, err := db.BeginTx(ctx, nil)
	must(err)
	results, err := client.InsertManyTx(ctx, tx, jobs)
	must(err)
	must(tx.Commit())
	fmt.Println(len(results))
	// Output: 2
}

// The jobs of the backfill are those of one kind.
func ExampleArgs() {
	ctx := context.Background()
	db, drop := migrating(ctx)
	defer drop()
	client, err := river.NewClient(riverdatabasesql.New(db.DB), &river.Config{})
	must(err)
	_, err = tandemriver.Enqueue(ctx, client, fullName.Name(), tandemriver.EnqueueOptions{Slots: 2})
	must(err)
	list, err := client.JobList(ctx, river.NewJobListParams().Kinds(tandemriver.Args{}.Kind()))
	must(err)
	for _, job := range list.Jobs {
		fmt.Println(job.State, string(job.EncodedArgs))
	}
	// Output:
	// available {"slot": 1, "reverse": false, "migration": "users.full_name"}
	// available {"slot": 2, "reverse": false, "migration": "users.full_name"}
}
