package copies

import "github.com/lib/pq"

type mine struct{}

func (mine) CopyIn(string) {}

func calls(table string, columns []string) {
	pq.CopyIn("users")              // want `copy-without-columns: COPY without a list of columns into users`
	pq.CopyInSchema("app", "users") // want `COPY without a list of columns into app.users`
	pq.CopyInSchema(table, "users") // want `COPY without a list of columns into users`
	pq.CopyIn(table)                // want `COPY without a list of columns into a table that is known only at run time`
	pq.CopyIn("users")              //tandem:ignore a copy of the whole table
	pq.CopyIn("users", "id", "name")
	pq.CopyIn("users", columns...)
	pq.CopyInSchema("app", "users", "id")
	mine{}.CopyIn("users")
}
