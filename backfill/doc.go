// Package backfill copies the old rows of a pair, in small transactions, and proves the result.
//
//	res, err := backfill.Run(ctx, db, FullName, backfill.Options{Progress: func(p backfill.Progress) { ... }})
//	report, err := backfill.Verify(ctx, db, FullName, backfill.VerifyOptions{})
//
// # What happens to the table
//
// Run divides the table into ranges and goes over each, one short transaction after the other. A range is of blocks: a TID range scan reads them in order and needs no index, so that a key of any
// kind does, a random one too. Small tables, and the rows that a first round has left because they moved meanwhile, are done in the order of the key.
//
// Rows of a full page that are updated in one transaction all have to leave the page, and every index gets a new entry for each. So a window of blocks is done in stripes: with 8 stripes a
// transaction takes each eighth row of every page. When the next stripe comes to a page, the row versions that the last one left dead are pruned, and their room is used: the row stays on its
// page and no index is touched (heap-only tuples, README.HOT in PostgreSQL's source). It works if no snapshot older than the last stripe is alive: a window is as long as the oldest snapshot
// is old. Where stripes bring nothing (pages with room, an index on the new column, an old snapshot, rows of half a page) windows are plain, and Progress.Plain says why.
// BenchmarkBackfill compares with one UPDATE.
//
// A statement is as long as Options.Target, 50 ms by default: its rows grow by half at most, shrink in proportion, and to a tenth after one that took five times the target. It takes ROW EXCLUSIVE
// on the table and its rows' locks for as long, waits 200 ms at most for a row that somebody else holds, and is then tried again: between it and the application, it is the backfill that lets go.
//
// The position is committed with the rows. After a crash the next Run goes on where the last one stopped; nothing is done twice, and nothing left out.
//
// A concurrent write always wins. With an SQL forward the expression is on the target row, which PostgreSQL reads again under its lock; with a
// conversion in Go the row is written only if old is still what was read and nobody has stamped the row.
//
// # Conversions in Go
//
// A window's rows are read once for all its stripes and converted on all processors (GOMAXPROCS), so Forward must be fit for use by many goroutines, while the window before is written: each worker has a second
// connection for that. Statements that read take a fifth of Target: each is a snapshot, and keeps what died since from making room. Some 12 MiB of rows are read at a time, so that wide rows, or conversions that take long, make short windows; of rows of many
// megabytes one alone is. By keys, that is in small tables, with Stripes: 1 and with OrderDesc, each statement's rows are read and converted before they are written.
//
// A conversion that does not return for Options.ConvertTimeout ends the run with ErrStuck, which names the row. While it lasts its worker keeps the range and hears what is asked, but a goroutine cannot be ended.
//
// # Many workers
//
// Options.Workers run at a time in one call, and any number of processes may call Run: all share the ranges, which are rows of tandem.range that a worker claims with a token (FOR UPDATE SKIP
// LOCKED). A worker that has been silent for 10 s is taken over, and its token keeps it from writing if it was not dead. Each worker uses one connection of the pool, for a
// conversion in Go two, and the throttles one more.
//
// # Keys
//
// A pair's key is the primary key or any unique index of NOT NULL columns that is neither partial, of expressions, deferrable nor of another collation than its columns, named in the pair's Key. Plan says
// which is the smallest where the one that is named does not fit; it takes none by itself, for programs name the same. Windows go along the index as it is, whichever way its columns go. Where some go up and
// others down every round is by blocks.
//
// A table without a key (expand.NoKey) is gone over by its blocks alone, round after round until nothing is left. A row that does not convert cannot be set aside: Run ends with its place, and goes on once
// it is mended. Keys of differences are places too, good until the row is written again.
//
// A partition that is detached or dropped meanwhile is passed over; one that is attached is done by the next round. When the table itself goes, Run says what has become of it and keeps the position.
//
// # A part of the rows, several pairs
//
// Options.Where does the rows of a tenant, say, by a pass of its own; the gate to Switch asks for one over all rows all the same, which then finds less to do. OrderDesc begins with the highest keys.
// RunAll copies several pairs of a table at once: a row is written once, and not once for each (BenchmarkRunAll).
//
// # Who holds it
//
// Pause, Resume, Cancel and Tune (target, rate, workers) work from any process: workers hear of it with the answer to each statement. Options.Throttles are what it gives way to, see package throttle.
// Why a worker rests is in Progress.Held, in the log, and in switchover.Status.
//
// # What it costs
//
// Forecast copies a few rows in transactions that it rolls back, and says how many rows, transactions, bytes of WAL and of the heap, and how long.
//
// # Bad rows
//
// A row whose value does not convert, or whose new value the server refuses (too long, a constraint, a trigger of yours), stays without a stamp, and tandem.bad_row has its key and the error. The
// rest goes on, until Options.BadRows or BadShare say that it is not the rows that are wrong. BadRows lists them. Mend a row by a write, or the conversion by a deploy; then RetryBadRows
// tries some or all now, and Run would as well. Both say which are left.
//
// AcceptBadRows lets the migration go on with the rest of them, for a reason that goes into tandem.event. Nothing is written to such a row, so:
//   - By key it is read as it was before: forward of old, in every phase up to Contract, whose error the reader gets where Go cannot convert either. A filter finds it up to Migrate by old, and from
//     Switch on by what new has, mostly NULL: it is not found by its value. A program that writes it through the wrappers gives it a new value and a stamp, and the next Run or RetryBadRows takes it off the list.
//   - It counts for no gate to Switch and Contract, is no difference for the gate verify (Verify itself lists it), and counts for no limit of Run. If old was NOT NULL, the gate accepted says before
//     Contract, and contract.Apply with Finish by its refusal, that new cannot be while the row has none.
//   - Accepted is the value that old had. A write that leaves another one which does not convert makes it a bad row again, when Sweep, Run or RetryBadRows meets it.
//   - Old keeps the value up to the drop. That loses it, and so asks again: the gate accepted names the keys and wants a waiver of its own, unless AcceptOptions.Lose has said so before. What has no stamp,
//     and was not accepted, or has another value than then, keeps the drop from happening (gate unstamped, which nobody can waive). After the drop the row has NULL.
//
// A bad row of the way back, and of a replaced table, cannot be accepted: old binaries would read a value of yesterday, or nobody would read the row.
//
// # Strays
//
// What an old binary writes, SQL brings into step in the same transaction. If only Go converts, the row loses its stamp, is read by forward of old, and its key waits in tandem.dirty. Sweep empties that list
// once; an application that has such a pair starts SweepUntil next to its server:
//
//	go func() { errs <- backfill.SweepUntil(ctx, db, PriceCents, backfill.SweepOptions{}) }()
//
// Each of any number of processes looks twice a second, by one query that costs the server some 0.03 ms, and takes what no other has taken. It polls: NOTIFY from a trigger takes a lock of the whole
// database at the commit of every stray, and LISTEN needs a connection of its own for each process and hears nothing behind a pooler in transaction mode. Up to its row's turn nothing wrong is read by key; a filter of
// Switch misses the row for that long.
//
// # Another table
//
// Of a pair that moves to another table each row of Table gets a row of To, by INSERT ... ON CONFLICT; of a row that is there only new and stamp are set, if it has no stamp.
// The rows of Table are locked FOR SHARE, so that a writer who finds no row of To is not overtaken. It goes in the order of the key, as stripes bring nothing to inserts. Verify joins the two, and a missing row is a difference.
//
// # A replaced table
//
// Run inserts the rows that are not in the new table yet, in the order of the old one's key. It holds the rows that it reads FOR SHARE until their copies are
// committed: a writer of one waits some tens of milliseconds, and its change is mirrored. A transaction of REPEATABLE READ or SERIALIZABLE that began before a row was copied
// gets 40001 when it changes or deletes it. A row that the new table refuses is a bad row. Verify compares both ways: what is missing or differs, by the old key, and rows without one in the
// old table, by the new key. UPDATE ... SET id = id in the old table mends the first two; a row too many is deleted in a transaction after SELECT set_config('tandem.mirror', 'orders_v2', true),
// with the migration's name.
//
// # What Verify finds
//
// Differences lists it, page by page; Repair makes those rows of old again, all or some, while old is the truth. A verification that was stopped or killed goes on where it was if the copy is still
// the same and it has not rested for an hour. It goes by blocks where the copy does; since an UPDATE may take a row from a block that was not compared yet to one that was, a second round looks at what
// has been written since it began. That takes longer the more that is: with an old transaction open, up to twice.
//
// With VerifyOptions.Standby rows are read there. It waits until the standby shows that the verification has begun, so that all that was written before is there, and asks each connection again
// with each statement. Statements that recovery cancels are tried again.
//
// # The way back
//
// Nothing has to be undone: up to Switch old is written by everybody and is whole. From Contract, Run with Reverse copies new to old.
package backfill
