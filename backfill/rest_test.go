package backfill_test

import (
	"context"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/backfill/throttle"
)

// A call that stands still until its time is over does nothing.
func TestStandsStillToTheEnd(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL(1000), fullName)
	full := throttle.Func("full", func(context.Context, *sqlx.DB) (throttle.Load, error) { return throttle.Load{Share: 1, Reason: "full"}, nil })
	held := ""
	for name, c := range map[string]struct {
		throttles []throttle.Signal
		pause     bool
	}{"full": {throttles: []throttle.Signal{full}}, "paused by ": {pause: true}} {
		if c.pause {
			require.NoError(t, backfill.Pause(b.ctx, b.db, b.pair.Name()))
		}
		res, err := backfill.Run(b.ctx, b.db, b.pair, backfill.Options{Throttles: c.throttles, For: 500 * time.Millisecond, Progress: func(p backfill.Progress) { held = p.Held }})
		require.NoError(t, err)
		require.False(t, res.Done)
		require.Zero(t, res.Rows)
		require.Zero(t, b.number(stamped))
		require.Contains(t, held, name)
		require.NoError(t, backfill.Resume(b.ctx, b.db, b.pair.Name()))
	}
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
