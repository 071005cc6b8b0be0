package main

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"time"
)

// oldBinary is the service that nobody has deployed again: it knows nothing of Tandem and only user_name. Its writes have no stamp, so
// they are strays: the guard repairs each in its own transaction. It runs until Contract.
const oldBinary = "old-binary"

func oldTasks(b *bench) []task {
	o := &old{bench: b}
	return []task{
		{"old update", 10 * time.Millisecond, o.update},
		{"old insert", 20 * time.Millisecond, o.insert},
		{"old read", 10 * time.Millisecond, o.read},
	}
}

type old struct {
	*bench
	updated, inserted int64
}

func (o *old) update(ctx context.Context) error {
	o.updated++
	id := o.pick(laneOld)
	name := nameOf(initialUser(id), o.updated)
	result, err := o.db.ExecContext(ctx, `UPDATE users SET user_name = $1, logins = logins + 1 WHERE id = $2`, name, id)
	if o.record.update(id, name, err) != nil {
		return err
	}
	if n, err := result.RowsAffected(); err == nil && n != 1 {
		return fmt.Errorf("user %d: %d rows updated", id, n)
	}
	var read string
	if err := o.db.GetContext(ctx, &read, `SELECT user_name FROM users WHERE id = $1`, id); err != nil {
		return err
	}
	return o.record.check(id, read)
}

// insert leaves the name to the column's default now and then.
func (o *old) insert(ctx context.Context) error {
	o.inserted++
	user := fmt.Sprintf("old-%d", o.inserted)
	query, name := `INSERT INTO users (email, user_name) VALUES ($1, $2) RETURNING id, user_name`, sql.NullString{String: nameOf(user, 0), Valid: true}
	args := []any{emailOf(user), name}
	if o.inserted%10 == 0 {
		query, args = `INSERT INTO users (email) VALUES ($1) RETURNING id, user_name`, args[:1]
	}
	var row struct {
		ID   int64  `db:"id"`
		Name string `db:"user_name"`
	}
	err := o.db.GetContext(ctx, &row, query, args...)
	return o.record.insert(row.ID, row.Name, err)
}

// read reads any user, also those that the new services write.
func (o *old) read(ctx context.Context) error {
	var row struct {
		Name  string `db:"user_name"`
		Email string `db:"email"`
	}
	id := o.pick(1 + rand.Int64N(lanes))
	if err := o.db.GetContext(ctx, &row, `SELECT user_name, email FROM users WHERE id = $1`, id); err != nil {
		return err
	}
	_, err := checkName(row.Email, row.Name)
	return err
}
