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
// old has: indexes, checks, foreign keys, comment, statistics target, grants. Both can be run again at any time; after Complete, Apply does nothing. Undo takes
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
