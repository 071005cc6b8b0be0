// Package contract ends a migration: it takes from old what would stand in the way, and drops it.
//
//	list, err := contract.Check(ctx, db, FullName)                                   // what depends on old
//	err = contract.Apply(ctx, db, FullName, contract.Relax, contract.Options{})      // in Switch
//	err = switchover.Advance(ctx, db, FullName.Name(), switchover.Contract, ...)     // the swap
//	err = contract.Apply(ctx, db, FullName, contract.Finish, contract.Options{})     // in Contract
//	err = contract.Apply(ctx, db, FullName, contract.Drop, contract.Options{})       // sets Complete
//
// # What happens to the table
//
// Relax takes NOT NULL, default, checks, foreign keys and unique indexes from old; new has them all. Finish makes new NOT NULL, by a check that is validated without blocking anybody, and gives it
// the default. Drop drops old, the stamp and the guard, and gives the twins the names of the indexes and constraints that went with old: the catalog is then
// what ALTER TABLE ... RENAME COLUMN would have left, apart from the column's position. Each step takes ACCESS EXCLUSIVE for a moment only;
// nothing is dropped with CASCADE, and what depends on old is listed before anything is touched.
//
// Where new is in another table, Relax takes the same from old; what new has of it is for you to say (expand's "Another table"). Finish does nothing, and Drop gives new the default. Each takes
// its locks on both tables.
//
// Of a replaced table only Drop has something to do: it drops the old table, which Advance to Contract has renamed, and the triggers. Relax, Finish and Restore have no steps.
//
// # The way back
//
// Relax notes in the state schema what it takes; Restore gives it back, in Switch or in Migrate, by statements that block nobody for long. From Contract the way back is switchover.Revert, backfill.Run with Reverse,
// Restore. There is none from Drop.
package contract
