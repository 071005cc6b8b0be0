// Package recipes shows the pair in SQL that something else than sqlx builds or sends. Each recipe is a test that goes through all phases; take from it what
// you need. The module is one of its own, so that the library does not depend on what the recipes use.
//
//	squirrel_test.go   github.com/Masterminds/squirrel builds the statements
//	sqlc_test.go       sqlc generates the queries; what it generates is in folder sqlc
//	pgx_test.go        github.com/jackc/pgx/v5/stdlib is the driver instead of lib/pq
//
// All of them do the same three things. They pin the phase for a statement (Pair.Do) or a transaction (Pair.In), for the columns to write depend on it. They
// write what Pinned.Value makes of the new value, and never the bare value. And they read old, new and stamp together and let Pinned.Read choose.
package recipes
