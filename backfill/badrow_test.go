package backfill_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/switchover"
)

func (b *bed) badRows(o backfill.BadRowsOptions) []backfill.BadRow {
	b.Helper()
	rows, err := backfill.BadRows(b.ctx, b.db, b.pair, o)
	require.NoError(b, err)
	return rows
}

// badKeysOf are the keys of rows, each joined.
func badKeysOf(rows []backfill.BadRow) []string {
	out := []string{}
	for _, r := range rows {
		out = append(out, strings.Join(r.Key, ","))
	}
	return out
}

func TestBadRowsPageByPage(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL(60), cents) // no name is a number
	require.EqualValues(t, 60, b.run().BadRows)
	all := b.badRows(backfill.BadRowsOptions{})
	require.Len(t, all, 60)
	require.Contains(t, all[0].Error, `parsing "name 1"`)
	require.False(t, all[0].At.IsZero())
	var paged []backfill.BadRow
	for o := (backfill.BadRowsOptions{Limit: 7}); ; {
		page := b.badRows(o)
		if len(page) == 0 {
			break
		}
		require.LessOrEqual(t, len(page), 7)
		paged, o.After = append(paged, page...), page[len(page)-1].Key
		b.exec(`DELETE FROM tandem.bad_row WHERE key = $1::text[]`, "{"+strings.Join(o.After, ",")+"}") // what goes meanwhile moves no page
	}
	require.Equal(t, all, paged)
	for _, o := range []backfill.BadRowsOptions{{Limit: -1}, {Limit: 10_001}, {Open: true, Accepted: true}} {
		_, err := backfill.BadRows(b.ctx, b.db, b.pair, o)
		require.ErrorContains(t, err, "bad rows of users.cents: options: ")
	}
	_, err := backfill.BadRows(b.ctx, b.db, fullName, backfill.BadRowsOptions{})
	require.ErrorIs(t, err, switchover.ErrUnknown)
}

// What the server refused, a constraint of new's, it takes once the constraint has gone: of every kind of pair, in both directions.
func TestRetryBadRows(t *testing.T) {
	t.Parallel()
	const refuse = ` ADD CONSTRAINT no CHECK (%s NOT LIKE '%%7') NOT VALID`
	reversed := func(b *bed) {
		b.toContract()
		b.exec(`UPDATE users SET full_name = 'new ' || id, full_name_stamp = 83886080 + id`)
		b.revert()
	}
	for name, c := range map[string]struct {
		create, table, column string
		p                     expand.Any
		before                func(b *bed)
		left                  string // counts rows that are not done
	}{
		"go":             {usersSQL(40), "users", "full_name", shout, nil, unstamped},
		"sql":            {usersSQL(40), "users", "full_name", fullName, nil, unstamped},
		"set in go":      {usersSQL(40), "users", "encode(raw, 'escape')", tokens(false), nil, `SELECT count(*) FROM users WHERE name_stamp IS NULL`},
		"set in sql":     {usersSQL(40), "users", "encode(raw, 'escape')", tokens(true), nil, `SELECT count(*) FROM users WHERE name_stamp IS NULL`},
		"moved":          {bioSQL(40), "profiles", "bio", bio, nil, unmoved},
		"replaced":       {thingsSQL(40), "things_v2", "name", things, nil, elsewhere},
		"reverse in go":  {usersSQL(40), "users", "user_name", goOnly(func(s string) (string, error) { return strings.ToLower(s), nil }), reversed, `SELECT count(*) FROM users WHERE full_name_stamp >= 83886080`},
		"reverse in sql": {usersSQL(40), "users", "user_name", fullName, reversed, `SELECT count(*) FROM users WHERE full_name_stamp >= 83886080`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, c.create, c.p)
			if c.before != nil {
				c.before(b)
			}
			b.exec("ALTER TABLE " + c.table + strings.NewReplacer("%s", c.column, "%%", "%").Replace(refuse))
			_, err := backfill.Run(b.ctx, b.db, c.p, backfill.Options{Reverse: c.before != nil})
			require.NoError(t, err)
			require.Equal(t, []string{"17", "27", "37", "7"}, badKeysOf(b.badRows(backfill.BadRowsOptions{})))
			require.Equal(t, 4, b.number(c.left))

			b.exec(`UPDATE tandem.bad_row SET error = 'of before'`)
			done, err := backfill.RetryBadRows(b.ctx, b.db, c.p, backfill.RetryOptions{All: true})
			require.NoError(t, err)
			require.Zero(t, done.Mended+done.Gone)
			require.Equal(t, []string{"17", "27", "37", "7"}, badKeysOf(done.Bad))
			require.Contains(t, done.Bad[0].Error, `"no"`, "the error is that of this try")

			_, err = backfill.RetryBadRows(b.ctx, b.db, c.p, backfill.RetryOptions{Keys: [][]string{{"7"}, {"8"}, {"x"}}})
			require.ErrorIs(t, err, backfill.ErrNoBadRow)
			require.ErrorContains(t, err, "keys [8], [x]: ")

			b.exec("ALTER TABLE " + c.table + " DROP CONSTRAINT no")
			done, err = backfill.RetryBadRows(b.ctx, b.db, c.p, backfill.RetryOptions{Keys: [][]string{{"7"}, {"27"}, {"7"}}})
			require.NoError(t, err)
			require.Equal(t, backfill.Retried{Mended: 2}, done)
			require.Equal(t, 2, b.number(c.left))
			require.Equal(t, []string{"17", "37"}, badKeysOf(b.badRows(backfill.BadRowsOptions{})))
			done, err = backfill.RetryBadRows(b.ctx, b.db, c.p, backfill.RetryOptions{All: true})
			require.NoError(t, err)
			require.Equal(t, backfill.Retried{Mended: 2}, done)
			require.Zero(t, b.number(c.left))
			require.Empty(t, b.badRows(backfill.BadRowsOptions{}))
		})
	}
}

// One is mended by a write, one has gone, one converts now, one does not.
func TestRetryTellsApart(t *testing.T) {
	t.Parallel()
	broken := true
	p := goOnly(func(s string) (string, error) {
		if s == "odd" || broken && strings.HasSuffix(s, "5") {
			return "", errOdd
		}
		return strings.ToUpper(s), nil
	})
	b := newBed(t, usersSQL(50)+`; UPDATE users SET user_name = 'odd' WHERE id = 1`, p)
	require.EqualValues(t, 6, b.run().BadRows)
	b.exec(`UPDATE users SET full_name = 'X', user_name = 'x', full_name_stamp = 67108865 WHERE id = 5`)
	b.exec(`DELETE FROM users WHERE id = 15`)
	broken = false
	done, err := backfill.RetryBadRows(b.ctx, b.db, p, backfill.RetryOptions{All: true})
	require.NoError(t, err)
	require.EqualValues(t, 3, done.Mended)
	require.EqualValues(t, 2, done.Gone)
	require.Equal(t, []string{"1"}, badKeysOf(done.Bad))
	require.Equal(t, []string{"X", "NAME 25"}, b.texts(`SELECT full_name FROM users WHERE id IN (5, 25) ORDER BY id`))
	for _, o := range []backfill.RetryOptions{{}, {All: true, Keys: [][]string{{"1"}}}} {
		_, err = backfill.RetryBadRows(b.ctx, b.db, p, o)
		require.ErrorContains(t, err, "retry bad rows of users.full_name: options: name keys, or set All")
	}
	_, err = backfill.RetryBadRows(b.ctx, b.db, p, backfill.RetryOptions{Keys: [][]string{{"1", "2"}}})
	require.ErrorIs(t, err, backfill.ErrNoBadRow)
}
