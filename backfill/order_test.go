package backfill_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/internal/pgtest"
)

// plains runs a backfill and lists why its statements were not in stripes, each reason once, in the order that they came up; "" stands for stripes.
func (b *bed) plains() (out []string) {
	b.Helper()
	seen := map[string]bool{}
	res, err := backfill.Run(b.ctx, b.db, b.pair, backfill.Options{Batch: 2000, Progress: func(p backfill.Progress) {
		if !p.Done && !seen[p.Plain] {
			seen[p.Plain] = true
			out = append(out, p.Plain)
		}
	}})
	require.NoError(b, err)
	require.True(b, res.Done)
	return out
}

// hot is the share of the table's updates that needed no new index entries.
func (b *bed) hot() (share float64) {
	b.Helper()
	rows := b.number(stamped)
	require.Eventually(b, func() bool {
		var updated int
		require.NoError(b, b.db.QueryRow(`SELECT n_tup_upd, n_tup_hot_upd::float8 / greatest(n_tup_upd, 1) FROM pg_stat_user_tables WHERE relname = 'users'`).Scan(&updated, &share))
		return updated >= rows
	}, waitTime, pollTime)
	return share
}

// Full pages are done in stripes, and most updates stay on their page.
func TestStripesOfFullPages(t *testing.T) {
	t.Parallel()
	srv := alone(t)
	for name, p := range childPairs {
		t.Run(name, func(t *testing.T) {
			b := newBedOn(t, srv, usersSQL(50_000), p)
			require.Contains(t, b.plains(), "")
			require.Greater(t, b.hot(), 0.1, "without stripes it is 0")
			require.Zero(t, b.number(unstamped))
		})
	}
}

// Pages with room need no stripes.
func TestPlainWherePagesHaveRoom(t *testing.T) {
	t.Parallel()
	b := newBed(t, strings.Replace(usersSQL(50_000), "user_name text)", "user_name text) WITH (fillfactor = 40)", 1), fullName)
	plains := b.plains()
	require.NotContains(t, plains, "")
	require.Contains(t, strings.Join(plains, "\n"), "pages have room: 100 % of updates were heap-only")
	require.Greater(t, b.hot(), 0.99)
}

// While somebody holds an old snapshot no page can be pruned: the backfill says who, goes on without stripes, and tries them again.
func TestPlainBesideAnOldSnapshot(t *testing.T) {
	t.Parallel()
	b := newBedOn(t, alone(t), usersSQL(100_000), fullName)
	reader := pgtest.Open(t, b.dsn+" application_name=reader")
	tx, err := reader.BeginTxx(b.ctx, nil)
	require.NoError(t, err)
	_, err = tx.Exec(`SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT FROM users LIMIT 1`)
	require.NoError(t, err)
	plains := b.plains()
	require.NoError(t, tx.Rollback())
	require.Regexp(t, `(only \d+ % of updates were heap-only; )?pid \d+ \(reader\) has held a snapshot for `, strings.Join(plains, "\n"))
	require.Less(t, b.hot(), 0.5)
}

// An index on the new column makes every update write into all indexes.
func TestPlainBesideAnIndexOfNew(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL(20_000), fullName)
	b.exec(`CREATE INDEX early ON users (lower(full_name))`)
	require.Equal(t, []string{"index early holds a column that is written, so no update is heap-only"}, b.plains())
}

// A partitioned table is done partition by partition, by blocks, and through the parent where the role may not write the partitions.
func TestPartitionsByBlocks(t *testing.T) {
	t.Parallel()
	const create = `CREATE TABLE users (id bigint PRIMARY KEY, user_name text) PARTITION BY RANGE (id);
		CREATE TABLE users_a PARTITION OF users FOR VALUES FROM (0) TO (30000);
		CREATE TABLE users_b (user_name text, gone int, id bigint NOT NULL); ALTER TABLE users_b DROP COLUMN gone; ALTER TABLE users ATTACH PARTITION users_b FOR VALUES FROM (30000) TO (100000);
		INSERT INTO users SELECT i, 'name ' || i FROM generate_series(1, 60000) i`
	for name, p := range childPairs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, create, p)
			relations := map[string]bool{}
			_, err := backfill.Run(context.WithoutCancel(b.ctx), b.db, p, backfill.Options{Workers: 2, Progress: func(backfill.Progress) {
				for _, r := range b.texts(`SELECT relation FROM tandem.range WHERE blocks`) {
					relations[r] = true
				}
			}})
			require.NoError(t, err)
			require.Equal(t, map[string]bool{"public.users_a": true, "public.users_b": true}, relations)
			require.Zero(t, b.number(unstamped))
			b.verified(60_000)
		})
	}
}
