// Package expand is what an application embeds: the declaration of a column pair, and the wrappers that write and read the pair in whatever phase
// its migration is.
//
//	var FullName = expand.Rename[string]("users", "user_name", "full_name")
//
//	type User struct {
//		ID       int64  `db:"id" tandem:"default"`
//		FullName string `db:"full_name"`
//	}
//
//	member, err := switchover.Join(ctx, db, switchover.JoinOptions{})
//	users, err := expand.NewRepository[User](db, member, FullName)
//	err = users.Insert(ctx, &User{FullName: "Ada"})
//
// In Start the last line writes user_name; from Expand to Switch it writes user_name, full_name and full_name_stamp, all in one statement; in
// Contract full_name and the stamp; in Complete full_name. The model has the final shape from the first deploy on.
//
// # What happens to the table
//
// Apply adds the new column and the stamp, both nullable and without default, and the guard: triggers that bring a write which knows
// only one of the columns into step. It is one transaction under ACCESS EXCLUSIVE for a moment. ApplyTwins, after the backfill, gives new what
// old has: indexes, checks, foreign keys, statistics objects, comment, statistics target, grants (package contract has the whole list). Both can be run again at any time; after Complete, Apply does nothing. Undo takes
// back what Apply did.
//
// # The reader's rule
//
// A read selects old, new and stamp of a row together. A row without a stamp is read as forward of old. A row with a stamp of Contract is read as new,
// whatever phase the reader believes in. Otherwise both are right: the phase chooses, and in Migrate and Switch the other is compared, and a
// difference reported. So a read by key is right at any progress of the backfill and with any phase that a process has cached.
//
// A filter such as WHERE {full_name} = $1 uses one column: the one the phase reads. Up to Migrate that is old, which every write sets. From Switch on it is
// new, right in every row that has a stamp, and the gate to Switch asks for rows without one. After that the guard keeps it so where SQL can convert. Where only
// Go can, a stray that writes old takes the stamp from its row, and a filter misses the new value until backfill.Sweep has been there.
//
// # What is equal
//
// Reads, Verify and the check of Backward ask the pair whether two values of new are one. Without Spec.Equal what PostgreSQL stores decides. That is right for
// integers, text, uuid, enums, bytea, timestamps (an instant in any zone; to the microsecond) and floats (NaN is itself, -0 is not 0). It is not where PostgreSQL
// stores another text than it was given, if only Go converts or a wrapper writes what it has not read:
//   - jsonb: order of members, blanks, 1e2 and 100: Equal compares the parsed documents;
//   - numeric as a string: '1' in numeric(10,2) comes back as 1.00: let Forward write the scale, or Equal compare the numbers;
//   - arrays and composite values as text: write them as PostgreSQL shows them;
//   - a ciphertext with a random nonce: Equal opens both. A salted hash has no Equal: take a keyed one that depends on its argument alone.
//
// A collation that calls two strings equal does not make them one. Package expand/expandtest finds what a pair lacks.
//
// # What Plan tries
//
// A conversion depends on its row's value alone. Plan asks PostgreSQL what an expression calls and refuses, with ErrConversion, one that depends on the time, on
// chance, on other rows or on the session's settings, as timestamptz::date does and ({a} AT TIME ZONE 'Europe/Berlin')::date does not. Then it converts a sample of the rows, in Go and
// in SQL, and back, and refuses where the two disagree, where forward makes another value the second time, or where the way back does not lead to the same new value:
//
//	plan items.price_cents: sample of the rows: key {36}, old 0.125: the conversion cannot be relied on: while Go makes 13, SQL makes 12
//
// A row that neither form converts is a bad row. Plan counts those, so that you know before you start:
//
//	of 1000 sampled rows 3 do not convert, so backfill.Run would set them aside as bad rows (key {17}, old NaN: ...)
//
// # Values that do not fit
//
// What the server does not take is an error of the statement with its SQLSTATE: a NUL byte in text 22021, a number out of range 22003,
// a value that is too long 22001. Nothing is written. The backfill sets such a row aside in tandem.bad_row. Where ForwardSQL refuses a stray's value, the stray
// gets the error; where only Go converts, its row waits for backfill.Sweep. A time zone belongs into the conversion ({a} AT TIME ZONE 'Europe/Berlin'), never to
// the session's setting.
//
// # Column sets
//
// ConvertSet declares a pair whose sides have several columns: a split, full_name to first_name and last_name, or a merge, lat and lon to a point. A side of several
// columns is a struct in Go, with a field for each:
//
//	type Name struct {
//		First string  `db:"first_name"`
//		Last  *string `db:"last_name"`
//	}
//
//	var Names = expand.ConvertSet(expand.SetSpec[string, Name]{Table: "users",
//		Old: []expand.Column{{Name: "full_name", SQL: `{first_name} || coalesce(' ' || {last_name}, '')`}},
//		New: []expand.Column{{Name: "first_name", Type: "text", SQL: `split_part({full_name}, ' ', 1)`, NotNull: true}, {Name: "last_name", Type: "text", SQL: `...`}},
//		Forward: ..., Backward: ...})
//
// The model has a field for each new column, of the same type as in the struct, side by side or by embedding it. A set is one value: every write writes all of it, UpdateColumns
// and Upsert are given all of its columns, and Backward refuses a value whose halves would not come back (ErrLossy). A write around the library that knows one side, or
// one column of it, is completed by the guard from what the row has; one that writes both sides so that they disagree is refused (TD002).
//
// A filter {last_name} is, as long as old is read, forward of old in SQL, which no index of old knows, and which
// a row that does not convert makes fail; a pair that only Go converts has no filter until Switch. Its
// argument is the column's plain value in every phase. Of NOT NULL, default, indexes and constraints nobody can tell to which of the new columns they belong: see
// Column.NotNull and PlanTwins; a default is yours to set in Contract.
//
// # Another table
//
// New may be in another table of the same database, whose rows belong to the rows of old's table one to one by key:
//
//	var Bio = expand.Move[string]("users", "bio", "profiles", "user_id") // users.bio becomes profiles.bio
//
//	type User struct {
//		ID  int64  `db:"id" tandem:"default"`
//		Bio string `db:"bio"` // for the repository of users, in all phases
//	}
//
// Phases, gates and commands are the same; the migration is called profiles.bio. What differs:
//
//   - Up to Switch everybody writes users.bio alone, the wrappers too, and triggers write profiles.bio and profiles.bio_stamp in the same transaction. So
//     ForwardSQL is a must. From Contract on the wrappers write users and profiles in one statement, and triggers refuse a write of users.bio.
//   - From Apply on each new row of users gets a row of profiles when its transaction ends, unless it has one by then, and the backfill makes those of old rows.
//     So the other columns of profiles must be able to be left out, and a foreign key from user_id to users must be ON DELETE CASCADE: Plan asks for both. Without one a deleted user leaves its row of profiles behind. Code
//     that inserts both rows in one transaction need not change before Contract; who inserts a profile later, or from Contract on, does so by ON CONFLICT DO UPDATE.
//     A row of profiles that is deleted while its user stays comes back with other columns at their defaults: up to Switch with the bio, from Contract on without.
//   - An old binary cannot be told from a wrapper before Contract: the gate strays knows only those who write profiles.bio, which is carried to users.bio if there is
//     BackwardSQL, else refused. So be sure yourself that no old binary runs when you go to Contract; one that does gets TD001. On the way back from Contract neither
//     can be refused: start old binaries after contract.Apply with Restore, for until then they read values of yesterday.
//   - The key of a row cannot change during the migration (TD002). Writers of users lock the row of users, then that of profiles. Who writes profiles.bio by hand,
//     or deletes a row of profiles, does it the other way round, and may meet a writer of the same user in a deadlock, of which PostgreSQL ends one (40P01).
//   - Reads join profiles, of which a clause sees nothing but {bio}: FOR UPDATE becomes FOR UPDATE OF users, and locks the row of users only: what it reads of
//     profiles may be older than the lock, so read again after it. InsertMany inserts row by row from Contract on, in one transaction. Upsert cannot decide by {bio}.
//     Do, In and Pin return ErrTwoTables.
//   - ApplyTwins builds the indexes that are on users.bio alone. Others, checks and foreign keys are listed by the gate twins: make those that profiles needs by hand, then waive
//     it. Comments and grants are not carried over, nor is NOT NULL, because a row of profiles may be made by whoever does not know the column; the default comes with the drop.
//   - A row of users without a row of profiles, made around the wrappers after the drop, is read as NULL.
//   - Undo leaves the rows of profiles that were made. Neither table may be partitioned or have FORCE ROW LEVEL SECURITY; the way back from Contract takes BackwardSQL.
//
// Apply takes SHARE ROW EXCLUSIVE on users and ACCESS EXCLUSIVE on profiles; all other steps lock both tables as they lock the one of other pairs, users first.
//
// # Replacing a table
//
// Another key, partitions, columns put together otherwise: Replace declares that a whole table is replaced by another, which the application makes itself, empty, with its own
// key, partitions, indexes, defaults and grants. Phases, gates, backfill, verify and drop are the same; conversions are SQL.
//
//	var Orders = expand.Replace(expand.ReplaceSpec{Table: "orders", Into: "orders_v2", IntoKey: []string{"created_at", "id"},
//		Columns:  map[string]string{"total_cents": "{total} * 100"},    // what has not the same name
//		Backward: map[string]string{"total": "{total_cents} / 100.0"}}) // for the way back
//
//	err := Orders.Do(ctx, member, func(f *expand.Tables) error {
//		return sqlx.GetContext(ctx, db, &o, `SELECT o.email FROM `+f.From()+` AS o WHERE o.id = $1`, id)
//	})
//
// Up to Switch everybody writes the old table, old binaries and psql too, and a trigger makes the new one follow in the writer's own transaction; nobody else may write it (TD001).
// From() is the old table up to Migrate and the new one from Switch on; Into() is the old one up to Switch. There is no stamp and no stray: a row is in the new table if it was
// copied or mirrored, and then it is what the old one says. At the swap to Contract the old table is renamed to orders_replaced, so that who still names it fails with 42P01 instead of
// reading rows of yesterday; Do, InTx and a Repository then go on with the new one. From there on the old table follows the new one in the same way, and the way back is
// switchover.Revert alone. With KeepName the new table takes the name of the old one, and an old binary goes on with it, to the end and beyond.
//
// A Repository of a Replacement works where its model's columns are in both tables under one name; it calls the table by its new name in every phase.
//
// What to know before:
//   - A write that the other table refuses fails: by NOT NULL, CHECK, unique indexes, foreign keys, a partition that is not there. In Contract old's constraints hold still.
//   - Triggers of the application on the new table run for mirrored rows as well. One that changes the row makes it differ from the old one, and Verify says so.
//   - A foreign key that acts by itself (ON DELETE CASCADE) must be on both tables or on none. One of the new table to itself may refuse what is copied first: add it after the backfill.
//   - TRUNCATE, DROP or DETACH of a single partition is not mirrored. Verify and Revert find out; do the same to the rows of the other table.
//   - Each written row costs the server some 90 µs more, into a partitioned table with a foreign key and beside other work: BenchmarkMirror in internal/guard.
//   - Sequences and identities of copied columns are brought to where the other table's are, at the swap and back.
//
// # One way
//
// A pair without Backward, such as a password that becomes a hash, is written by its old values. The repository has new values only, so up to Switch it cannot write
// the pair, because it would have to write old as well: ErrNoBackward, and nothing is written. Other columns it writes by UpdateColumns, and what it reads is right in every phase.
// The pair itself is written, and filtered by, with SQL written by hand, in every phase alike:
//
//	v, err := p.ValueFromOld(password) // old as it is, new by forward, as the phase has it
//	_, err = sqlx.NamedExecContext(ctx, db, `UPDATE accounts SET `+p.Set()+` WHERE id = :id`, account{id, v})
//	arg, err := p.ArgFromOld(password) // SELECT ... WHERE `+p.Column("")+` = $1
//
// Statements that name old only, as before, work too: the guard brings them into step, at once with ForwardSQL, else by backfill.Sweep, but they count as strays. From Contract on the
// repository writes new, and there is no way back: Contract's rows have no old. Plan says so in Step.Why.
//
// # SQL written by hand
//
// Pair.Do, and Pair.In inside a transaction, give the fragments of a phase, and Value the type of the field:
//
//	err := FullName.Do(ctx, member, func(p *expand.Pinned[string, string]) error {
//		return sqlx.SelectContext(ctx, db, &rows, `SELECT u.id, `+p.Select("u")+` FROM users u JOIN ...`)
//	})
//
// They go into joins, CTEs, ON CONFLICT and RETURNING alike. COPY and query builders, which take no named parameters, are given Names and Values; the
// tests in sql_test.go and bulk_test.go show each form. Module examples/recipes has the pair with squirrel, with sqlc, and with pgx as the driver. An array of
// Cells for unnest holds what lib/pq's arrays hold: no []byte.
//
// # Names
//
// A table is `users`, `app.users` or `app."My.Users"`. Without a schema it is in public, whatever search_path says: behind a pooler that setting is
// anybody's. Letters keep their case. The stamp column is called as the new column with _stamp behind it.
package expand
