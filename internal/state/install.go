// Package state is the schema `tandem`: what the library remembers in the application's database. It installs and upgrades the
// schema and holds every query that more than one package sends to it. No superuser and no extension is needed: only
// the right to create one schema, once.
package state

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/pg"
)

//go:embed schema_1.sql
var schema1 string

//go:embed schema_2.sql
var schema2 string

//go:embed schema_3.sql
var schema3 string

// upgrades[i] brings version i to i+1.
var upgrades = []string{schema1, schema2, schema3}

// Errors of Install and of the queries.
var (
	ErrNewer     = errors.New("the state schema was installed by a newer version of the library: upgrade this program's dependency")
	ErrOlder     = errors.New("the state schema is older than this library: run expand.Apply, or switchover.Join, as its owner, which upgrades it")
	ErrNoSchema  = errors.New("schema tandem is missing: run expand.Apply, or switchover.Join with a role that may create it")
	ErrLost      = errors.New("schema tandem has lost the migration's row, its guard is there: run expand.Apply, which registers it again in the phase that the guard admits")
	ErrUnknown   = errors.New("no such migration: run expand.Apply first, and check the name")
	ErrOverlap   = errors.New("a column can be in one migration at a time")
	ErrRedeclare = errors.New("the pair's declaration differs from the migration that is under way: deploy the declaration it was started with")
)

// lockKey serialises installs; the transaction's advisory lock works behind a pooler too. The number is "tandem" in ASCII.
const lockKey = 0x74616e64656d

const versionPrefix = "tandem state, version "

// The catalog is read as a table: to_regnamespace answers from the session's cache, which a statement behind the advisory lock has no
// reason to refresh, so that it still would not know the schema that somebody else has just committed.
const versionSQL = `
	SELECT coalesce(max(d.description), '') FROM pg_namespace n
	JOIN pg_description d ON d.classoid = 'pg_namespace'::regclass AND d.objoid = n.oid AND d.objsubid = 0
	WHERE n.nspname = 'tandem'`

// Install creates or upgrades the state schema. Any number of processes may call it at once; where it is up to date it sends one
// query and takes no lock.
func Install(ctx context.Context, db *sqlx.DB) error {
	return install(ctx, db, 0)
}

// Upgrade is Install where a version of it is there already, else nothing.
func Upgrade(ctx context.Context, db *sqlx.DB) error {
	return install(ctx, db, 1)
}

func install(ctx context.Context, db *sqlx.DB, least int) error {
	version, err := readVersion(ctx, db)
	if err != nil || version < least || version == len(upgrades) {
		return err
	}
	err = pg.Retry(ctx, installRetry, busy, func(ctx context.Context) error { return pg.InTx(ctx, db, pg.Settings{}, upgrade) })
	if pg.SQLState(err) == pg.InsufficientPrivilege && version > 0 {
		return fmt.Errorf("upgrade schema tandem from version %d: %w; let its owner call Join or expand.Apply once", version, err)
	}
	if pg.SQLState(err) == pg.InsufficientPrivilege {
		return fmt.Errorf("install schema tandem: %w; let a role that may create a schema in this database call Join or expand.Apply once", err)
	}
	if err != nil {
		return fmt.Errorf("install schema tandem: %w", err)
	}
	return nil
}

// installRetry is for an upgrade that meets a long reader of the state tables, a dump perhaps: every member's poll would wait behind it.
var installRetry = pg.Backoff{Base: 50 * time.Millisecond, Max: 2 * time.Second, Attempts: 30}

func busy(err error) bool { return pg.SQLState(err) == pg.LockNotAvailable }

func upgrade(ctx context.Context, tx *sqlx.Tx) error {
	// First the turn of this installer, for which it may wait, then no lock for longer than a moment.
	if _, err := tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, lockKey); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `SELECT set_config('lock_timeout', '200ms', true)`); err != nil {
		return err
	}
	version, err := readVersion(ctx, tx)
	if err != nil {
		return err
	}
	if version == 0 {
		if _, err := tx.ExecContext(ctx, `CREATE SCHEMA IF NOT EXISTS tandem`); err != nil {
			return err
		}
	}
	for ; version < len(upgrades); version++ {
		if _, err := tx.ExecContext(ctx, upgrades[version]); err != nil {
			return err
		}
	}
	_, err = tx.ExecContext(ctx, `COMMENT ON SCHEMA tandem IS '`+versionPrefix+strconv.Itoa(version)+`'`)
	return err
}

func readVersion(ctx context.Context, q sqlx.QueryerContext) (int, error) {
	var comment string
	if err := sqlx.GetContext(ctx, q, &comment, versionSQL); err != nil {
		return 0, fmt.Errorf("version of schema tandem: %w", pg.Cause(ctx, err))
	}
	if comment == "" {
		return 0, nil
	}
	number, ours := strings.CutPrefix(comment, versionPrefix)
	version, err := strconv.Atoi(number)
	if !ours || err != nil || version < 1 {
		return 0, fmt.Errorf("schema tandem: its comment is %q, not %q and a number: is it another program's schema?", comment, versionPrefix)
	}
	if version > len(upgrades) {
		return 0, fmt.Errorf("schema tandem: version %d, this library knows %d: %w", version, len(upgrades), ErrNewer)
	}
	return version, nil
}
