// Package switchover moves a migration through its phases, and tells running programs which phase it is in.
//
//	member, err := switchover.Join(ctx, db, switchover.JoinOptions{Service: "api"}) // in every service, at startup
//	defer member.Leave(ctx)
//
//	err = switchover.Advance(ctx, db, "users.full_name", switchover.Migrate, switchover.Options{Wait: true}) // by the operator
//
// The phase is a row of tandem.migration. A member reads it about once a second and pins it for each operation; it acknowledges a phase when none of its
// operations is pinned to an earlier one. Advance asks the gates of the step and refuses with the list of all that is missing:
//
//	users.full_name from Migrate to Switch is refused:
//	  backfill: 40000 of about 200000 rows, last heard of at 10:15:42: let backfill.Run finish
//	  twins: index users_name has no valid twin on full_name: run expand.ApplyTwins
//
// A gate that only protects from trouble can be waived by name, with a reason, which lands in tandem.event. A gate that protects data cannot.
//
// # Why no reader is wrong and no write is lost
//
// Safety does not rest on members, clocks or notifications: they only decide when to try. Programs that write only old and programs that write only new must
// never exist together, for nobody could merge their writes. The step from Switch to Contract, the swap, therefore replaces the guard
// that repairs by the guard that rejects, and sets the phase, in one transaction that holds SHARE ROW EXCLUSIVE on the table. That lock conflicts with the lock that
// every writer holds to its commit, so each writing transaction is wholly before the swap, and repaired if it wrote only old, or wholly
// after it, and refused with SQLSTATE TD001 if it did not write new with a fresh stamp. Readers go on undisturbed.
//
// Package internal/model is this as a state machine, explored to the last of some 750,000 states. The tests of examples/history let fleets of well-behaved members, zombies, old
// binaries and lost connections run through all phases forth and back, and check that every row is linearizable.
//
// All times are those of the database's clock; a member's is never asked. Where the database's clock is set forward, soak and quiet times are over sooner, members look
// dead until their next beat, and another runner may take a backfill over, which fences the first. Where it is set back, soak and quiet times last until it has caught up (waive
// them by name), and who was seen in what is now the future counts as dead until its next beat.
//
// # Beginning with some of the keys
//
//	err = switchover.Advance(ctx, db, "users.full_name", switchover.Switch, switchover.Options{Canary: switchover.Canary{Share: 0.01}})
//	err = switchover.SetCanary(ctx, db, "users.full_name", switchover.Canary{Share: 0.25}, switchover.Options{}) // and so on, up to 1
//
// Reads by key in Switch compare both columns anyway, so a read of new can begin with a share of the keys. Members add up how many of their reads differed; when that is more
// of the last five minutes' than Canary tolerates, whatever the share, the database takes the migration back to Migrate, as safe as any flip of Revert, and says so:
//
//	users.full_name: Migrate for 2m10s, guard repair
//	  last step: fallback by member api v1.4.2 on host-7 pid 4711: 62 of 1611 compared reads of the last minutes differed, more than the tolerated share of 0.01
//	  before Switch, verify: not done: run backfill.Verify
//
// # Poolers and standbys
//
// Everything works through PgBouncer in transaction mode: settings and locks last for a transaction, members poll, and nothing is kept in a session. lib/pq then needs
// binary_parameters=yes, and pgx default_query_exec_mode=exec or cache_describe: without it a pooler can run another client's statement in place of ours. Doctor finds that by
// what the server answers, and Join refuses with ErrMixedUp.
//
// Members join on the primary, for they write. A repository on a standby with such a member reads by the reader's rule at any lag: each value was current once. The two
// ends are the limit: a standby that has not replayed the new columns refuses a read with 42703, and from Complete on,
// where only new is read, the standby must have replayed the step to Contract: a gate of contract.Apply with Drop asks those that are connected.
//
// # The ways back
//
// Revert flips the phase, at once and at any time up to Switch. From Contract it makes every writer write both columns again; then
// backfill.Run with Reverse copies the rows whose old value is stale, and contract.Apply with Restore gives old its constraints and puts the
// repairing guard back. After contract.Apply with Relax the flip to Migrate is open as ever; below it, and before old binaries start again, Restore comes first. From
// Complete there is no way back.
//
// # A replaced table
//
// Where a whole table is replaced (expand.Replace), the swap takes ACCESS EXCLUSIVE on both tables, for it renames: it waits for readers too, at most LockTimeout a
// try, and changes only the catalog. A statement that runs holds its lock and is wholly before; one that comes after finds no table of the old name. In the same transaction the mirror is
// turned round, so that Revert is the same step the other way, after it has compared the tables; where the rows cannot become old ones again it is refused. Gates ask besides for
// what would go on with the old table: foreign keys that point at it, views, functions, publications, sequences that it owns and the new one uses. There is no canary.
//
// # Proposals from a feature flag
//
// The row admits; a flag, or whatever is a Source, may only propose:
//
//	err := switchover.Follow(ctx, db, "users.full_name", source, switchover.FollowOptions{}) // until ctx ends
//
// Follow takes the steps between Start and Switch that an operator would take, through the same gates, and the event log says that a flag took them. An error, a default,
// a stale value or what is no phase keeps the admitted phase. After the database has fallen back by itself, a flag must propose less before it can propose more.
// Package switchover/openfeature, a Go module of its own, makes an OpenFeature client a Source.
//
// # The state
//
// Schema tandem is made by Join or expand.Apply, whoever comes first, by a role that may create a schema; no superuser, no extension. Any role may read the phases,
// write the member table and report differences, which may flip Switch to Migrate: members count for gates, not for safety. Join and expand.Apply also upgrade it, then by its owner; a library that is older than the
// schema refuses with ErrNewer, one that meets an older schema says ErrOlder, and running members keep the phases they know.
//
// A TRUNCATE or DELETE by hand that would forget a migration under way is refused with SQLSTATE TD003. Where its row is gone all the same, running members go on in the phase they
// know, operations of new ones fail with ErrLost instead of writing old alone, and expand.Apply registers the migration again in a phase that its guard admits. A DROP SCHEMA tandem CASCADE takes the guards with it, and nothing can tell a
// new program: restore the schema from a backup before you start one.
package switchover
