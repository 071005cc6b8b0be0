package backfill_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/backfill/throttle"
)

// A signal makes workers rest, or stand still until it changes, and its reason is told.
func TestThrottle(t *testing.T) {
	t.Parallel()
	for name, p := range childPairs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, usersSQL(1000), p)
			var share atomic.Int64 // percent
			share.Store(100)
			signal := throttle.Func("weather", func(context.Context, *sqlx.DB) (throttle.Load, error) {
				return throttle.Load{Share: float64(share.Load()) / 100, Reason: "it rains"}, nil
			})
			var held []string
			res, err := backfill.Run(b.ctx, b.db, p, backfill.Options{Batch: 100, Stripes: 1, Throttles: []throttle.Signal{signal}, Progress: func(p backfill.Progress) {
				if p.Held != "" {
					held = append(held, p.Held)
					require.Zero(t, b.number(stamped), "it stands still")
					require.Equal(t, []string{"it rains"}, b.texts(`SELECT DISTINCT held FROM tandem.range WHERE owner <> ''`))
					share.Store(1)
				}
			}})
			require.NoError(t, err)
			require.EqualValues(t, 1000, res.Rows)
			require.NotEmpty(t, held)
			require.Equal(t, "it rains", held[0])
			require.Zero(t, b.number(`SELECT count(*) FROM tandem.range`))
			b.verified(1000)
		})
	}
}

// A signal that cannot be read does not hide that it was asked.
func TestThrottleOfNothing(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL(100), fullName)
	asked := 0
	signal := throttle.Func("broken", func(context.Context, *sqlx.DB) (throttle.Load, error) {
		asked++
		return throttle.Load{}, errors.New("broken")
	})
	res, err := backfill.Run(b.ctx, b.db, b.pair, backfill.Options{Throttles: []throttle.Signal{signal}})
	require.NoError(t, err, "it has not been blind for long")
	require.EqualValues(t, 100, res.Rows)
	require.Positive(t, asked)
	_, err = backfill.Verify(b.ctx, b.db, b.pair, backfill.VerifyOptions{Throttles: throttle.Default("users")})
	require.NoError(t, err)
}

// A call that stands still until its time is over does nothing.
func TestStandsStillToTheEnd(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL(1000), fullName)
	full := throttle.Func("full", func(context.Context, *sqlx.DB) (throttle.Load, error) {
		return throttle.Load{Share: 1, Reason: "full"}, nil
	})
	held := ""
	res, err := backfill.Run(b.ctx, b.db, b.pair, backfill.Options{Throttles: []throttle.Signal{full}, For: 500 * time.Millisecond, Progress: func(p backfill.Progress) { held = p.Held }})
	require.NoError(t, err)
	require.False(t, res.Done)
	require.Zero(t, res.Rows)
	require.Zero(t, b.number(stamped))
	require.Equal(t, "full", held)
}

// A worker rests after the last statement of a range too: many small partitions are many ranges.
func TestRateOfSmallRanges(t *testing.T) {
	t.Parallel()
	b := newBed(t, `CREATE TABLE users (id bigint PRIMARY KEY, user_name text) PARTITION BY RANGE (id);
		DO $$BEGIN FOR i IN 0..79 LOOP EXECUTE format('CREATE TABLE users_%s PARTITION OF users FOR VALUES FROM (%s) TO (%s)', i, i * 10, i * 10 + 10); END LOOP; END$$;
		INSERT INTO users SELECT i, 'name ' || i FROM generate_series(0, 799, 10) i`, fullName)
	held := ""
	res, err := backfill.Run(b.ctx, b.db, b.pair, backfill.Options{Rate: 0.5, For: 1500 * time.Millisecond, Progress: func(p backfill.Progress) {
		if p.Held != "" {
			held = p.Held
		}
	}})
	require.NoError(t, err)
	require.False(t, res.Done)
	require.LessOrEqual(t, res.Rows, int64(1), "a row, all of a range, is paid with 2 s")
	require.Equal(t, "0.5 rows a second are asked for", held)
}
