package backfill_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/contract"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/switchover"
)

// tenantsSQL are rows of ten tenants.
const tenantsSQL = `CREATE TABLE users (id bigint PRIMARY KEY, user_name text, "Tenant" int, at timestamptz);
	INSERT INTO users SELECT i, 'name ' || i, i % 10, timestamptz '2024-01-01 00:00+00' + i * interval '1 min' FROM generate_series(1, 20000) i`

// A run over a part of the rows does those and no others, by blocks and by keys, in SQL and in Go, is resumed, and is another pass than that over all rows, which the gate asks for.
func TestWhere(t *testing.T) {
	t.Parallel()
	for name, p := range childPairs {
		for how, o := range map[string]backfill.Options{"blocks": {Batch: 500}, "keys": {Stripes: 1, Batch: 2000}} {
			t.Run(name+" "+how, func(t *testing.T) {
				t.Parallel()
				b := newBed(t, tenantsSQL, p)
				o.Where = `{Tenant} = 7 /* } */ -- '`
				ctx, cancel := context.WithCancel(b.ctx)
				stopped := o
				stopped.Progress = func(backfill.Progress) { cancel() }
				first, err := backfill.Run(ctx, b.db, p, stopped)
				require.ErrorIs(t, err, context.Canceled)
				res, err := backfill.Run(b.ctx, b.db, p, o)
				require.NoError(t, err)
				require.True(t, res.Done && res.Resumed)
				require.EqualValues(t, 2000, first.Rows+res.Rows)
				require.Zero(t, b.number(`SELECT count(*) FROM users WHERE (full_name_stamp IS NOT NULL) <> ("Tenant" = 7)`))
				again, err := backfill.Run(b.ctx, b.db, p, o)
				require.NoError(t, err)
				require.True(t, again.Done)
				require.Zero(t, again.Rows)
				require.Equal(t, []string{`copy where ` + o.Where}, b.texts(`SELECT kind FROM tandem.backfill WHERE finished_at IS NOT NULL AND rows = 2000`))
				require.Contains(t, b.missing(), "backfill: not started: run backfill.Run")
				status, err := switchover.Status(b.ctx, b.db, switchover.Options{})
				require.NoError(t, err)
				require.Contains(t, status[0].String(), "copy where {Tenant} = 7")

				// all, and beside it another part
				other := false
				res, err = backfill.Run(b.ctx, b.db, p, backfill.Options{Batch: 500, Progress: func(backfill.Progress) {
					if !other {
						other = true
						res, err := backfill.Run(b.ctx, b.db, p, backfill.Options{Where: `{id} > 19000`})
						require.NoError(t, err)
						require.Positive(t, res.Rows)
						require.Contains(t, b.missing(), "let backfill.Run finish")
					}
				}})
				require.NoError(t, err)
				require.True(t, res.Done)
				require.NotContains(t, b.missing(), "backfill:")
				b.verified(20_000)
				require.NotContains(t, b.missing(), "verify:")
				b.exec(`ALTER TABLE users DISABLE TRIGGER USER; UPDATE users SET full_name = 'x', full_name_stamp = NULL WHERE id = 3`)
				_, err = backfill.Run(b.ctx, b.db, p, backfill.Options{Where: `{id} < 10`})
				require.NoError(t, err)
				require.Contains(t, b.missing(), "verify: older than the backfill")
			})
		}
	}
}

// missing is what Switch asks for.
func (b *bed) missing() string {
	b.Helper()
	list, err := switchover.Gates(b.ctx, b.db, b.pair.Name(), switchover.Switch, switchover.Options{Quiet: switchover.None, Soak: switchover.None})
	require.NoError(b, err)
	var out strings.Builder
	for _, g := range list {
		out.WriteString(g.String() + "\n")
	}
	return out.String()
}

// Bad rows of other parts stay on the list, and those of the part are tried once more.
func TestWhereAndBadRows(t *testing.T) {
	t.Parallel()
	b := newBed(t, numbersSQL(100)+`; UPDATE users SET user_name = 'odd' WHERE id IN (7, 70)`, cents)
	res := b.run()
	require.EqualValues(t, 2, res.BadRows)
	b.exec(`UPDATE users SET user_name = '7' WHERE id = 7`)
	res, err := backfill.Run(b.ctx, b.db, cents, backfill.Options{Where: `{id} < 50`})
	require.NoError(t, err)
	require.True(t, res.Done)
	require.EqualValues(t, 1, res.Rows)
	require.EqualValues(t, 1, res.BadRows)
	require.Equal(t, []string{"70"}, b.texts(badKeys))
}

// The way back can be taken part by part too.
func TestWhereOnTheWayBack(t *testing.T) {
	t.Parallel()
	for name, p := range childPairs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, usersSQL(500), p)
			b.toContract()
			b.exec(`UPDATE users SET full_name = 'C' || id, full_name_stamp = 83886080 + id`)
			b.revert()
			res, err := b.reverse(b.ctx, backfill.Options{Where: `{id} % 5 = 1`})
			require.NoError(t, err)
			require.EqualValues(t, 100, res.Rows)
			require.Equal(t, 100, b.number(`SELECT count(*) FROM users WHERE full_name_stamp < 83886080 AND id % 5 = 1`))
			require.Equal(t, 400, b.number(`SELECT count(*) FROM users WHERE full_name_stamp >= 83886080`))
			require.ErrorIs(t, contract.Apply(b.ctx, b.db, p, contract.Restore, contract.Options{}), contract.ErrUnreversed)
			res, err = b.reverse(b.ctx, backfill.Options{})
			require.NoError(t, err)
			require.EqualValues(t, 400, res.Rows)
			require.NoError(t, contract.Apply(b.ctx, b.db, p, contract.Restore, contract.Options{}))
		})
	}
}

// A condition that is not the row's alone is refused with the reason, and nothing is begun.
func TestWhereRefused(t *testing.T) {
	t.Parallel()
	b := newBed(t, tenantsSQL, fullName)
	for where, says := range map[string]string{
		`{tenant} = 7`:           "column {tenant}: no such column in users; it has id, user_name, ",
		`{ctid} = '(0,1)'`:       "column {ctid}: no such column",
		`"Tenant" = 7`:           "column names belong in braces",
		`{at} > now()`:           "does not call it IMMUTABLE",
		`random() > {id}`:        "does not call it IMMUTABLE",
		`{at}::text > '2024'`:    "does not call it IMMUTABLE",
		`{id} IN (SELECT 1)`:     "depend on the row's values alone",
		`{id} > count(*)`:        "aggregate functions are not allowed in WHERE",
		`{id}`:                   "must be type boolean",
		`{id} = $1`:              "",
		`{id} = 1) OR (true`:     "syntax error",
		`true; DROP TABLE users`: "cannot insert multiple commands into a prepared statement",
		`{id} = 1 ORDER BY 1`:    "",
		`{id = 1`:                "{ without }",
		`{id} = 'x`:              "' does not end",
		` `:                      "syntax error",
	} {
		_, err := backfill.Run(b.ctx, b.db, fullName, backfill.Options{Where: where})
		require.ErrorContains(t, err, "options: where "+where, where)
		require.ErrorContains(t, err, says, where)
	}
	require.Zero(t, b.number(`SELECT count(*) FROM tandem.backfill`))
	require.Zero(t, b.number(stamped))
	_, err := backfill.Run(b.ctx, b.db, fullName, backfill.Options{Where: `{at} >= '2024-01-10 00:00+00' AND {user_name} COLLATE "C" LIKE 'name 1%'`})
	require.NoError(t, err)
	require.Equal(t, b.number(`SELECT count(*) FROM users WHERE at >= '2024-01-10 00:00+00' AND user_name LIKE 'name 1%'`), b.number(stamped))
}

// From the highest key down, along whatever index the key has: at any moment what is done is the newest.
func TestOrderDesc(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		create string
		key    []string
		order  string
	}{
		"one":  {usersSQL(20_000), []string{"id"}, "id DESC"},
		"down": {strings.Replace(usersSQL(20_000), "bigint PRIMARY KEY", "bigint NOT NULL", 1) + `; CREATE UNIQUE INDEX ON users (id DESC)`, []string{"id"}, "id"},
		"mixed": {`CREATE TABLE users (z int NOT NULL, id bigint NOT NULL, user_name text); INSERT INTO users SELECT i % 3, i, 'name ' || i FROM generate_series(1, 20000) i; CREATE UNIQUE INDEX ON users (z, id DESC)`,
			[]string{"id", "z"}, "z DESC, id"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := expand.Rename[string]("users", "user_name", "full_name", c.key...)
			b := newBed(t, c.create, p)
			ctx, cancel := context.WithCancel(b.ctx)
			calls := 0
			first, err := backfill.Run(ctx, b.db, p, backfill.Options{OrderDesc: true, Batch: 1000, Progress: func(backfill.Progress) {
				if calls++; calls == 3 {
					cancel()
				}
			}})
			require.ErrorIs(t, err, context.Canceled)
			require.Positive(t, first.Rows)
			require.Zero(t, b.number(`SELECT count(*) FROM (SELECT full_name_stamp, row_number() OVER (ORDER BY `+c.order+`) AS n FROM users) x WHERE (full_name_stamp IS NOT NULL) <> (n <= $1)`, first.Rows))
			res, err := backfill.Run(b.ctx, b.db, p, backfill.Options{Batch: 1000}) // keeps the order
			require.NoError(t, err)
			require.True(t, res.Done)
			require.EqualValues(t, 20_000, first.Rows+res.Rows)
			require.Zero(t, b.number(`SELECT round FROM tandem.backfill`))
			b.verified(20_000)
		})
	}
	b := newBed(t, keylessSQL, keyless["rename"])
	_, err := backfill.Run(b.ctx, b.db, b.pair, backfill.Options{OrderDesc: true})
	require.ErrorIs(t, err, expand.ErrNoKey)
}
