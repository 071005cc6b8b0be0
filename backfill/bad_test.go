package backfill_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/expand"
)

// A forward that fails for some rows and panics for others; the application then mends itself, or the rows.
func TestBadRows(t *testing.T) {
	t.Parallel()
	mended := false
	p := goOnly(func(s string) (string, error) {
		switch {
		case mended:
		case strings.HasSuffix(s, "3"):
			return "", errOdd
		case s == "name 50":
			panic("no such name")
		}
		return strings.ToUpper(s), nil
	})
	b := newBed(t, usersSQL(250), p)
	for range 2 {
		res := b.run()
		require.EqualValues(t, 26, res.BadRows)
		require.Equal(t, 26, b.number(unstamped))
		require.Len(t, b.texts(badKeys), 26)
		require.Equal(t, []string{"users.full_name: forward of name 13: odd value"}, b.texts(`SELECT error FROM tandem.bad_row WHERE key = '{13}'`))
		require.Equal(t, []string{"the conversion panicked: no such name"}, b.texts(`SELECT error FROM tandem.bad_row WHERE key = '{50}'`))
		require.Equal(t, 1, b.number(`SELECT count(finished_at) FROM tandem.backfill`), "the rest is done")
	}
	require.Zero(t, b.number(`SELECT count(*) FROM users WHERE full_name_stamp IS NOT NULL AND full_name <> upper(user_name)`))

	// a wrapper mends one, a stray another, and one goes
	b.exec(`UPDATE users SET user_name = 'x', full_name = 'X', full_name_stamp = 50331649 WHERE id = 3`)
	b.exec(`UPDATE users SET user_name = 'name 4' WHERE id = 13`)
	b.exec(`DELETE FROM users WHERE id = 23`)
	require.EqualValues(t, 23, b.run().BadRows)
	require.Equal(t, []string{"NAME 4"}, b.texts(`SELECT full_name FROM users WHERE id = 13`))

	mended = true
	res := b.run()
	require.Equal(t, backfill.Result{Rows: 23, Done: true, Took: res.Took}, res)
	require.Equal(t, []string{}, b.texts(badKeys))
	require.Zero(t, b.number(unstamped))
}

// NULL is no int64, and text is no number; a composite key is told in full.
func TestNullIsABadRow(t *testing.T) {
	t.Parallel()
	p := expand.Convert(expand.Spec[int64, int64]{Table: "items", Key: []string{"shop", "id"}, Old: "price", New: "cents",
		Forward: func(n int64) (int64, error) { return n * 100, nil }})
	b := newBed(t, `CREATE TABLE items (shop text, id int, price bigint, PRIMARY KEY (shop, id));
		INSERT INTO items VALUES ('a', 1, 5), ('a', 2, NULL), ('b, "c"', 1, NULL)`, p)
	res := b.run()
	require.EqualValues(t, 1, res.Rows)
	require.EqualValues(t, 2, res.BadRows)
	require.Equal(t, []string{`{"b, \"c\"",1}`, `{a,2}`}, b.texts(`SELECT key::text FROM tandem.bad_row ORDER BY key::text COLLATE "C"`))
	for _, text := range b.texts(`SELECT error FROM tandem.bad_row`) {
		require.Contains(t, text, expand.ErrNull.Error())
	}
	b.exec(`UPDATE items SET price = 1 WHERE price IS NULL`)
	require.EqualValues(t, 2, b.run().Rows)
	require.Equal(t, []string{"500", "100", "100"}, b.texts(`SELECT cents FROM items ORDER BY shop, id`))
	require.Equal(t, []string{}, b.texts(badKeys))
}

// refusing are pairs whose values the server does not take: too long for new, and in SQL also a division by zero.
func refusing() map[string]*expand.Pair[string, string] {
	spec := expand.Spec[string, string]{Table: "users", Old: "user_name", New: "full_name", Type: "varchar(8)",
		Forward: func(s string) (string, error) { return s, nil }}
	inSQL := spec
	inSQL.Forward = func(s string) (string, error) { return "0" + s, nil }
	inSQL.ForwardSQL = `(1 / (length({user_name}) - 20))::text || {user_name}`
	cut := spec
	cut.ForwardSQL = `{user_name}`
	return map[string]*expand.Pair[string, string]{"go": expand.Convert(spec), "sql": expand.Convert(inSQL), "too long in sql": expand.Convert(cut)}
}

// What the server refuses is a bad row too, found by halving the statement; a value is never cut. The rest goes on.
func TestServerRefusesRows(t *testing.T) {
	t.Parallel()
	for name, p := range refusing() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, strings.ReplaceAll(usersSQL(250), "'name '", "'n'")+`; UPDATE users SET user_name = 'name 200 is too long' WHERE id IN (7, 9, 200)`, p)
			for range 2 {
				require.EqualValues(t, 3, b.run().BadRows)
				require.Equal(t, []string{"200", "7", "9"}, b.texts(badKeys))
				require.Equal(t, 3, b.number(unstamped))
			}
			require.Equal(t, 3, b.number(`SELECT count(*) FROM tandem.bad_row WHERE error ~ 'too long|division'`))
			b.exec(`DELETE FROM users WHERE id = 7`)
			b.exec(`UPDATE users SET user_name = 'short' WHERE id = 9`)
			require.EqualValues(t, 1, b.run().BadRows)
		})
	}
}

// When it is not the rows that are wrong, a run does not go through them one by one.
func TestTooManyBadRows(t *testing.T) {
	t.Parallel()
	for name, p := range refusing() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, usersSQL(250)+`; UPDATE users SET user_name = 'name 200 is too long'`, p)
			_, err := backfill.Run(t.Context(), b.db, b.pair, backfill.Options{Batch: 50, Stripes: 1, Target: 10e9, BadRows: 20})
			require.ErrorIs(t, err, backfill.ErrBadRows)
			require.Equal(t, 21, b.number(`SELECT count(*) FROM tandem.bad_row`))
		})
	}
	_, err := backfill.Run(t.Context(), nil, fullName, backfill.Options{BadRows: -1})
	require.ErrorContains(t, err, "bad rows")
}

// The sweeper sets the refused row aside and converts the others.
func TestSweepRefusedRow(t *testing.T) {
	t.Parallel()
	b := newBed(t, strings.ReplaceAll(usersSQL(250), "'name '", "'n'"), refusing()["go"])
	b.run()
	b.exec(`UPDATE users SET user_name = CASE WHEN id IN (33, 34) THEN 'much too long' ELSE 'm' || id END`)
	require.EqualValues(t, 250, b.sweep())
	require.Equal(t, []string{"33", "34"}, b.texts(badKeys))
	require.Equal(t, 2, b.number(unstamped))
	require.Zero(t, b.number(dirtyRows))
}

// The text of a conversion's error may hold anything.
func TestErrorThatIsNoText(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL(10), goOnly(func(s string) (string, error) { return s, errors.New("bad \x00\xff value") }))
	require.EqualValues(t, 10, b.run().BadRows)
	require.Equal(t, []string{"users.full_name: forward of name 1: bad \uFFFD\uFFFD value"}, b.texts(`SELECT error FROM tandem.bad_row WHERE key = '{1}'`))
}
