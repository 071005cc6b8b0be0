// Package topology_test runs a migration where an application seldom talks to its server directly: through a pooler, and with reads on a standby.
package topology_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	_ "github.com/lib/pq"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/contract"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/switchover"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// fullName turns a counter around in its text, so that a column taken for the other one shows.
var fullName = expand.Convert(expand.Spec[string, string]{Table: "users", Old: "user_name", New: "full_name",
	Forward: backwards, Backward: backwards, Type: "text", ForwardSQL: "reverse({user_name})", BackwardSQL: "reverse({full_name})"})

func backwards(s string) (string, error) {
	out := []byte(s)
	for i := range out {
		out[i] = s[len(s)-1-i]
	}
	return string(out), nil
}

type user struct {
	ID       int64  `db:"id"`
	FullName string `db:"full_name"`
}

// row is for hand-written SQL.
type row struct {
	ID       int64                        `db:"id"`
	FullName expand.Value[string, string] `db:"full_name"`
}

const (
	keys  = 8  // that are written
	all   = 12 // that are read on the standby: those that nobody writes have no stamp until the backfill
	width = 9  // of a counter in text; not a palindrome but for 0
)

func text(n int64) string { return fmt.Sprintf("v%0*d", width, n) }

func number(t *testing.T, s string) (n int64) {
	t.Helper()
	require.Len(t, s, width+1, "no value of this test: %q", s)
	_, err := fmt.Sscanf(s, "v%d", &n)
	require.NoError(t, err, "no value of this test: %q", s)
	return n
}

func create(t *testing.T, db *sqlx.DB) {
	t.Helper()
	db.MustExec(`CREATE TABLE users (id bigint PRIMARY KEY, user_name text NOT NULL); CREATE INDEX users_name ON users (user_name)`)
	db.MustExec(`INSERT INTO users SELECT i, '000000000v' FROM generate_series(1, 2000) i`)
}

// hurried are gates that wait for nothing but the members.
var hurried = switchover.Options{Quiet: switchover.None, Soak: switchover.None, Wait: true}

// step is one move of the operator.
type step struct {
	name string
	do   func(ctx context.Context) error
}

// take takes the step. One that waits for something that does not come ends with the list of it.
func (s step) take(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, waitTime)
	defer cancel()
	return s.do(ctx)
}

// steps are the way through all phases, with each way back.
func steps(db *sqlx.DB) []step {
	to := func(p switchover.Phase) step {
		return step{"to " + p.String(), func(ctx context.Context) error { return switchover.Advance(ctx, db, fullName.Name(), p, hurried) }}
	}
	back := func(p switchover.Phase) step {
		return step{"back to " + p.String(), func(ctx context.Context) error { return switchover.Revert(ctx, db, fullName.Name(), p, hurried) }}
	}
	stage := func(s contract.Stage) step {
		return step{fmt.Sprint(s), func(ctx context.Context) error {
			return contract.Apply(ctx, db, fullName, s, contract.Options{Gates: hurried})
		}}
	}
	run := func(reverse bool) step {
		return step{"backfill", func(ctx context.Context) error {
			_, err := backfill.Run(ctx, db, fullName, backfill.Options{Batch: 250, Stripes: 1, Reverse: reverse})
			return err
		}}
	}
	verify := step{"verify", func(ctx context.Context) error {
		r, err := backfill.Verify(ctx, db, fullName, backfill.VerifyOptions{})
		if err == nil && r.Differences > 0 {
			err = fmt.Errorf("%d differences", r.Differences)
		}
		return err
	}}
	return []step{
		{"apply", func(ctx context.Context) error { return expand.Apply(ctx, db, fullName, expand.Options{}) }},
		to(switchover.Expand), to(switchover.Migrate), run(false),
		{"twins", func(ctx context.Context) error { return expand.ApplyTwins(ctx, db, fullName, expand.Options{}) }},
		verify, to(switchover.Switch), back(switchover.Migrate), to(switchover.Switch),
		stage(contract.Relax), to(switchover.Contract), stage(contract.Finish),
		back(switchover.Switch), run(true), stage(contract.Restore), run(false), verify,
		stage(contract.Relax), to(switchover.Contract), stage(contract.Finish), stage(contract.Drop),
	}
}

func join(t *testing.T, db *sqlx.DB) (*switchover.Member, *expand.Repository[user]) {
	t.Helper()
	m, err := switchover.Join(t.Context(), db, switchover.JoinOptions{Poll: 20 * time.Millisecond, Log: slog.New(slog.DiscardHandler),
		OnDifference: func(d switchover.Difference) { t.Errorf("old and new differ: %+v", d) }})
	require.NoError(t, err)
	t.Cleanup(func() { _ = m.Leave(context.WithoutCancel(t.Context())) })
	users, err := expand.NewRepository[user](db, m, fullName)
	require.NoError(t, err)
	return m, users
}

// counters are what writers wrote: each has rows of its own and counts up in them.
type counters struct {
	begun, done [all + 1]atomic.Int64
	operations  atomic.Int64
	deadlocks   atomic.Int64
}

// write counts one key up until ctx ends, by every kind of write in turn, and reads its own writes.
func (c *counters) write(ctx context.Context, db *sqlx.DB, m *switchover.Member, users *expand.Repository[user], key int64) error {
	writes := []func(u user) error{
		func(u user) error { return users.Update(ctx, &u) },
		func(u user) error { return users.Upsert(ctx, &u, "id") },
		func(u user) error {
			return users.InTx(ctx, nil, func(ctx context.Context, tx *expand.Tx) error {
				if _, err := users.In(tx).Get(ctx, key); err != nil {
					return err
				}
				return users.In(tx).UpdateColumns(ctx, &u, "full_name")
			})
		},
		func(u user) error {
			return fullName.Do(ctx, m, func(p *expand.Pinned[string, string]) error {
				v, err := p.Value(u.FullName)
				if err != nil {
					return err
				}
				_, err = sqlx.NamedExecContext(ctx, db, `UPDATE users SET `+p.Set()+` WHERE id = :id`, row{key, v})
				return err
			})
		},
	}
	for n := int64(1); ctx.Err() == nil; n++ {
		c.begun[key].Store(n)
		err := writes[n%int64(len(writes))](user{key, text(n)})
		if pg.SQLState(err) == pg.Deadlock { // of a reader that becomes a writer, with a step of the operator: as ever, to be tried again
			c.deadlocks.Add(1)
			n--
			continue
		}
		if err == nil {
			c.done[key].Store(n)
			err = readBack(ctx, users, user{key, text(n)})
		}
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("write %d, kind %d: %w", n, n%int64(len(writes)), err)
		}
		c.operations.Add(2)
		_ = pg.Sleep(ctx, time.Millisecond)
	}
	return nil
}

func readBack(ctx context.Context, users *expand.Repository[user], want user) error {
	u, err := users.Get(ctx, want.ID)
	if err == nil && u != want {
		err = fmt.Errorf("read back %+v", u)
	}
	return err
}

// load writes all keys until stop.
func (c *counters) load(t *testing.T, db *sqlx.DB, m *switchover.Member, users *expand.Repository[user]) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for key := int64(1); key <= keys; key++ {
		wg.Go(func() {
			if err := c.write(ctx, db, m, users, key); err != nil {
				t.Errorf("key %d: %v", key, err)
			}
		})
	}
	stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(stop)
	return stop
}

// kept checks at the end that each key has what was written last.
func (c *counters) kept(t *testing.T, db *sqlx.DB) {
	t.Helper()
	for key := int64(1); key <= keys; key++ {
		var last string
		require.NoError(t, db.Get(&last, `SELECT full_name FROM users WHERE id = $1`, key))
		got := number(t, last)
		require.GreaterOrEqual(t, got, c.done[key].Load())
		require.LessOrEqual(t, got, c.begun[key].Load())
	}
}
