package backfill_test

import (
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
	require.Equal(t, backfill.Result{Rows: 23, Resumed: true, Took: res.Took}, res)
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

// A value too long for new is refused, never cut.
func TestTooLongForNew(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL(250)+`; UPDATE users SET user_name = 'name 200 is too long' WHERE id = 200`, expand.Convert(expand.Spec[string, string]{
		Table: "users", Old: "user_name", New: "full_name", Type: "varchar(8)", Forward: func(s string) (string, error) { return s, nil }}))
	_, err := backfill.Run(t.Context(), b.db, b.pair, backfill.Options{Window: 100, Stripes: 2})
	require.ErrorContains(t, err, "22001")
	require.Equal(t, []string{"-"}, b.texts(`SELECT coalesce(full_name, '-') FROM users WHERE id = 200`))
	b.exec(`UPDATE users SET user_name = 'name 200' WHERE id = 200`)
	b.run()
	b.same(`user_name`)
}

// What PostgreSQL refuses, a bad row too: an expression that fails, a value that does not fit. The rest goes on.
func TestServerRefusesARow(t *testing.T) {
	t.Parallel()
	t.Skip("not so yet: Run stops at such a row instead of finding it by halving the statement")
	spec := expand.Spec[string, string]{Table: "users", Old: "user_name", New: "full_name", Type: "varchar(8)",
		Forward: func(s string) (string, error) { return s, nil }}
	inSQL := spec
	inSQL.ForwardSQL = `(1 / (length({user_name}) - 20))::text || {user_name}`
	for name, s := range map[string]expand.Spec[string, string]{"go": spec, "sql": inSQL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, usersSQL(250)+`; UPDATE users SET user_name = 'name 200 is too long' WHERE id = 200`, expand.Convert(s))
			require.EqualValues(t, 1, b.run().BadRows)
			require.Equal(t, []string{"200"}, b.texts(badKeys))
		})
	}
}
