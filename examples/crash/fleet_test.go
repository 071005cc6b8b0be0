package crash_test

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/internal/server"
	"github.com/tandem-go/tandem/switchover"
)

const (
	waitTime = time.Minute
	pollTime = 2 * time.Millisecond
)

type user struct {
	ID       int64  `db:"id" tandem:"default"`
	FullName string `db:"full_name"`
	Email    string `db:"email"`
}

// fleet is who writes while the operator crashes.
type fleet struct {
	*testing.T
	dsn     string
	members []*writer // programs with the wrappers
	old     *writer   // one without

	rows []row
	have map[string]string
	stop chan struct{}
	wg   sync.WaitGroup
	end  func() // stops the writers, and returns when all of them have
}

const oldName = "old binary"

// newFleet starts the old binary.
func newFleet(t *testing.T, dsn string, db *sqlx.DB) *fleet {
	t.Helper()
	f := &fleet{T: t, dsn: dsn, stop: make(chan struct{}), have: values(t, db)}
	require.NoError(t, db.SelectContext(t.Context(), &f.rows, rowsSQL))
	f.end = sync.OnceFunc(func() { close(f.stop); f.wg.Wait() })
	t.Cleanup(f.end)
	f.old = oldBinary(pgtest.Open(t, server.With(dsn, "", "application_name="+oldName)))
	f.start(f.old)
	return f
}

func (f *fleet) start(w *writer) {
	w.own(f.rows, f.have)
	ctx := context.WithoutCancel(f.Context()) // the end of a test that fails is no failure of theirs
	f.wg.Go(func() {
		if err := w.run(ctx, f.stop); err != nil {
			f.Errorf("%s: %v", w.name, err)
		}
	})
}

// join starts a program that uses the wrappers.
func (f *fleet) join() {
	f.Helper()
	db := pgtest.Open(f, server.With(f.dsn, "", "application_name=wrapper"))
	m, err := switchover.Join(f.Context(), db, switchover.JoinOptions{Poll: 20 * time.Millisecond, Log: slog.New(slog.DiscardHandler),
		OnDifference: func(d switchover.Difference) { f.Errorf("old and new differ: %+v", d) }})
	require.NoError(f, err)
	f.Cleanup(func() { _ = m.Leave(context.WithoutCancel(f.Context())) })
	users, err := expand.NewRepository[user](db, m, fullName)
	require.NoError(f, err)
	w := wrapper(users)
	f.members = append(f.members, w)
	f.start(w)
}

func (f *fleet) all() []*writer { return append([]*writer{f.old}, f.members...) }

// atWork returns when every writer has had an answer since the call.
func (f *fleet) atWork() {
	f.Helper()
	for _, w := range f.all() {
		since := w.answered.Load()
		require.Eventually(f, func() bool { return f.Failed() || w.answered.Load() > since+1 }, waitTime, pollTime, "%s goes on", w.name)
	}
	require.False(f, f.Failed(), "a writer has stopped")
}

func wrapper(users *expand.Repository[user]) *writer {
	w := &writer{name: "wrapper"}
	w.insert = func(ctx context.Context, u user) error { return users.Insert(ctx, &u) }
	w.get = func(ctx context.Context, id int64) (string, error) {
		u, err := users.Get(ctx, id)
		return u.FullName, err
	}
	w.update = func(ctx context.Context, kind int, u user) error {
		switch kind % 4 {
		case 0:
			return users.Update(ctx, &u)
		case 1:
			return users.UpdateColumns(ctx, &u, "full_name")
		case 2:
			return users.Upsert(ctx, &u, "id")
		default:
			return users.InTx(ctx, nil, func(ctx context.Context, tx *expand.Tx) error {
				if _, err := users.In(tx).Get(ctx, u.ID); err != nil {
					return err
				}
				return users.In(tx).Update(ctx, &u)
			})
		}
	}
	return w
}

// oldBinary knows only old. It reads there, and writes there with and without a transaction of its own.
func oldBinary(db *sqlx.DB) *writer {
	w := &writer{name: oldName, refuses: true}
	const updateSQL = `UPDATE users SET user_name = $1 WHERE id = $2`
	w.get = func(ctx context.Context, id int64) (value string, err error) {
		if err = db.GetContext(ctx, &value, `SELECT user_name FROM users WHERE id = $1`, id); err == nil {
			value, err = backwards(value)
		}
		return value, err
	}
	w.insert = func(ctx context.Context, u user) error {
		name, _ := backwards(u.FullName)
		_, err := db.ExecContext(ctx, `INSERT INTO users (user_name, email) VALUES ($1, $2)`, name, u.Email)
		return err
	}
	w.update = func(ctx context.Context, kind int, u user) error {
		name, _ := backwards(u.FullName)
		if kind%2 == 0 {
			return one(db.ExecContext(ctx, updateSQL, name, u.ID))
		}
		tx, err := db.BeginTxx(ctx, nil)
		if err != nil {
			return err
		}
		if err := one(tx.ExecContext(ctx, updateSQL, name, u.ID)); err != nil {
			_ = tx.Rollback() // may find that the connection is gone, which is as good
			return err
		}
		return tx.Commit()
	}
	return w
}

// one refuses an update that has not found its row.
func one(res sql.Result, err error) error {
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return errors.Join(err, sql.ErrNoRows)
	}
	return nil
}
