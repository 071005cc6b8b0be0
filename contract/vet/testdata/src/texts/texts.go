// Package texts has SQL in all the ways that Go puts a string together.
package texts

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

type query string

type user struct {
	ID int `db:"SELECT * FROM users"`
}

const all = "SELECT * FROM users" // want `select-star: SELECT \* reads all columns of users; when one is added, renamed or dropped, prepared statements fail \(SQLSTATE 0A000\), and scans into structs or by position do not fit: name the columns`

const (
	columns = "id, name"
	star    = "*"
	tail    = ` FROM users`
	named   = "SELECT " + columns + tail
	hidden  = "SELECT " + star + tail // want `SELECT \* reads all columns of users`
	format  = "SELECT * FROM %s WHERE id = $1"
	message = "nobody should SELECT * FROM users"
)

func reads(ctx context.Context, db *sql.DB, table string, id int) error {
	_, err := db.QueryContext(ctx, all)
	_, err = db.QueryContext(ctx, all+" WHERE id = $1", id)
	_, err = db.QueryContext(ctx, (all)+" UNION SELECT u.* FROM users u") // want `u\.\* reads all columns of users`
	_, err = db.QueryContext(ctx, named)
	_, err = db.QueryContext(ctx, "SELECT * FROM "+table)                                    // want `SELECT \* reads all columns of a table that is known only at run time`
	_, err = db.QueryContext(ctx, "SELECT "+table+".* FROM a")                               // want `\.\.\.\.\* reads all columns of a table that is known only at run time`
	_, err = db.QueryContext(ctx, fmt.Sprintf("SELECT * FROM %s WHERE x LIKE 'a%%'", table)) // want `SELECT \* reads all columns of a table that is known only at run time`
	_, err = db.QueryContext(ctx, fmt.Sprintf(format, table))                                // want `SELECT \* reads`
	_, err = db.QueryContext(ctx, fmt.Sprintf("DELETE FROM a WHERE %s", "b")+" RETURNING *") // want `RETURNING \* returns all columns of a;`
	_, err = db.QueryContext(ctx, fmt.Sprintf("SELECT %[2]*.[1]*f, *", 1, 2)+tail)           // want `SELECT \* reads all columns of users`
	_, err = db.QueryContext(ctx, string(query("SELECT * ")+"FROM users"))                   // want `SELECT \* reads all columns of users`
	_, err = db.QueryContext(ctx, fmt.Sprint("SELECT id"+" FROM users, orders AS *"))
	_, err = db.QueryContext(ctx, strings.Join([]string{"SELECT id", " * FROM users"}, ""))
	_, err = db.QueryContext(ctx, "SELECT count(*), 2*id, id * 2 FROM users")
	_, err = db.QueryContext(ctx, "\x53ELECT \u002a FROM users")                          // want `SELECT \* reads all columns of users`
	_, err = db.QueryContext(ctx, "SELECT * FROM \u00e9t\u00e9")                          // want `SELECT \* reads all columns of été;`
	_, err = db.QueryContext(ctx, fmt.Sprintf("SELECT x.* FROM users WHERE id %% 2 = 0")) // nothing is unknown
	_, err = db.QueryContext(ctx, fmt.Sprintf("%s LIMIT 1", "SELECT * FROM users"))       // want `SELECT \* reads all columns of users`
	return err
}

func built(w *strings.Builder, table string) []byte {
	w.WriteString("SELECT *")                                       // want `SELECT \* reads all columns of a table that is known only at run time`
	fmt.Fprintf(w, "SELECT * FROM %s WHERE a", table)               // want `SELECT \* reads all columns of a table that is known only at run time`
	fmt.Fprintln(w, "SELECT * FROM %s WHERE a", table)              // no format
	return fmt.Appendf(nil, "INSERT INTO %q VALUES (%d)", table, 1) // want `insert-without-columns: INSERT without a list of columns into a table that is known only at run time; once a column is dropped, the values behind it go into wrong columns, without an error where types allow it: name the columns`
}

func writes(ctx context.Context, db *sql.DB, table string) error {
	list := []string{
		"INSERT INTO users VALUES ($1)",               // want `INSERT without a list of columns into users`
		"INSERT INTO " + table + " SELECT 1",          // want `INSERT without a list of columns into a table that is known only at run time`
		"INSERT INTO users " + table + " VALUES ($1)", // the list, perhaps
		"INSERT INTO users (" + columns + ") VALUES (?)",
		"DELETE FROM users RETURNING *", // want `returning-star: RETURNING \* returns all columns of users; .* name the columns`
		"COPY users FROM STDIN",         // want `copy-without-columns: COPY without a list of columns into users; once a column is added, it fails \(SQLSTATE 22P04\), and with another dropped values go into wrong columns, without an error where types allow it: name the columns`
		"COPY users TO STDOUT",          // want `copy-without-columns: COPY without a list of columns from users; when a column is added or dropped, who reads the rows by position takes one column for another: name the columns`
	}
	for _, q := range append(list, message) {
		if _, err := db.ExecContext(ctx, q); err != nil {
			return err
		}
	}
	return nil
}
