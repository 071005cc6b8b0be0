// Package vet finds SQL in Go code that breaks when a column of its table is added, renamed or dropped: what a program must be rid of before a migration, and what
// it still has of the old column before Contract. It is an analyzer for go vet and its like; command tandemvet runs it.
//
//	go get -tool github.com/tandem-go/tandem/contract/vet/cmd/tandemvet
//	go tool tandemvet ./...
//	go tool tandemvet -tandem.tables=users,public.orders ./...   # of these tables only
//	go tool tandemvet -tandem.columns=users.user_name ./...      # uses of the old column too
//
// A finding says what, where, why it hurts, and what to do:
//
//	shop.go:24:38: select-star: SELECT * reads all columns of items; when one is added, renamed or dropped, prepared statements fail (SQLSTATE 0A000),
//	and scans into structs or by position do not fit: name the columns
//
// # In CI
//
// Under go vet packages that have not changed are not looked at again. (In two steps: with an empty -vettool, go vet would look for other things.)
//
//	tool=$(go tool -n tandemvet) && go vet -vettool="$tool" -tandem.columns=users.user_name ./...
//
// It exits with 1 if there is a finding; the command alone with 3, and with -json with 0. Test files count, as they do for go vet; alone, -test=false leaves them out. A driver
// with options of its own takes Analyzer, or what New makes.
//
// # What is found
//
//	select-star              SELECT *, t.* and TABLE t, also in subqueries, common table expressions and UNION
//	returning-star           RETURNING *, t.*
//	insert-without-columns   INSERT INTO t VALUES, INSERT INTO t SELECT, INSERT VALUES in MERGE
//	copy-without-columns     COPY t FROM, COPY t TO, pq.CopyIn("t")
//	old-column               a column of the flag columns, wherever a statement on its table may mean it
//	ignore-without-reason    a comment that was to suppress something
//
// A star is none of these where it stands for no column of a table, or its columns do not matter: count(*), a product, EXISTS (SELECT *), the columns of a subquery, a function or a
// common table expression (what those read by a star is found there), PostgreSQL's own catalogs.
//
// What need not change is suppressed by a comment with the reason, on its line, or alone on the line above it; first and last line of the string or the statement around it count too:
//
//	//tandem:ignore the export takes what there is
//
// # Where it looks
//
// In every constant string that begins like SQL: whose first word, after comments and parentheses, is SELECT, INSERT, UPDATE, DELETE, WITH, COPY or MERGE. Which function
// the string goes to does not matter, so database/sql, sqlx, pgx, sqlc and wrappers of your own are all the same. A string is all that +, constants, conversions and
// fmt's Sprintf, Fprintf and Appendf put together. What is known only at run time is taken for a name that nobody knows, which may be that of any table; nothing is
// found that would depend on more than that. A constant is reported where it is declared.
//
// Not seen: what strings.Join, a query builder or a template engine make, SQL in files and in the database (contract.Check lists what depends on the old column there), fragments
// that begin with WHERE or ORDER BY, and struct tags. So no finding is no proof; that nobody uses the old column any more, the gates of Contract watch.
//
// # Why no parser
//
// The text in a program's source is not yet SQL. It has :name and ? of sqlx, {column} of package expand, %s of a format, and ends where the program goes on; a parser refuses it, and
// PostgreSQL's own comes to Go as C or WebAssembly. What is to be found takes less: tokens that are exact (quotes, dollar quotes, strings with escapes, nested comments,
// parameters), and where a statement keeps its tables, lists and subqueries. What is not understood is passed over, so a newer grammar is no error.
//
// The package is a module of its own, so that Tandem does not depend on golang.org/x/tools.
package vet
