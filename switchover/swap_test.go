package switchover_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/switchover"
)

// A writer in an open transaction holds the swap off; the error names it, and once it has committed the swap goes through.
func TestSwapWaitsForWriters(t *testing.T) {
	t.Parallel()
	for _, level := range []sql.IsolationLevel{sql.LevelReadCommitted, sql.LevelSerializable} {
		t.Run(level.String(), func(t *testing.T) {
			t.Parallel()
			b := newBed(t, switchover.Switch)
			other := pgtest.Open(t, b.dsn+" application_name='the importer'")
			writer, err := other.BeginTxx(t.Context(), &sql.TxOptions{Isolation: level})
			require.NoError(t, err)
			writer.MustExec(`UPDATE users SET user_name = 'eve'`) // a stray, repaired
			o := open
			o.LockTimeout, o.Attempts = time.Millisecond, 2
			err = b.advance(switchover.Contract, o)
			require.Equal(t, pg.LockNotAvailable, pg.SQLState(err))
			require.ErrorContains(t, err, "advance users.full_name from Switch to Contract: ")
			require.ErrorContains(t, err, "in the way on users: ")
			require.ErrorContains(t, err, "the importer")
			require.Equal(t, switchover.Switch, b.migration().Phase)
			require.Equal(t, guard.Repair, b.migration().Guard)

			require.NoError(t, writer.Commit())
			require.NoError(t, b.advance(switchover.Contract, o))
			require.Equal(t, switchover.Contract, b.migration().Phase)
			require.Equal(t, guard.Reject, b.migration().Guard)
			_, err = other.Exec(`UPDATE users SET user_name = 'fay'`)
			require.Equal(t, pg.StaleStamp, pg.SQLState(err))
			other.MustExec(`UPDATE users SET full_name = 'fay', full_name_stamp = $1`, switchover.Contract.Stamp())
		})
	}
}

// Readers do not hold the swap off, nor it them; a prepared transaction does.
func TestSwapBesideReaders(t *testing.T) {
	t.Parallel()
	b := newBed(t, switchover.Switch)
	reader := b.db.MustBegin()
	reader.MustExec(`SELECT * FROM users`)
	b.db.MustExec(`BEGIN; UPDATE users SET email = 'x'; PREPARE TRANSACTION 'forgotten'`)
	t.Cleanup(func() { _, _ = b.db.Exec(`ROLLBACK PREPARED 'forgotten'`) })
	o := open
	o.LockTimeout, o.Attempts = time.Millisecond, 1
	require.ErrorContains(t, b.advance(switchover.Contract, o), "prepared transaction forgotten holds RowExclusiveLock")
	b.db.MustExec(`COMMIT PREPARED 'forgotten'`)
	require.NoError(t, b.advance(switchover.Contract, o))
	require.NoError(t, reader.Commit())
}

// A stray of a pair that only Go converts, committed while the swap waits for its lock: the swap finds its row dirty and steps back, whatever isolation
// the server gives a transaction that asks for none: it must see what was committed after it began.
func TestSwapFindsWhatCameWhileItWaited(t *testing.T) {
	t.Parallel()
	for _, level := range []string{"read committed", "serializable"} {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			d := definition()
			d.Forward, d.Backward = nil, nil
			b := newBedOf(t, d, switchover.Switch, "default_transaction_isolation="+level)
			writer := b.db.MustBegin()
			writer.MustExec(`UPDATE users SET user_name = 'eve'`)
			require.Empty(t, b.gates(switchover.Contract, open)) // nobody can know yet
			o := open
			o.LockTimeout = time.Minute
			done := make(chan error)
			go func() { done <- switchover.Advance(t.Context(), b.db, name, switchover.Contract, o) }()
			b.waiting()
			require.NoError(t, writer.Commit())
			err := <-done
			var refused *switchover.GateError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, "dirty", refused.Gates[0].Name)
			require.ErrorContains(t, err, "1 rows of strays came while the swap waited for its lock: run backfill.Sweep")
			require.Equal(t, switchover.Switch, b.migration().Phase)
			b.db.MustExec(`UPDATE users SET user_name = 'fay'`) // the guard still repairs
		})
	}
}

// While the swap waits, a writer of before it ends under the old guard and a writer of after it begins under the new one, at every level.
func TestWritersAroundTheSwap(t *testing.T) {
	t.Parallel()
	b := newBed(t, switchover.Switch)
	before := b.db.MustBegin()
	before.MustExec(`UPDATE users SET email = 'held'`)
	snapshot, err := b.db.BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
	require.NoError(t, err)
	var seen int
	require.NoError(t, snapshot.QueryRow(`SELECT count(*) FROM tandem.migration WHERE phase = 'Switch'`).Scan(&seen))
	require.Equal(t, 1, seen)

	o := open
	o.LockTimeout = time.Minute
	done := make(chan error)
	go func() { done <- switchover.Advance(t.Context(), b.db, name, switchover.Contract, o) }()
	b.waiting()
	before.MustExec(`UPDATE users SET user_name = 'eve'`) // it has its lock, and is repaired
	require.NoError(t, before.Commit())
	require.NoError(t, <-done)
	_, err = snapshot.Exec(`INSERT INTO users (id, user_name) VALUES (2, 'x')`)
	require.Equal(t, pg.StaleStamp, pg.SQLState(err), "%v", err)
	require.NoError(t, snapshot.Rollback())
	var full string
	require.NoError(t, b.db.Get(&full, `SELECT full_name FROM users`))
	require.Equal(t, "eve", full)
}

// The way back from Contract: the guard reverses in the same transaction, and the next step forward waits for Restore.
func TestRevertFromContract(t *testing.T) {
	t.Parallel()
	b := newBed(t, switchover.Switch)
	require.NoError(t, b.advance(switchover.Contract, open))
	b.db.MustExec(`INSERT INTO users (id, full_name, full_name_stamp) VALUES (2, 'new only', $1)`, switchover.Contract.Stamp())
	b.db.MustExec(`CREATE UNIQUE INDEX old_one ON users (user_name)`)
	err := switchover.Revert(t.Context(), b.db, name, switchover.Switch, open)
	require.ErrorContains(t, err, "uniques: old has the unique index old_one with stale values")
	b.db.MustExec(`DROP INDEX old_one`)

	held := b.db.MustBegin()
	held.MustExec(`UPDATE users SET email = 'x'`)
	o := open
	o.LockTimeout, o.Attempts = time.Millisecond, 1
	require.ErrorContains(t, switchover.Revert(t.Context(), b.db, name, switchover.Switch, o), "in the way on users")
	require.NoError(t, held.Commit())
	require.NoError(t, switchover.Revert(t.Context(), b.db, name, switchover.Switch, o))
	m := b.migration()
	require.Equal(t, switchover.Switch, m.Phase)
	require.Equal(t, guard.Reverse, m.Guard)
	_, err = b.db.Exec(`UPDATE users SET full_name = 'late', full_name_stamp = $1`, switchover.Contract.Stamp())
	require.Equal(t, pg.StaleStamp, pg.SQLState(err))
	b.db.MustExec(`UPDATE users SET user_name = 'both', full_name = 'both', full_name_stamp = $1 WHERE id = 1`, switchover.Switch.Stamp())
	require.Equal(t, "reversed", b.gates(switchover.Contract, open)[0].Name)
	require.ErrorContains(t, switchover.Revert(t.Context(), b.db, name, switchover.Migrate, open), "rows of Contract wait for their old value")
}

// An operator who goes away in the middle leaves nothing half done.
func TestSwapEndsWithTheContext(t *testing.T) {
	t.Parallel()
	b := newBed(t, switchover.Switch)
	held := b.db.MustBegin()
	held.MustExec(`UPDATE users SET email = 'x'`)
	ctx, cancel := context.WithCancel(t.Context())
	o := open
	o.LockTimeout = time.Minute
	done := make(chan error)
	go func() { done <- switchover.Advance(ctx, b.db, name, switchover.Contract, o) }()
	b.waiting()
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	require.NoError(t, held.Commit())
	require.Equal(t, switchover.Switch, b.migration().Phase)
	b.db.MustExec(`UPDATE users SET user_name = 'repaired'`)
}
