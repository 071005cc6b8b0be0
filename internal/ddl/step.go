// Package ddl is a schema change as plain values, and the one place that runs them.
package ddl

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pg"
)

// Step is one transaction of a schema change, or one statement that runs outside of any (Concurrently).
type Step struct {
	Name         string   // what it does, in a few words
	Why          string   // why here and why so
	SQL          []string // run in this order; all or nothing unless Concurrently
	Lock         string   // strongest lock it takes on the table
	Scans        bool     // reads the whole table while it holds Lock
	Concurrently bool     // outside a transaction, without lock_timeout: a timeout would leave an INVALID index

	// Also runs last in the same transaction; the state rows that belong to the change are written there.
	Also func(ctx context.Context, tx *sqlx.Tx) error `json:"-"`
}

// String shows the step as SQL that can be read and run.
func (s Step) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "-- %s (lock: %s)\n", s.Name, s.Lock)
	if s.Why != "" {
		fmt.Fprintf(&b, "-- %s\n", s.Why)
	}
	if !s.Concurrently {
		b.WriteString("BEGIN;\n")
	}
	for _, sql := range s.SQL {
		b.WriteString(sql + ";\n")
	}
	if !s.Concurrently {
		b.WriteString("COMMIT;\n")
	}
	return b.String()
}

// Options bound the waiting for locks.
type Options struct {
	LockTimeout time.Duration // how long one try may wait for a lock, and so make others wait behind it; defaults to 200 ms
	Attempts    int           // tries for each step, with full jitter between them; defaults to 30
	Log         func(string)  // gets a line for each step, and while an index is built how far it is and whom it waits for; one call at a time; defaults to none
}

// The default lock timeout lies below deadlock_timeout (1 s), so that a waiting step never starts the deadlock detector, and 30 tries
// with up to 2 s between them last about half a minute. A statement may come to the lock twice, when it is parsed and when it is executed, if a driver sends the
// two apart: without a least pause two tries in a row could hold up the same statement.
const (
	defaultLockTimeout = 200 * time.Millisecond
	defaultAttempts    = 30
	backoffBase        = 50 * time.Millisecond
	backoffMax         = 2 * time.Second
	backoffLeast       = 50 * time.Millisecond
)

// WithDefaults fills zero fields and refuses what makes no sense.
func (o Options) WithDefaults() (Options, error) {
	if o.LockTimeout < 0 || o.LockTimeout > time.Minute {
		return o, fmt.Errorf("lock timeout %s: must lie between 1 ms and a minute", o.LockTimeout)
	}
	if o.Attempts < 0 {
		return o, fmt.Errorf("attempts %d: must not be negative", o.Attempts)
	}
	if o.LockTimeout == 0 {
		o.LockTimeout = defaultLockTimeout
	}
	if o.Attempts == 0 {
		o.Attempts = defaultAttempts
	}
	if o.Log == nil {
		o.Log = func(string) {}
	}
	return o, nil
}

// Run runs the steps in order and returns how many are done. A step that gets no lock in time is tried again; the last
// error names who held it. A step that fails has changed nothing.
func Run(ctx context.Context, db *sqlx.DB, table ident.Table, steps []Step, o Options) (int, error) {
	o, err := o.WithDefaults()
	if err != nil {
		return 0, err
	}
	for i, s := range steps {
		o.Log(s.Name)
		if err := Try(ctx, db, table, o, s.run(db, table, o)); err != nil {
			return i, fmt.Errorf("step %q: %w", s.Name, err)
		}
	}
	return len(steps), nil
}

// Try repeats fn while it fails for want of a lock, and names the blockers when it gives up.
func Try(ctx context.Context, db *sqlx.DB, table ident.Table, o Options, fn func(context.Context) error) error {
	err := pg.Retry(ctx, pg.Backoff{Base: backoffBase, Max: backoffMax, Attempts: o.Attempts, Least: backoffLeast}, noLock, fn)
	return pg.NameBlockers(ctx, db, table, err)
}

func noLock(err error) bool {
	state := pg.SQLState(err)
	return state == pg.LockNotAvailable || state == pg.Deadlock
}

func (s Step) run(db *sqlx.DB, table ident.Table, o Options) func(context.Context) error {
	if s.Concurrently {
		return func(ctx context.Context) error {
			defer watch(ctx, db, table, o.Log)()
			for _, sql := range s.SQL {
				if _, err := db.ExecContext(ctx, sql); err != nil {
					return pg.Cause(ctx, err)
				}
			}
			return nil
		}
	}
	return func(ctx context.Context) error {
		return pg.InTx(ctx, db, pg.Settings{LockTimeout: o.LockTimeout}, s.Exec)
	}
}

// Exec runs the step in the caller's transaction.
func (s Step) Exec(ctx context.Context, tx *sqlx.Tx) error {
	if s.Concurrently {
		return errors.New("a CONCURRENTLY step cannot run in a transaction")
	}
	for _, sql := range s.SQL {
		if _, err := tx.ExecContext(ctx, sql); err != nil {
			return err
		}
	}
	if s.Also == nil {
		return nil
	}
	return s.Also(ctx, tx)
}
