package backfill_test

import (
	"context"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/contract"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/switchover"
)

// line is a row of a table that has no key.
type line struct {
	Text string `db:"full_name"`
	Nick string `db:"nick"`
}

const keylessSQL = `CREATE TABLE users (user_name text, nick text);`

// linesSQL fills it with rows of which some are the same.
func linesSQL(rows int) string {
	return `INSERT INTO users (user_name, nick) SELECT 'name ' || i / 2, 'n' || i % 3 FROM generate_series(1, ` + strconv.Itoa(rows) + `) i`
}

var keyless = map[string]*expand.Pair[string, string]{
	"rename": expand.Rename[string]("users", "user_name", "full_name", expand.NoKey),
	"sql": expand.Convert(expand.Spec[string, string]{Table: "users", Key: []string{expand.NoKey}, Old: "user_name", New: "full_name", Type: "text", ForwardSQL: `'N' || {user_name}`,
		BackwardSQL: `substr({full_name}, 2)`, Forward: func(s string) (string, error) { return "N" + s, nil }, Backward: func(s string) (string, error) { return s[1:], nil }}),
}

var madeOf = map[string]string{"rename": `user_name`, "sql": `'N' || user_name`}

// A table without a key, whose rows may be the same, goes all the way there and back. It is plain or partitioned.
func TestNoKey(t *testing.T) {
	t.Parallel()
	const parted = `CREATE TABLE users (user_name text, nick text) PARTITION BY LIST (nick); CREATE TABLE users_0 PARTITION OF users FOR VALUES IN ('n0');
		CREATE TABLE users_1 (nick text, gone int, user_name text); ALTER TABLE users_1 DROP gone; ALTER TABLE users ATTACH PARTITION users_1 DEFAULT;`
	for name, p := range keyless {
		for kind, create := range map[string]string{"plain": keylessSQL, "partitioned": parted} {
			t.Run(name+" "+kind, func(t *testing.T) {
				t.Parallel()
				b := newBed(t, create+linesSQL(20_000), p)
				ctx, cancel := context.WithCancel(b.ctx)
				first, err := backfill.Run(ctx, b.db, p, backfill.Options{Batch: 1000, Progress: func(backfill.Progress) { cancel() }})
				require.ErrorIs(t, err, context.Canceled)
				res, err := backfill.Run(b.ctx, b.db, p, backfill.Options{Batch: 1000, Workers: 2})
				require.NoError(t, err)
				require.True(t, res.Resumed && res.Done)
				require.EqualValues(t, 20_000, first.Rows+res.Rows)
				b.same(madeOf[name])
				b.verified(20_000)
				b.exec(`UPDATE users SET user_name = 'stray' WHERE user_name = 'name 17'`)
				b.exec(`INSERT INTO users (user_name, nick) VALUES ('new', 'n0'), ('new', 'n2')`)
				b.same(madeOf[name])

				m, err := switchover.Join(b.ctx, b.db, switchover.JoinOptions{Service: "test", Poll: 20e6})
				require.NoError(t, err)
				lines, err := expand.NewRepository[line](b.db, m, p)
				require.NoError(t, err)
				require.NoError(t, lines.Insert(b.ctx, &line{"Nwritten", "n1"}))
				found, err := lines.Select(b.ctx, `WHERE {full_name} = $1`, p.Arg("Nwritten"))
				require.NoError(t, err)
				require.Equal(t, []line{{"Nwritten", "n1"}}, found)
				_, err = lines.Get(b.ctx)
				require.ErrorIs(t, err, expand.ErrNoKey)
				for _, err := range []error{lines.Update(b.ctx, &found[0]), lines.UpdateColumns(b.ctx, &found[0], "full_name"), lines.Upsert(b.ctx, &found[0]), lines.Upsert(b.ctx, &found[0], "nick"), lines.Delete(b.ctx)} {
					require.ErrorIs(t, err, expand.ErrNoKey)
				}
				require.NoError(t, m.Leave(b.ctx))

				b.toContract()
				b.exec(`UPDATE users SET full_name = 'N' || nick, full_name_stamp = 83886080 + length(user_name) WHERE full_name LIKE '%9'`)
				b.revert()
				_, err = backfill.Run(b.ctx, b.db, p, backfill.Options{Reverse: true})
				require.NoError(t, err)
				b.same(madeOf[name])
				require.Positive(t, b.number(`SELECT count(*) FROM users WHERE full_name = 'Nn1'`))
				require.NoError(t, contract.Apply(b.ctx, b.db, p, contract.Restore, contract.Options{}))
			})
		}
	}
}

// Rows that somebody else moves while they are looked for are left to another round.
func TestNoKeyWhileRowsMove(t *testing.T) {
	t.Parallel()
	b := newBed(t, keylessSQL+linesSQL(30_000), keyless["rename"])
	calls := 0
	res, err := backfill.Run(b.ctx, b.db, b.pair, backfill.Options{Batch: 2000, Progress: func(backfill.Progress) {
		if calls++; calls%3 == 1 && calls < 20 { // the last rows move to the end, behind the last range
			b.exec(`UPDATE users SET nick = nick || 'x' WHERE ctid IN (SELECT ctid FROM users WHERE full_name_stamp IS NULL ORDER BY ctid DESC LIMIT 500)`)
		}
	}})
	require.NoError(t, err)
	require.EqualValues(t, 30_000, res.Rows)
	b.same(`user_name`)
	b.verified(30_000)
}

// What does not convert cannot be set aside: the rows beside it are done, the error says where it lies, and once it is mended the rest is.
func TestNoKeyBadRow(t *testing.T) {
	t.Parallel()
	p := expand.Convert(expand.Spec[string, int64]{Table: "users", Key: []string{expand.NoKey}, Old: "user_name", New: "number", Type: "bigint", ForwardSQL: `{user_name}::bigint`,
		Forward: func(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) }})
	b := newBed(t, `CREATE TABLE users (user_name text); INSERT INTO users SELECT i % 100 FROM generate_series(1, 2000) i; UPDATE users SET user_name = 'odd' WHERE ctid = '(1,3)'`, p)
	place := b.texts(`SELECT ctid::text FROM users WHERE user_name = 'odd'`)[0]
	_, err := backfill.Run(b.ctx, b.db, p, backfill.Options{})
	require.ErrorContains(t, err, `the row at `+place+` of public.users cannot be set aside`)
	require.ErrorContains(t, err, `invalid input syntax for type bigint: "odd"`)
	require.Zero(t, b.number(`SELECT count(*) FROM tandem.bad_row`))
	b.exec(`UPDATE users SET user_name = '7' WHERE user_name = 'odd'`)
	res, err := backfill.Run(b.ctx, b.db, p, backfill.Options{})
	require.NoError(t, err)
	require.True(t, res.Done)
	require.Zero(t, b.number(`SELECT count(*) FROM users WHERE number IS DISTINCT FROM user_name::bigint`))
}

// What a pair without a key cannot have is refused with the reason, by the declaration, the plan or the step.
func TestNoKeyRefused(t *testing.T) {
	t.Parallel()
	b := newBed(t, keylessSQL+linesSQL(100), keyless["rename"])
	b.exec(`CREATE TABLE keyed (a text, id int NOT NULL UNIQUE, tenant int NOT NULL, UNIQUE (tenant, id))`)
	spec := expand.Spec[string, string]{Table: "users", Key: []string{expand.NoKey}, Old: "nick", New: "loud", Type: "text", Forward: func(s string) (string, error) { return s, nil }}
	moved := spec
	moved.ForwardSQL, moved.To, moved.ToKey = `{nick}`, "keyed", []string{"id"}
	two := spec
	two.Key = []string{"user_name", expand.NoKey}
	for says, p := range map[string]expand.Any{
		"that only Go converts could not be found again":                                             expand.Convert(spec),
		"nothing says which row of keyed belongs to a row":                                           expand.Convert(moved),
		"NoKey stands alone":                                                                         expand.Convert(two),
		"declared with NoKey, and the smallest unique index of NOT NULL columns is (id)":             expand.Rename[string]("keyed", "a", "b", expand.NoKey),
		"declared with key (tenant), the smallest unique index of NOT NULL columns is (id): name it": expand.Rename[string]("keyed", "a", "b", "tenant"),
		"has no primary key, and no unique index of NOT NULL columns":                                expand.Rename[string]("users", "nick", "loud", "user_name"),
	} {
		_, err := expand.Plan(b.ctx, b.db, p)
		require.ErrorContains(t, err, says)
	}
	_, err := backfill.Repair(b.ctx, b.db, b.pair)
	require.ErrorIs(t, err, expand.ErrNoKey)
	b.run()
	b.verified(100)
	require.NoError(t, expand.ApplyTwins(b.ctx, b.db, b.pair, expand.Options{}))
	canary := switchover.Options{Quiet: switchover.None, Soak: switchover.None, Canary: switchover.Canary{Share: 0.5}}
	require.ErrorContains(t, switchover.Advance(b.ctx, b.db, b.pair.Name(), switchover.Switch, canary), "no keys to share out")
	b.advance(b.pair, switchover.Switch)
	require.ErrorIs(t, switchover.SetCanary(b.ctx, b.db, b.pair.Name(), switchover.Canary{Share: 0.5}, switchover.Options{}), switchover.ErrStep)
}
