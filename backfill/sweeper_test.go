package backfill_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/switchover"
)

// counting is shout, and counts how often each value is converted.
type counting struct {
	mu    sync.Mutex
	calls map[string]int
}

func (c *counting) pair() *expand.Pair[string, string] {
	return goOnly(func(s string) (string, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.calls[s]++
		return strings.ToUpper(s), nil
	})
}

// sweeper runs SweepUntil on a pool of its own, as another process would, until stop, which returns what it returned.
func (b *bed) sweeper(name string, o backfill.SweepOptions) (stop func() error, seen *reports) {
	b.Helper()
	pool, err := sqlx.Open("postgres", b.dsn+" application_name="+name)
	require.NoError(b, err)
	seen = &reports{}
	o.Report, o.Log = seen.add, slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithCancel(b.ctx)
	done := make(chan error, 1)
	go func() { done <- backfill.SweepUntil(ctx, pool, b.pair, o) }()
	stop = sync.OnceValue(func() error {
		cancel()
		err := <-done
		_ = pool.Close() // of connections that may be cut: an error
		return err
	})
	b.Cleanup(func() { _ = stop() })
	return stop, seen
}

type reports struct {
	mu   sync.Mutex
	list []backfill.Swept
}

func (r *reports) add(s backfill.Swept) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, s)
}

func (r *reports) sum() (all backfill.Swept) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.list {
		all.Keys, all.Rows, all.Bad, all.Waited = all.Keys+s.Keys, all.Rows+s.Rows, all.Bad+s.Bad, max(all.Waited, s.Waited)
		all.Err = errors.Join(all.Err, s.Err)
	}
	return all
}

func (b *bed) sweptClean() {
	b.Helper()
	require.Eventually(b, func() bool { return b.number(dirtyRows) == 0 }, waitTime, pollTime)
}

// A stray's row is converted by itself, soon after its commit. The log of the test says how soon.
func TestSweepUntilFollowsStrays(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL(100), shout)
	b.run()
	stop, reports := b.sweeper("sweeper", backfill.SweepOptions{})
	var longest, sum time.Duration
	const strays = 8
	for i := range strays {
		b.exec(`UPDATE users SET user_name = 'stray ' || $1 WHERE id = $1`, i+1)
		began := time.Now()
		b.eventually(`SELECT count(*) FROM users WHERE full_name LIKE 'STRAY %' AND id = (SELECT max(id) FROM users WHERE user_name LIKE 'stray %')`)
		took := time.Since(began)
		longest, sum = max(longest, took), sum+took
	}
	t.Logf("converted after %s in the mean, %s at most; by the sweeper's report %s at most", sum/strays, longest, reports.sum().Waited)
	b.sweptClean()
	require.ErrorIs(t, stop(), context.Canceled)
	require.Equal(t, []int64{strays, strays, 0}, []int64{reports.sum().Keys, reports.sum().Rows, reports.sum().Bad})
	b.verified(100)
}

// Two sweepers share what many strays leave; no row is converted twice.
func TestSweepersOfTwoProcesses(t *testing.T) {
	t.Parallel()
	c := counting{calls: map[string]int{}}
	b := newBed(t, usersSQL(6000), c.pair())
	b.run()
	_, first := b.sweeper("one", backfill.SweepOptions{Poll: 10 * time.Millisecond})
	_, second := b.sweeper("two", backfill.SweepOptions{Poll: 10 * time.Millisecond})
	total := func() int64 { return first.sum().Keys + second.sum().Keys }
	for turn := 0; turn < 50 && (turn < 3 || first.sum().Keys == 0 || second.sum().Keys == 0); turn++ {
		before := total()
		b.exec(`UPDATE users SET user_name = 'stray ' || id || ' of ' || $1`, turn)
		b.sweptClean()
		require.Eventually(t, func() bool { return total() == before+6000 }, waitTime, pollTime) // it reports after its commit
	}
	require.Positive(t, first.sum().Keys)
	require.Positive(t, second.sum().Keys)
	require.NoError(t, errors.Join(first.sum().Err, second.sum().Err))
	c.mu.Lock()
	for value, n := range c.calls {
		if strings.HasPrefix(value, "stray") {
			require.Equal(t, 1, n, value)
		}
	}
	c.mu.Unlock()
	b.verified(6000)
}

// A row that somebody holds is left for later, and holds up no other.
func TestSweepUntilPassesLockedRows(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL(20), shout)
	b.run()
	b.exec(`UPDATE users SET user_name = 'stray ' || id WHERE id <= 5`)
	release := b.lock(`SELECT FROM users WHERE id IN (1, 3) FOR UPDATE`)
	t.Cleanup(release)
	_, reports := b.sweeper("sweeper", backfill.SweepOptions{Poll: 10 * time.Millisecond})
	require.Eventually(t, func() bool { return b.number(dirtyRows) == 2 }, waitTime, pollTime)
	require.Equal(t, []string{"1", "3"}, b.texts(`SELECT key[1] FROM tandem.dirty ORDER BY 1`))
	require.Equal(t, 2, b.number(unstamped))
	require.Eventually(t, func() bool { return reports.sum().Keys == 3 }, waitTime, pollTime, "a sweep ends with the list, not with its locks")
	release()
	b.sweptClean()
	require.NoError(t, reports.sum().Err, "nobody had to wait until he gave up")
	b.verified(20)
}

// Its connections are cut again and again, idle or at work.
func TestSweepUntilSurvivesCutConnections(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL(100), shout)
	b.run()
	b.sweeper("sweeper", backfill.SweepOptions{Poll: 10 * time.Millisecond})
	const cut = `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'sweeper'`
	for i := range 5 {
		require.Eventually(t, func() bool { return b.number(cut) > 0 }, waitTime, pollTime)
		b.exec(`UPDATE users SET user_name = 'stray ' || id || ' of ' || $1 WHERE id <= 50`, i)
		b.sweptClean()
	}
	b.verified(100)
}

// Of a key whose row has gone, or was stamped since, nothing is converted; what does not convert becomes a bad row. All leave the list.
func TestSweepUntilTakesOffWhatIsDone(t *testing.T) {
	t.Parallel()
	b := newBed(t, numbersSQL(20), cents)
	b.run()
	b.exec(`UPDATE users SET user_name = '7' WHERE id <= 5`)
	b.exec(`DELETE FROM users WHERE id = 1`)
	b.exec(`UPDATE users SET user_name = '8', cents = 8, cents_stamp = 67108865 WHERE id = 2`)
	b.exec(`UPDATE users SET user_name = 'free' WHERE id = 3`)
	require.Equal(t, 6, b.number(dirtyRows))
	_, reports := b.sweeper("sweeper", backfill.SweepOptions{Poll: 10 * time.Millisecond})
	b.sweptClean()
	require.Eventually(t, func() bool { return reports.sum().Keys == 6 }, waitTime, pollTime)
	require.Equal(t, []int64{2, 1}, []int64{reports.sum().Rows, reports.sum().Bad})
	require.Equal(t, []string{"3"}, b.texts(badKeys))
	require.Equal(t, []string{"8", "7", "7"}, b.texts(`SELECT cents FROM users WHERE id IN (2, 4, 5) ORDER BY id`))
}

// It waits for the migration to begin, does nothing before Migrate, and ends with Complete.
func TestSweepUntilThePhasesPass(t *testing.T) {
	t.Parallel()
	b := &bed{T: t, ctx: t.Context(), dsn: pgtest.DSN(t), pair: shout}
	b.db = pgtest.Open(t, b.dsn)
	ended := make(chan error, 1)
	looks := &reports{}
	go func() {
		ended <- backfill.SweepUntil(b.ctx, b.db, shout, backfill.SweepOptions{Poll: 10 * time.Millisecond, Report: looks.add, Log: slog.New(slog.DiscardHandler)})
	}()
	b.exec(usersSQL(10))
	require.NoError(t, expand.Apply(b.ctx, b.db, shout, expand.Options{}))
	b.advance(shout, switchover.Expand)
	b.exec(`UPDATE users SET user_name = 'stray' WHERE id = 1`)
	require.Equal(t, 1, b.number(dirtyRows))
	b.advance(shout, switchover.Migrate)
	b.sweptClean()
	b.exec(`UPDATE tandem.migration SET phase = 'Complete'`)
	require.NoError(t, <-ended)
	require.NoError(t, looks.sum().Err)

	require.NoError(t, backfill.SweepUntil(b.ctx, b.db, fullName, backfill.SweepOptions{}), "of what SQL converts nothing waits")
	for _, poll := range []time.Duration{-1, time.Millisecond, time.Hour} {
		require.ErrorContains(t, backfill.SweepUntil(b.ctx, b.db, shout, backfill.SweepOptions{Poll: poll}), "sweep users.full_name: options: poll")
	}
}

// What stays wrong is reported each time, and ends nothing.
func TestSweepUntilReportsErrors(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL(10), shout)
	b.run()
	b.exec(`ALTER TABLE users RENAME TO elsewhere; INSERT INTO tandem.dirty (migration, key) VALUES ('users.full_name', '{1}')`)
	_, reports := b.sweeper("sweeper", backfill.SweepOptions{Poll: 10 * time.Millisecond})
	require.Eventually(t, func() bool { return reports.sum().Err != nil }, waitTime, pollTime)
	b.exec(`ALTER TABLE elsewhere RENAME TO users`)
	b.sweptClean()

	// another declaration is for the programmer
	other := expand.Convert(expand.Spec[string, string]{Table: "users", Old: "user_name", New: "full_name", Type: "varchar(99)", Forward: func(s string) (string, error) { return s, nil }})
	require.ErrorIs(t, backfill.SweepUntil(b.ctx, b.db, other, backfill.SweepOptions{}), switchover.ErrRedeclare)
}
