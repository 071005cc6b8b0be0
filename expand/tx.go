package expand

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/switchover"
)

// ErrPhaseMoved says that a migration took a step while a transaction was running, and PostgreSQL refused a statement of the earlier
// phase. The transaction has changed nothing; running it again is safe, and InTx does. The SQLSTATE stays in the chain.
var ErrPhaseMoved = errors.New("the migration took a step meanwhile: retry the transaction")

// Tx is a transaction in which all statements see one phase of each migration. It is an *sqlx.Tx, so hand-written SQL runs in it too.
type Tx struct {
	*sqlx.Tx
	pin    switchover.Pin
	member *switchover.Member
	ended  bool
	undo   []func() // makes what was read back into the application's structs zero again
}

// Begin begins a transaction whose phases stay as they are now. End it with Commit or Rollback: until then the member acknowledges no
// later phase. InTx is Begin with the retry.
func Begin(ctx context.Context, db *sqlx.DB, member *switchover.Member, o *sql.TxOptions) (*Tx, error) {
	pin := member.Pin(ctx)
	tx, err := db.BeginTxx(ctx, o)
	if err != nil {
		pin.Release()
		return nil, fmt.Errorf("begin: %w", pg.Cause(ctx, err))
	}
	return &Tx{Tx: tx, pin: pin, member: member}, nil
}

// Adopt makes a Tx of a transaction that was begun elsewhere and has not yet written a pair. Whoever began it ends it, and then calls Release.
func Adopt(ctx context.Context, tx *sqlx.Tx, member *switchover.Member) *Tx {
	return &Tx{Tx: tx, pin: member.Pin(ctx), member: member}
}

// Commit commits and lets the phases move on.
func (t *Tx) Commit() error {
	defer t.Release()
	return t.Tx.Commit()
}

// Rollback rolls back and lets the phases move on. After Commit it does nothing and returns sql.ErrTxDone.
func (t *Tx) Rollback() error {
	defer t.Release()
	return t.Tx.Rollback()
}

// Release lets the phases move on; Commit and Rollback do it by themselves.
func (t *Tx) Release() {
	if !t.ended {
		t.ended = true
		t.pin.Release()
	}
}

// txAttempts bounds InTx: each attempt needs another step of a migration to fail, and steps are minutes apart.
const txAttempts = 3

// InTx runs fn in a transaction, commits when it returns nil and rolls back otherwise. When a migration takes a step meanwhile and PostgreSQL
// refuses a statement for that, fn runs again with the new phases, so it must have no effect outside of the transaction. Fields that an insert of
// a failed attempt has read back are zero again, as before it. Other errors, serialization failures among them, are returned as they are. o may be nil.
func InTx(ctx context.Context, db *sqlx.DB, member *switchover.Member, o *sql.TxOptions, fn func(ctx context.Context, tx *Tx) error) error {
	for attempt := 1; ; attempt++ {
		err := once(ctx, db, member, o, fn)
		if attempt == txAttempts || !errors.Is(err, ErrPhaseMoved) {
			return pg.Cause(ctx, err)
		}
		if refreshErr := member.Refresh(ctx); refreshErr != nil {
			return errors.Join(err, refreshErr)
		}
	}
}

func once(ctx context.Context, db *sqlx.DB, member *switchover.Member, o *sql.TxOptions, fn func(ctx context.Context, tx *Tx) error) error {
	tx, err := Begin(ctx, db, member, o)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	if err := fn(ctx, tx); err != nil {
		return tx.undone(ctx, err)
	}
	if err := tx.Commit(); err != nil {
		err = fmt.Errorf("commit: %w", err)
		if pg.SQLState(err) == "" { // nobody knows whether it has committed
			return err
		}
		return tx.undone(ctx, err)
	}
	return nil
}

// undone ends a transaction that has changed nothing, for err.
func (t *Tx) undone(ctx context.Context, err error) error {
	_ = t.Rollback() // first: the pool may have no other connection to read the phases with
	for _, undo := range t.undo {
		undo()
	}
	return explain(ctx, t.member, t.pin, err)
}

// explain adds ErrPhaseMoved to the error of a statement that a retry in the present phases may mend. The guard's refusal tells so by itself; a
// column or table that is not there and a plan that no longer fits may be the application's mistake as well.
func explain(ctx context.Context, member *switchover.Member, pin switchover.Pin, err error) error {
	switch pg.SQLState(err) {
	case pg.StaleStamp:
	case pg.UndefinedColumn, pg.UndefinedTable, pg.CachedPlan:
		if !moved(ctx, member, pin) {
			return err
		}
	default:
		return err
	}
	if errors.Is(err, ErrPhaseMoved) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrPhaseMoved, err)
}

// movedTime bounds the reading of the phases by one who may hold the pool's last connection.
const movedTime = time.Second

// moved tells whether any migration has taken a step since the pin.
func moved(ctx context.Context, member *switchover.Member, pin switchover.Pin) bool {
	ctx, cancel := context.WithTimeout(ctx, movedTime)
	defer cancel()
	_ = member.Refresh(ctx) // if it fails, what the member knows has to do
	now := member.Pin(ctx)
	defer now.Release()
	return now != pin
}

// statement runs one operation outside a transaction. If the phase has moved on it reads the phase again and runs it once more, which is
// safe because the statement that failed has changed nothing.
func statement(ctx context.Context, member *switchover.Member, op func(pin switchover.Pin) error) error {
	pin, err := pinned(ctx, member, op)
	err = explain(ctx, member, pin, err)
	if !errors.Is(err, ErrPhaseMoved) {
		return pg.Cause(ctx, err)
	}
	if refreshErr := member.Refresh(ctx); refreshErr != nil {
		return errors.Join(err, refreshErr)
	}
	_, err = pinned(ctx, member, op)
	return pg.Cause(ctx, err)
}

func pinned(ctx context.Context, member *switchover.Member, op func(pin switchover.Pin) error) (switchover.Pin, error) {
	pin := member.Pin(ctx)
	defer pin.Release()
	return pin, op(pin)
}
