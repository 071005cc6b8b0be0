package backfill_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/expand"
)

// held is a pair whose conversion of one value does not return until it is released.
func held(value string) (p expand.Any, begun <-chan struct{}, release func()) {
	reached, released := make(chan struct{}), make(chan struct{})
	var once, end sync.Once
	p = goOnly(func(s string) (string, error) {
		if s == value {
			once.Do(func() { close(reached) })
			<-released
		}
		return strings.ToUpper(s), nil
	})
	return p, reached, func() { end.Do(func() { close(released) }) }
}

// A conversion that does not return ends the run with its row's key; what was written stays, and once it returns a rerun finishes. By blocks rows are read ahead, by keys not.
func TestStuckConversion(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]backfill.Options{"blocks": {}, "keys": {Stripes: 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, _, release := held("name 15000")
			defer release()
			b := newBed(t, usersSQL(20_000), p)
			o.ConvertTimeout, o.Batch = 200*time.Millisecond, 1000
			_, err := backfill.Run(b.ctx, b.db, p, o)
			require.ErrorIs(t, err, backfill.ErrStuck)
			require.ErrorContains(t, err, "key [15000]")
			require.Positive(t, b.number(stamped), "the position was kept")
			require.Zero(t, b.number(`SELECT count(*) FROM tandem.range WHERE owner <> ''`), "somebody else may go on")
			release()
			res, err := backfill.Run(b.ctx, b.db, p, o)
			require.NoError(t, err)
			require.True(t, res.Done)
			require.True(t, res.Resumed)
			require.Zero(t, b.number(unstamped))
			b.verified(20_000)
		})
	}
}

// While a conversion takes long its worker keeps the range, and hears that the run is cancelled.
func TestSlowConversionKeepsTheRange(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]backfill.Options{"blocks": {}, "keys": {Stripes: 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, begun, release := held("name 7")
			defer release()
			b := newBed(t, usersSQL(20_000), p)
			ended := make(chan error, 1)
			go func() {
				_, err := backfill.Run(b.ctx, b.db, p, o)
				ended <- err
			}()
			<-begun
			const signs = `SELECT count(*) FROM tandem.range WHERE owner <> '' AND seen_at > $1::timestamptz`
			for range 2 {
				now := b.texts(`SELECT clock_timestamp()::text`)[0]
				require.Eventually(t, func() bool { return b.number(signs, now) == 1 }, waitTime, pollTime)
			}
			require.NoError(t, backfill.Cancel(b.ctx, b.db, p.Name()))
			require.ErrorIs(t, <-ended, backfill.ErrCancelled)
		})
	}
}

// Verify names such a row too.
func TestStuckConversionOfVerify(t *testing.T) {
	t.Parallel()
	var stuck atomic.Bool
	never := make(chan struct{})
	defer close(never)
	p := goOnly(func(s string) (string, error) {
		if s == "name 7" && stuck.Load() {
			<-never
		}
		return strings.ToUpper(s), nil
	})
	b := newBed(t, usersSQL(100), p)
	b.run()
	stuck.Store(true)
	_, err := backfill.Verify(b.ctx, b.db, p, backfill.VerifyOptions{ConvertTimeout: 200 * time.Millisecond})
	require.ErrorIs(t, err, backfill.ErrStuck)
	require.ErrorContains(t, err, "key [7]")
}

// A run ends with its context although a conversion does not return.
func TestStuckConversionAndContext(t *testing.T) {
	t.Parallel()
	p, begun, release := held("name 7")
	defer release()
	b := newBed(t, usersSQL(20_000), p)
	ctx, cancel := context.WithCancel(b.ctx)
	ended := make(chan error, 1)
	go func() {
		_, err := backfill.Run(ctx, b.db, p, backfill.Options{})
		ended <- err
	}()
	<-begun
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
}

// Reading ahead takes a second connection, and waits for it where there is but one.
func TestReadingAheadWithOneConnection(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL(50_000), shout)
	b.db.SetMaxOpenConns(1)
	res, err := backfill.Run(b.ctx, b.db, b.pair, backfill.Options{})
	require.NoError(t, err)
	require.True(t, res.Done)
	b.db.SetMaxOpenConns(0)
	b.verified(50_000)
}

// Conversions run on all processors at once: each of two waits for another to have begun.
func TestConversionsRunAtOnce(t *testing.T) {
	t.Parallel()
	if runtime.GOMAXPROCS(0) < 2 {
		return
	}
	meet := make(chan struct{})
	var met atomic.Bool
	p := goOnly(func(s string) (string, error) {
		if (s == "name 1" || s == "name 300") && !met.Load() {
			select {
			case meet <- struct{}{}:
				met.Store(true)
			case <-meet:
			case <-time.After(waitTime):
				return "", errors.New("alone")
			}
		}
		return strings.ToUpper(s), nil
	})
	b := newBed(t, usersSQL(20_000), p)
	b.run2()
	require.Zero(t, b.number(`SELECT count(*) FROM tandem.bad_row`))
}

// Wide rows are read a few at a time, also where one page has many of them, some do not convert and the server refuses others.
func TestWideRows(t *testing.T) {
	t.Parallel()
	p := goOnly(func(s string) (string, error) {
		if strings.HasPrefix(s, "bad") {
			return "", errors.New("bad")
		}
		return strings.ToUpper(s), nil
	})
	for name, o := range map[string]backfill.Options{"blocks": {Stripes: 8}, "keys": {Stripes: 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, `CREATE TABLE users (id bigint PRIMARY KEY, user_name text, full_name text CHECK (full_name NOT LIKE 'NO%'));
				INSERT INTO users SELECT i, CASE WHEN i <= 20 THEN 'bad' WHEN i <= 40 THEN 'no' ELSE 'yes' END || repeat('x', 500000) FROM generate_series(1, 60) i`, p)
			res, err := backfill.Run(b.ctx, b.db, p, o)
			require.NoError(t, err)
			require.True(t, res.Done)
			require.EqualValues(t, 20, res.Rows)
			require.EqualValues(t, 40, res.BadRows)
			require.Equal(t, 40, b.number(unstamped))
		})
	}
}

// Rows are written back by looking each up by its key: to read the whole index for each statement, as the planner would, takes longer than all else.
func TestWrittenBackByLookups(t *testing.T) {
	t.Parallel()
	const rows = 150_000
	b := newBed(t, usersSQL(rows), shout)
	b.exec(`VACUUM ANALYZE users`)
	const fetched = `SELECT idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 'users'`
	b.run2()
	require.Eventually(t, func() bool { return b.number(fetched) >= rows }, waitTime, pollTime)
	require.Less(t, b.number(fetched), 3*rows)
}
