package main

import (
	"context"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/switchover"
)

// release is a version of the service: what it does at startup. One without the pair has no member.
type release func(ctx context.Context, db *sqlx.DB) (store, *switchover.Member, error)

// The releases of the service, by name. Between them the migration runs.
const (
	before = "before" // knows user_name alone
	paired = "paired" // has the pair: the one to copy from
	after  = "after"  // knows full_name alone
)

var releases = map[string]release{
	before: func(_ context.Context, db *sqlx.DB) (store, *switchover.Member, error) {
		return plain{db, "user_name"}, nil, nil
	},
	paired: startup,
	after: func(_ context.Context, db *sqlx.DB) (store, *switchover.Member, error) {
		return plain{db, "full_name"}, nil, nil
	},
}

// store is what the routes need.
type store interface {
	create(ctx context.Context, u *User) error
	get(ctx context.Context, id int64) (User, error) // sql.ErrNoRows
	rename(ctx context.Context, u User) error        // by its id; sql.ErrNoRows
	named(ctx context.Context, name string) ([]User, error)
}

// wrapped is the store of the release with the pair. Nothing in it says that a migration runs.
type wrapped struct{ users *expand.Repository[User] }

func (w wrapped) create(ctx context.Context, u *User) error { return w.users.Insert(ctx, u) }

func (w wrapped) get(ctx context.Context, id int64) (User, error) { return w.users.Get(ctx, id) }

func (w wrapped) rename(ctx context.Context, u User) error {
	return w.users.UpdateColumns(ctx, &u, "full_name")
}

func (w wrapped) named(ctx context.Context, name string) ([]User, error) {
	return w.users.Select(ctx, `WHERE {full_name} = $1 ORDER BY id`, FullName.Arg(name))
}

// plain is the store of the releases before and after, on sqlx alone.
type plain struct {
	db     *sqlx.DB
	column string
}

func (p plain) create(ctx context.Context, u *User) error {
	return p.db.GetContext(ctx, &u.ID, `INSERT INTO users (`+p.column+`, email) VALUES ($1, $2) RETURNING id`, u.FullName, u.Email)
}

func (p plain) get(ctx context.Context, id int64) (u User, err error) {
	err = p.db.GetContext(ctx, &u, `SELECT id, `+p.column+` AS full_name, email FROM users WHERE id = $1`, id)
	return u, err
}

func (p plain) rename(ctx context.Context, u User) error {
	return p.db.GetContext(ctx, &u.ID, `UPDATE users SET `+p.column+` = $1 WHERE id = $2 RETURNING id`, u.FullName, u.ID)
}

func (p plain) named(ctx context.Context, name string) (found []User, err error) {
	err = p.db.SelectContext(ctx, &found, `SELECT id, `+p.column+` AS full_name, email FROM users WHERE `+p.column+` = $1 ORDER BY id`, name)
	return found, err
}
