package sqlc

import (
	"context"

	"github.com/tandem-go/tandem/expand"
)

const saveOld = `-- name: SaveOld :exec
INSERT INTO users (id, email, user_name) VALUES ($1, $2, $3)
ON CONFLICT (id) DO UPDATE SET email = EXCLUDED.email, user_name = EXCLUDED.user_name
`

// SaveOldParams are the arguments of SaveOld.
type SaveOldParams struct {
	ID       int64
	Email    string
	UserName Name
}

// SaveOld is the query of that name.
func (q *Queries) SaveOld(ctx context.Context, arg SaveOldParams) error {
	_, err := q.db.ExecContext(ctx, saveOld,
		arg.ID,
		arg.Email,
		arg.UserName,
	)
	return err
}

const saveBoth = `-- name: SaveBoth :exec
INSERT INTO users (id, email, user_name, full_name, full_name_stamp) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (id) DO UPDATE SET email = EXCLUDED.email, user_name = EXCLUDED.user_name, full_name = EXCLUDED.full_name, full_name_stamp = EXCLUDED.full_name_stamp
`

// SaveBothParams are the arguments of SaveBoth.
type SaveBothParams struct {
	ID            int64
	Email         string
	UserName      Name
	FullName      Name
	FullNameStamp expand.Stamp
}

// SaveBoth is the query of that name.
func (q *Queries) SaveBoth(ctx context.Context, arg SaveBothParams) error {
	_, err := q.db.ExecContext(ctx, saveBoth,
		arg.ID,
		arg.Email,
		arg.UserName,
		arg.FullName,
		arg.FullNameStamp,
	)
	return err
}

const saveNew = `-- name: SaveNew :exec
INSERT INTO users (id, email, full_name, full_name_stamp) VALUES ($1, $2, $3, $4)
ON CONFLICT (id) DO UPDATE SET email = EXCLUDED.email, full_name = EXCLUDED.full_name, full_name_stamp = EXCLUDED.full_name_stamp
`

// SaveNewParams are the arguments of SaveNew.
type SaveNewParams struct {
	ID            int64
	Email         string
	FullName      Name
	FullNameStamp expand.Stamp
}

// SaveNew is the query of that name.
func (q *Queries) SaveNew(ctx context.Context, arg SaveNewParams) error {
	_, err := q.db.ExecContext(ctx, saveNew,
		arg.ID,
		arg.Email,
		arg.FullName,
		arg.FullNameStamp,
	)
	return err
}

const save = `-- name: Save :exec
INSERT INTO users (id, email, full_name) VALUES ($1, $2, $3)
ON CONFLICT (id) DO UPDATE SET email = EXCLUDED.email, full_name = EXCLUDED.full_name
`

// SaveParams are the arguments of Save.
type SaveParams struct {
	ID       int64
	Email    string
	FullName Name
}

// Save is the query of that name.
func (q *Queries) Save(ctx context.Context, arg SaveParams) error {
	_, err := q.db.ExecContext(ctx, save,
		arg.ID,
		arg.Email,
		arg.FullName,
	)
	return err
}

const findByOld = `-- name: FindByOld :one
SELECT id, user_name, email, full_name, full_name_stamp FROM users WHERE user_name = $1
`

// FindByOld is the query of that name.
func (q *Queries) FindByOld(ctx context.Context, userName Name) (User, error) {
	row := q.db.QueryRowContext(ctx, findByOld, userName)
	var i User
	err := row.Scan(
		&i.ID,
		&i.UserName,
		&i.Email,
		&i.FullName,
		&i.FullNameStamp,
	)
	return i, err
}

const findByNew = `-- name: FindByNew :one
SELECT id, user_name, email, full_name, full_name_stamp FROM users WHERE full_name = $1
`

// FindByNew is the query of that name.
func (q *Queries) FindByNew(ctx context.Context, fullName Name) (User, error) {
	row := q.db.QueryRowContext(ctx, findByNew, fullName)
	var i User
	err := row.Scan(
		&i.ID,
		&i.UserName,
		&i.Email,
		&i.FullName,
		&i.FullNameStamp,
	)
	return i, err
}

const find = `-- name: Find :one
SELECT id, email, full_name FROM users WHERE full_name = $1
`

// FindRow is a row of Find.
type FindRow struct {
	ID       int64
	Email    string
	FullName Name
}

// Find is the query of that name.
func (q *Queries) Find(ctx context.Context, fullName Name) (FindRow, error) {
	row := q.db.QueryRowContext(ctx, find, fullName)
	var i FindRow
	err := row.Scan(
		&i.ID,
		&i.Email,
		&i.FullName,
	)
	return i, err
}
