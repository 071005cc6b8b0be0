// Package tandemriver lets River (github.com/riverqueue/river) carry a backfill: a fleet that has that queue needs no program of its own for it.
//
// Every process that works jobs registers the pairs that it knows:
//
//	worker, err := tandemriver.NewWorker(tandemriver.Migration{DB: db, Pair: FullName})
//	workers := river.NewWorkers()
//	river.AddWorker(workers, worker)
//
// Once all of them are deployed, and the migration is in Migrate, one program inserts the jobs:
//
//	_, err := tandemriver.Enqueue(ctx, client, "users.full_name", tandemriver.EnqueueOptions{Slots: 4})
//
// # What a job does
//
// A job is a slot of a migration. It works for a slice of time, 10 s, and then snoozes itself, behind the jobs that came to the queue meanwhile; any worker of the fleet goes on with it. When every row is done it is
// completed. The slots share the ranges of the pass as the workers of backfill.Run do: 4 slots are 4 statements at a time, wherever they are worked. A pass has a range for each 32 MB of the table, and two at least
// if it has a megabyte; more slots than ranges only wait. A job's output is what it has written so far (Output).
//
// Jobs are unique by migration, direction and slot while they are not finished: to insert them twice does nothing, and more Slots adds slots. Once a job is completed, cancelled or discarded it can be inserted again.
//
// Between two slices a job waits for River: up to 250 ms until that has stored the snooze, and up to a poll (river.Config.FetchPollInterval, 1 s) until it is fetched, with LISTEN as well. With slices of
// 10 s that is an eighth of the time at most.
//
// # Errors
//
// What is wrong until somebody does something cancels the job, with the error in it: backfill.ErrPhase, ErrDirection, ErrBadRows, ErrLeft, a pair or a table that is refused (switchover.ErrUnknown, ErrNoSchema,
// ErrRedeclare, expand.ErrNoTable, ErrNoColumn, ErrKey, ErrRefused, ErrMapping), and backfill.Cancel. Insert the jobs again when it is mended. While backfill.Pause is in force jobs snooze.
//
// Every other error is River's to try again, by its policy and up to its attempts. Those count the errors of the job's whole life, and slices that end well take none away: where a backfill takes
// weeks give the jobs more (river.InsertOpts.MaxAttempts). A process that does not know the pair is such an error too, so that another one may take the job.
//
// The position is committed with the rows. A job whose context ends, by Client.StopAndCancel, SoftStopTimeout or Migration.Timeout, loses nothing but its statement; one that the client's stop has ended is
// there for another client at once, as if it had not begun. Client.Stop waits for a slice, and what that reads at its end.
//
// After a SIGKILL River takes the job for one that is worked still: up to RescueStuckJobsAfter, an hour by default, and Migration.Timeout. The other slots take over its ranges after 10 s and do them.
// So insert two at least, and register the worker with each client that may become River's leader: one that does not know the kind discards the job.
//
// The limits of bad rows, backfill.Options.BadRows and BadShare, are those of a slice.
//
// # Connections
//
// During a slice a job takes Run.Workers connections of Migration.DB, 1 by default, each for the time of a statement, and one more where there are Run.Throttles. A pool that has fewer makes jobs wait for each other. A
// snoozed job takes none. River has the pool of its driver, which may be the same: a connection now and then to fetch, to finish jobs and to maintain its tables; with pgx one more in each process, to
// listen, with database/sql none. Migration.DB may be another database than River's: nothing is written to both in one transaction.
//
// Locks are those of backfill.Run. At its begin, and again at its end, each slot may read the table once, to see what is left.
//
// The package is a module of its own, so that Tandem does not depend on River. It needs Go 1.26, as River does.
package tandemriver
