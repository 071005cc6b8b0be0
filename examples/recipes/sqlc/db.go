package sqlc

import (
	"context"
	"database/sql"
)

// DBTX is a pool or a transaction, also one of expand.InTx.
type DBTX interface {
	ExecContext(context.Context, string, ...interface{}) (sql.Result, error)
	PrepareContext(context.Context, string) (*sql.Stmt, error)
	QueryContext(context.Context, string, ...interface{}) (*sql.Rows, error)
	QueryRowContext(context.Context, string, ...interface{}) *sql.Row
}

// New makes the queries of a pool or a transaction.
func New(db DBTX) *Queries {
	return &Queries{db: db}
}

// Queries has a method for each query in query.sql.
type Queries struct {
	db DBTX
}
