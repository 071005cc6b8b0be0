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
// # What is carried over
//
// After Drop of a pair of two columns in one table (go test ./contract -run TestCatalog compares each with what ALTER TABLE leaves):
//
//	carried     NOT NULL (with its name, comment, NOT VALID, NO INHERIT), default, owned sequences, type and collation, storage, compression, statistics target, column options, comment, grants
//	carried     indexes: unique, partial, of expressions, several columns, INCLUDE, order, operator class and its parameters, collation, NULLS NOT DISTINCT, btree, hash, gin, gist, spgist, brin,
//	            storage parameters, tablespace, CLUSTER ON, statistics target, comment; built CONCURRENTLY
//	carried     constraints: unique (also deferrable), check, foreign key (actions but SET DEFAULT, MATCH FULL, deferrable); NOT VALID and NOT ENFORCED stay so; comments
//	carried     statistics objects, with their target, comment and owner
//	by SQL      views (options, owner, grants, comments, column defaults), materialized views (with their indexes), rules, policies, triggers with UPDATE OF or WHEN, functions BEGIN ATOMIC,
//	            publications' column lists and filters, replica identity, exclusion constraints, unique WITHOUT OVERLAPS, foreign keys that point at the column, ON ... SET DEFAULT
//	by SQL      generated columns: SET EXPRESSION, from PostgreSQL 17 on; before, dropped and added if nothing else hangs on them. Both rewrite the table, unless they are VIRTUAL
//	by SQL      triggers that set the column: dropped before the start, made again at the end
//	by SQL      of a partitioned table: indexes, partition by partition; unique constraints; before PostgreSQL 18 foreign keys. Their names on the partitions are old's at the end
//	refused     identity and generated columns, members of the primary key or of the partition key, what a partition has alone, views that join USING the column, materialized views that others
//	            read, generated columns with more on them before PostgreSQL 17
//
// What is there by SQL Check lists and Relax refuses, each with its Fixes: the SQL and the phase to run it in. What is refused, Plan (package expand) or Check says before the start. Where PostgreSQL
// loses something when a column's type changes (storage, an index's statistics target), new keeps it; a default goes through the conversion. Function bodies in text, and triggers that
// are told the column's name, stay as they are, as with RENAME COLUMN, and the gate mentions lists them. A grant is the owner's afterwards, whoever had passed it on.
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
