package backfill_test

import (
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/expand"
)

// The first and the last row of the table, of each block and of each range are compared, in blocks and in the order of the key, in each partition.
func TestVerifySeesEveryEdge(t *testing.T) {
	t.Parallel()
	parts := `CREATE TABLE users (id bigint PRIMARY KEY, user_name text) PARTITION BY RANGE (id);
		CREATE TABLE users_1 PARTITION OF users FOR VALUES FROM (0) TO (20001);
		CREATE TABLE users_2 PARTITION OF users FOR VALUES FROM (20001) TO (39990);
		CREATE TABLE users_3 PARTITION OF users DEFAULT;
		INSERT INTO users SELECT i, 'name ' || i FROM generate_series(1, 40000) i`
	for name, create := range map[string]string{"table": usersSQL(40_000), "partitions": parts} {
		for kind, p := range childPairs {
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				b := newBed(t, create, p)
				b.run2()
				b.exec(`VACUUM users`)
				b.around(`UPDATE users SET full_name_stamp = 3 << 24`) // they lie in new blocks now, in order
				wrong := b.number(`WITH e AS (SELECT tableoid, (ctid::text::point)[0] AS block, min(ctid) AS a, max(ctid) AS z FROM users GROUP BY 1, 2),
					w AS (SELECT u.id FROM users u JOIN e ON e.tableoid = u.tableoid AND u.ctid IN (e.a, e.z)),
					x AS (SELECT id FROM w UNION SELECT unnest(ARRAY[1, 20000, 20001, 39989, 39990, 40000]))
					SELECT count(*) FROM x`)
				b.around(`ALTER TABLE users ADD COLUMN w boolean`, `WITH e AS (SELECT tableoid, (ctid::text::point)[0] AS block, min(ctid) AS a, max(ctid) AS z FROM users GROUP BY 1, 2)
					UPDATE users u SET full_name = 'wrong' FROM e WHERE e.tableoid = u.tableoid AND u.ctid IN (e.a, e.z) OR u.id IN (1, 20000, 20001, 39989, 39990, 40000)`)
				for _, workers := range []int{1, 3} {
					report, err := backfill.Verify(b.ctx, b.db, p, backfill.VerifyOptions{Workers: workers})
					require.NoError(t, err)
					require.EqualValues(t, 40_000, report.Rows)
					require.EqualValues(t, wrong, report.Differences)
				}
				b.around(`UPDATE users SET full_name_stamp = NULL WHERE id IN (SELECT id FROM users ORDER BY id)`)
				report, err := backfill.Verify(b.ctx, b.db, p, backfill.VerifyOptions{})
				require.NoError(t, err)
				require.EqualValues(t, 40_000, report.Differences)
			})
		}
	}
}

// A row that differs, and that an UPDATE of something else takes behind the verification or behind the last block, is found all the same. Rows that come and go do not disturb.
func TestVerifyFollowsRowsThatMove(t *testing.T) {
	t.Parallel()
	for name, p := range childPairs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, strings.Replace(usersSQL(60_000), "user_name text)", "user_name text, note text) WITH (autovacuum_enabled = off)", 1), p)
			b.run2()
			b.around(`UPDATE users SET full_name = 'wrong' WHERE id BETWEEN 59000 AND 59020`)
			b.exec(`CLUSTER users USING users_pkey`) // no page has room, and the first have the lowest keys
			statements := 0
			report, err := backfill.Verify(b.ctx, b.db, p, backfill.VerifyOptions{Progress: func(backfill.Progress) {
				if statements++; statements != 2 {
					return
				}
				b.exec(`DELETE FROM users WHERE id <= 1000`)
				b.exec(`VACUUM users`) // now the first have, which were compared; a session that has not heard of it adds pages
				b.exec(`UPDATE users SET note = repeat('n', 1500) WHERE id BETWEEN 59000 AND 59019`)
				require.Equal(t, 20, b.number(`SELECT count(*) FROM users WHERE id BETWEEN 59000 AND 59019 AND (ctid < '(10,0)' OR ctid >= '(490,0)')`), "they lie where it was, or behind the last block, whichever the server chose")
				b.exec(`INSERT INTO users (id, user_name, full_name, full_name_stamp) VALUES (-1, 'a', '` + map[string]string{"sql": "a", "go": "A"}[name] + `', 3 << 24)`)
				b.exec(`DELETE FROM users WHERE id BETWEEN 58000 AND 58100`)
			}})
			require.NoError(t, err)
			require.Greater(t, statements, 2)
			require.EqualValues(t, 21, report.Differences)
			require.Len(t, report.Keys, 21)
		})
	}
}

// What the server does not convert is a difference, and what lies around it is compared.
func TestVerifyOfValuesThatTheServerRefuses(t *testing.T) {
	t.Parallel()
	p := expand.Convert(expand.Spec[string, int64]{Table: "users", Old: "user_name", New: "cents", Type: "bigint",
		Forward:    func(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) },
		Backward:   func(n int64) (string, error) { return strconv.FormatInt(n, 10), nil },
		ForwardSQL: "{user_name}::bigint", BackwardSQL: "{cents}::text"})
	b := newBed(t, numbersSQL(300), p)
	b.run()
	b.around(`UPDATE users SET user_name = 'x' WHERE id IN (7, 290)`, `UPDATE users SET cents = 1 WHERE id IN (8, 300)`, `UPDATE users SET cents_stamp = NULL WHERE id = 9`)
	b.differ(300, "7", "8", "9", "290", "300")
	require.Equal(t, 1, b.number(`SELECT count(*) FROM users WHERE cents_stamp IS NULL`), "it writes nothing")
	require.Zero(t, b.number(`SELECT count(*) FROM tandem.bad_row`))
}

// With Backward in Go a new value that old cannot give back differs, as with BackwardSQL.
func TestVerifyBothDirectionsInGo(t *testing.T) {
	t.Parallel()
	var lossy atomic.Bool
	p := expand.Convert(expand.Spec[string, string]{Table: "users", Old: "user_name", New: "full_name",
		Forward: func(s string) (string, error) { return strings.ToUpper(s), nil },
		Backward: func(s string) (string, error) {
			switch {
			case lossy.Load() && s == "NAME 7":
				return "another", nil
			case lossy.Load() && s == "NAME 8":
				return "", errOdd
			}
			return strings.ToLower(s), nil
		}})
	b := newBed(t, usersSQL(100), p)
	b.run()
	b.differ(100)
	lossy.Store(true) // a build with another conversion
	b.differ(100, "7", "8")
}
