// Package pg runs statements: transactions with their settings, retries, and what PostgreSQL's errors mean. Settings are always per
// transaction (set_config with is_local), because a plain SET on a pool reaches one connection, and behind PgBouncer anybody's.
package pg

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"time"

	"github.com/jmoiron/sqlx"
)

// Settings of one transaction. A zero field leaves the server's setting alone.
type Settings struct {
	LockTimeout      time.Duration
	StatementTimeout time.Duration
	AsyncCommit      bool   // synchronous_commit = off
	Application      string // application_name, cut to 63 bytes by the server
	ReadOnly         bool   // a standby takes no other
	Lookups          bool   // rows are looked up one by one, by an index: of some thousand the planner takes reading a whole index or table for cheaper, in a table of less than some million
}

// readCommitted is asked for, because the server's default may be another: a statement that follows a lock must see what was committed while the
// lock was waited for, and a transaction's one snapshot is older than that.
const readCommitted = sql.LevelReadCommitted

// InTx runs fn in a transaction of READ COMMITTED and commits it; any error of fn rolls it back.
func InTx(ctx context.Context, db *sqlx.DB, s Settings, fn func(ctx context.Context, tx *sqlx.Tx) error) error {
	tx, err := db.BeginTxx(ctx, &sql.TxOptions{Isolation: readCommitted, ReadOnly: s.ReadOnly})
	if err != nil {
		return Cause(ctx, fmt.Errorf("begin: %w", err))
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	if err := s.apply(ctx, tx); err != nil {
		return Cause(ctx, fmt.Errorf("settings: %w", err))
	}
	if err := fn(ctx, tx); err != nil {
		return Cause(ctx, err)
	}
	if err := tx.Commit(); err != nil {
		return Cause(ctx, fmt.Errorf("commit: %w", err))
	}
	return nil
}

func (s Settings) apply(ctx context.Context, tx *sqlx.Tx) error {
	var async string
	if s.AsyncCommit {
		async = "off"
	}
	lock, statement := millis(s.LockTimeout), millis(s.StatementTimeout)
	if lock == "" && statement == "" && async == "" && s.Application == "" && !s.Lookups {
		return nil
	}
	_, err := tx.ExecContext(ctx, `
		SELECT CASE WHEN $1 <> '' THEN set_config('lock_timeout', $1, true) END,
		       CASE WHEN $2 <> '' THEN set_config('statement_timeout', $2, true) END,
		       CASE WHEN $3 <> '' THEN set_config('synchronous_commit', $3, true) END,
		       CASE WHEN $4 <> '' THEN set_config('application_name', $4, true) END,
		       CASE WHEN $5 THEN (SELECT count(set_config(name, 'off', true)) FROM unnest(ARRAY['enable_hashjoin', 'enable_mergejoin', 'enable_seqscan', 'jit']) AS name) END`,
		lock, statement, async, s.Application, s.Lookups)
	return err
}

// millis rounds up: 0 would mean "wait for ever".
func millis(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	return strconv.FormatInt(int64((d+time.Millisecond-1)/time.Millisecond), 10) + "ms"
}
