package backfill_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
)

// What happens to a table under a walk through its blocks: rows move, its file shrinks or is another, its rows go. Every row is done in the end, and once.
func TestBlocksChangeUnderneath(t *testing.T) {
	t.Parallel()
	const rows = 20_000
	half := strings.Replace(usersSQL(rows), "user_name text)", "user_name text) WITH (fillfactor = 50)", 1)
	for name, c := range map[string]struct{ create, do string }{
		"rows move to the end":    {usersSQL(rows), `ALTER TABLE users ADD filler text; UPDATE users SET filler = repeat('x', 200) WHERE full_name_stamp IS NULL AND id % 3 = 0`},
		"rows move forward":       {usersSQL(rows), `DELETE FROM users WHERE id BETWEEN 1 AND 2000; VACUUM users; ALTER TABLE users ADD filler text; UPDATE users SET filler = repeat('x', 20) WHERE id > 19000`},
		"rows move on the page":   {half, `ALTER TABLE users ADD filler int; UPDATE users SET filler = 1`},
		"the end is truncated":    {usersSQL(rows), `DELETE FROM users WHERE id > 5000; VACUUM (TRUNCATE) users`},
		"written anew":            {usersSQL(rows), `DELETE FROM users WHERE id % 2 = 0; VACUUM FULL users`},
		"in another order":        {usersSQL(rows), `CREATE INDEX back ON users (id DESC); CLUSTER users USING back`},
		"emptied":                 {usersSQL(rows), `TRUNCATE users`},
		"emptied and filled":      {usersSQL(rows), `TRUNCATE users; ALTER TABLE users DISABLE TRIGGER USER; INSERT INTO users (id, user_name) SELECT i, 'again ' || i FROM generate_series(1, 30000) i; ALTER TABLE users ENABLE ALWAYS TRIGGER zz_tandem_full_name_update; ALTER TABLE users ENABLE ALWAYS TRIGGER zz_tandem_full_name_insert`},
		"only dead rows are left": {usersSQL(rows), `DELETE FROM users`},
	} {
		for kind, p := range childPairs {
			t.Run(name+" "+kind, func(t *testing.T) {
				t.Parallel()
				b := newBed(t, c.create, p)
				res, err := b.during(backfill.Options{Workers: 2}, func() {
					for _, s := range strings.Split(c.do, "; ") { // VACUUM stands alone
						b.exec(s)
					}
				})
				require.NoError(t, err)
				require.True(t, res.Done)
				require.Zero(t, b.number(unstamped))
				b.verified(b.number(`SELECT count(*) FROM users`))
			})
		}
	}
}

// The smallest tables and statements.
func TestSmallWalks(t *testing.T) {
	t.Parallel()
	for name, create := range map[string]string{
		"no page":                  `CREATE TABLE users (id bigint PRIMARY KEY, user_name text)`,
		"one page":                 usersSQL(40),
		"dead rows":                usersSQL(5000) + `; DELETE FROM users`,
		"one row behind dead ones": usersSQL(5000) + `; DELETE FROM users WHERE id < 5000`,
		"tiny statements":          usersSQL(3000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, create, fullName)
			rows := b.number(`SELECT count(*) FROM users`)
			for _, stripes := range []int{0, 8, 64} {
				b.exec(`UPDATE users SET full_name_stamp = NULL`)
				res, err := backfill.Run(b.ctx, b.db, b.pair, backfill.Options{Batch: 10, Stripes: stripes, Target: 10e9, Workers: 3})
				require.NoError(t, err)
				require.EqualValues(t, rows, res.Rows)
				require.True(t, res.Done)
			}
			b.verified(rows)
		})
	}
}

// At fillfactor 50 each page has room for its rows' new versions: no stripes, says the first window.
func TestHalfFullPages(t *testing.T) {
	t.Parallel()
	b := newBed(t, strings.Replace(usersSQL(50_000), "user_name text)", "user_name text) WITH (fillfactor = 45)", 1), fullName)
	plains := b.plains()
	require.NotContains(t, plains, "")
	require.Contains(t, strings.Join(plains, "\n"), "pages have room")
}
