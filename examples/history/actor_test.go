package history_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/switchover"
)

// actor does operations one after the other until ctx ends.
type actor struct {
	name string
	h    *history
	rng  *rand.Rand
	db   *sqlx.DB
	pair *expand.Pair[string, string]
	n    int

	register int64 // 0, or emails: which column of a row this actor knows

	forEver bool // a zombie stays where it is
}

// rowsOfTable is few, so that actors meet.
const rowsOfTable = 4

func (a *actor) key() int64 { return 1 + a.rng.Int64N(rowsOfTable) }

// value is written once in the whole history.
func (a *actor) value() string {
	a.n++
	return fmt.Sprintf("%s %d", a.name, a.n)
}

func (a *actor) pause(ctx context.Context) { a.pauseFor(ctx, 5*time.Millisecond) }

func (a *actor) pauseFor(ctx context.Context, mean time.Duration) {
	if a.forEver { // without a guard they are to do as much harm as they can
		mean = 3 * time.Millisecond
	}
	_ = pg.Sleep(ctx, time.Duration(a.rng.ExpFloat64()*float64(mean)))
}

func now() int64 { return time.Now().UnixNano() }

// write records a write of a row by what became of it: done, refused and thus not done, or nobody knows.
func (a *actor) write(key int64, do func(value string) error) {
	a.writeAll([]int64{key + a.register}, func(values []string) error { return do(values[0]) })
}

// writeAll records one statement that writes several registers.
func (a *actor) writeAll(keys []int64, do func(values []string) error) {
	values := make([]string, len(keys))
	for i := range values {
		values[i] = a.value()
	}
	call := now()
	ended, wrote := a.outcome(do(values))
	if !wrote {
		return
	}
	for i, key := range keys {
		a.h.add(event{Actor: a.name, Key: key, Write: true, Value: values[i], Call: call, Return: ended})
	}
}

// outcome tells what became of a write that has just returned: when it ended, or that it was not done.
func (a *actor) outcome(err error) (ended int64, wrote bool) {
	ended = now()
	state := pg.SQLState(err)
	switch {
	case err == nil:
	case state != "" && !pg.ConnectionLost(err) || errors.Is(err, sql.ErrNoRows):
		switch state {
		case pg.StaleStamp, pg.WouldLose:
			a.h.refuse()
		case pg.Serialization, pg.Deadlock, pg.QueryCanceled, pg.LockNotAvailable, pg.CachedPlan:
		default:
			a.h.fail(fmt.Errorf("%s writes: %w", a.name, err))
		}
		return ended, false
	case errors.Is(err, context.Canceled), errors.Is(err, sql.ErrTxDone), errors.Is(err, pgtest.ErrCut), pg.ConnectionLost(err):
		ended = never
		a.h.mu.Lock()
		a.h.unknown++
		a.h.mu.Unlock()
	default:
		a.h.fail(fmt.Errorf("%s writes: %w", a.name, err))
		return ended, false
	}
	return ended, true
}

// read records a read; one that failed saw nothing.
func (a *actor) read(ctx context.Context, key int64, do func() (string, error)) {
	e := event{Actor: a.name, Key: key + a.register, Call: now()}
	value, err := do()
	e.Value, e.Return = value, now()
	switch s := pg.SQLState(err); {
	case err == nil:
		a.h.add(e)
	case s == pg.StaleStamp:
		a.h.refuse()
	case ctx.Err() != nil, s == pg.Serialization, s == pg.Deadlock, s == pg.QueryCanceled, pg.ConnectionLost(err):
	default:
		a.h.fail(fmt.Errorf("%s reads: %w", a.name, err))
	}
}

type user struct {
	ID       int64  `db:"id"`
	FullName string `db:"full_name"`
}

// wrapped uses the repository, in and out of transactions of an isolation level.
func (a *actor) wrapped(ctx context.Context, m *switchover.Member, level sql.IsolationLevel) {
	users, err := expand.NewRepository[user](a.db, m, a.pair)
	if err != nil {
		a.h.fail(err)
		return
	}
	for ; ctx.Err() == nil; a.pause(ctx) {
		key := a.key()
		switch a.rng.IntN(8) {
		case 0, 1, 2:
			a.read(ctx, key, func() (string, error) {
				u, err := users.Get(ctx, key)
				return u.FullName, err
			})
		case 3:
			a.read(ctx, key, func() (string, error) {
				list, err := users.Select(ctx, `WHERE id = $1`, key)
				if err != nil {
					return "", err
				}
				return list[0].FullName, nil
			})
		case 4:
			a.write(key, func(v string) error { return users.UpdateColumns(ctx, &user{key, v}, "full_name") })
		case 5:
			a.write(key, func(v string) error { return users.Upsert(ctx, &user{key, v}, "id") })
		default:
			a.transaction(ctx, users, level, key)
		}
	}
}

// transaction reads a row and writes it, with a pause between.
func (a *actor) transaction(ctx context.Context, users *expand.Repository[user], level sql.IsolationLevel, key int64) {
	var seen event
	a.write(key, func(v string) error {
		return users.InTx(ctx, &sql.TxOptions{Isolation: level}, func(ctx context.Context, tx *expand.Tx) error {
			seen = event{Actor: a.name + " in tx", Key: key, Call: now()}
			u, err := users.In(tx).Get(ctx, key)
			if err != nil {
				return err
			}
			seen.Value, seen.Return = u.FullName, now()
			a.pause(ctx)
			return users.In(tx).Update(ctx, &user{key, v})
		})
	})
	if seen.Return > 0 {
		a.h.add(seen)
	}
}

// cut loses the connection while the answer to COMMIT is on its way, every time.
func (a *actor) cut(ctx context.Context, m *switchover.Member, open func(c *pgtest.Cut) *sqlx.DB) {
	for ; ctx.Err() == nil; a.pause(ctx) {
		key := a.key()
		a.write(key, func(v string) error {
			network := &pgtest.Cut{After: true}
			db := open(network)
			defer func() { _ = db.Close() }()
			users, err := expand.NewRepository[user](db, m, a.pair)
			if err != nil {
				return err
			}
			tx, err := expand.Begin(ctx, db, m, nil)
			if err != nil {
				return err
			}
			if err := users.In(tx).Update(ctx, &user{key, v}); err != nil {
				return errors.Join(err, tx.Rollback())
			}
			network.Next()
			return tx.Commit()
		})
	}
}

// prepared commits in two phases, with a pause between.
func (a *actor) prepared(ctx context.Context, m *switchover.Member) {
	users, err := expand.NewRepository[user](a.db, m, a.pair)
	if err != nil {
		a.h.fail(err)
		return
	}
	for ; ctx.Err() == nil; a.pause(ctx) {
		key := a.key()
		a.write(key, func(v string) error {
			tx, err := expand.Begin(ctx, a.db, m, nil)
			if err != nil {
				return err
			}
			id := fmt.Sprintf("'%s %s'", a.name, v)
			err = users.In(tx).Update(ctx, &user{key, v})
			if err == nil {
				_, err = tx.ExecContext(ctx, `PREPARE TRANSACTION `+id)
			}
			_ = tx.Rollback() // the session is out of the transaction already if it was prepared
			if err != nil {
				return err
			}
			a.pause(ctx)
			_, err = a.db.ExecContext(context.WithoutCancel(ctx), `COMMIT PREPARED `+id)
			return err
		})
	}
}
