// Package shop is an application's code, for the example.
package shop

import (
	"context"
	"database/sql"
)

// Names are all names.
func Names(ctx context.Context, db *sql.DB) (*sql.Rows, error) {
	return db.QueryContext(ctx, `
		SELECT user_name
		FROM users`)
}

// Register adds a user.
func Register(ctx context.Context, db *sql.DB, id int, name string) (*sql.Rows, error) {
	return db.QueryContext(ctx, "INSERT INTO users VALUES ($1, $2)"+
		" RETURNING *", id, name)
}

// Items are all items.
func Items(ctx context.Context, db *sql.DB) (*sql.Rows, error) {
	return db.QueryContext(ctx, "SELECT * FROM items")
}
