package backfill_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/expand"
)

// keyCase is a table whose rows are told apart in one way: its columns, what makes a key of them, and the key of row i.
type keyCase struct {
	before, columns, unique string
	values                  string
	key                     []string
}

const looseCollation = `CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`

var everyKey = map[string]keyCase{
	"int":              {columns: `id int`, unique: `PRIMARY KEY (id)`, values: `i - 125`, key: []string{"id"}},
	"bigint":           {columns: `id bigint`, unique: `PRIMARY KEY (id)`, values: `(i - 125) * 10000000000`, key: []string{"id"}},
	"identity":         {columns: `id bigint GENERATED ALWAYS AS IDENTITY`, unique: `PRIMARY KEY (id)`, key: []string{"id"}},
	"uuid":             {columns: `id uuid`, unique: `PRIMARY KEY (id)`, values: `md5(i::text)::uuid`, key: []string{"id"}},
	"text ICU":         {columns: `id text COLLATE "de-x-icu"`, unique: `PRIMARY KEY (id)`, values: letters, key: []string{"id"}},
	"text C":           {columns: `id text COLLATE "C"`, unique: `PRIMARY KEY (id)`, values: letters, key: []string{"id"}},
	"text loose":       {before: looseCollation, columns: `id text COLLATE loose`, unique: `PRIMARY KEY (id)`, values: letters, key: []string{"id"}},
	"timestamptz":      {columns: `at timestamptz`, unique: `PRIMARY KEY (at)`, values: `timestamptz '2024-02-29 12:00+00' + (i - 125) * interval '13 h 1 us'`, key: []string{"at"}},
	"timestamp":        {columns: `at timestamp`, unique: `PRIMARY KEY (at)`, values: `timestamp '2024-02-29 12:00' + (i - 125) * interval '13 h 1 us'`, key: []string{"at"}},
	"mixed":            {columns: `a int, b text COLLATE "en-x-icu", c timestamptz`, unique: `PRIMARY KEY (a, b, c)`, values: `i % 3, 'x' || i % 7, timestamptz '2024-01-01 00:00+00' + i * interval '1 h'`, key: []string{"a", "b", "c"}},
	"another order":    {columns: `a int, b text`, unique: `PRIMARY KEY (a, b)`, values: `i % 5, 'x' || i`, key: []string{"b", "a"}},
	"unique":           {columns: `id bigint NOT NULL`, unique: `UNIQUE (id)`, values: `i * 3`, key: []string{"id"}},
	"descending":       {columns: `id bigint NOT NULL`, unique: `-INDEX ON users (id DESC)`, values: `i * 3`, key: []string{"id"}},
	"partly":           {columns: `a int NOT NULL, b text NOT NULL`, unique: `-INDEX ON users (a DESC, b)`, values: `i % 5, 'x' || i`, key: []string{"a", "b"}},
	"partly nulls":     {columns: `a int NOT NULL, b text NOT NULL, c int NOT NULL`, unique: `-INDEX ON users (a NULLS FIRST, b DESC, c)`, values: `i % 5, 'x' || i % 9, i`, key: []string{"c", "a", "b"}},
	"replica identity": {columns: `a int NOT NULL, b int NOT NULL`, unique: `-INDEX mine ON users (a DESC, b) INCLUDE (nick); ALTER TABLE users REPLICA IDENTITY USING INDEX mine`, values: `i % 5, i`, key: []string{"a", "b"}},
	"beside another":   {columns: `id bigint PRIMARY KEY, no int NOT NULL`, unique: `UNIQUE (no)`, values: `i, -i`, key: []string{"no"}},
}

const letters = `(ARRAY['Ä', 'a', 'B', '_', '-', 'É', 'é', 'ß'])[i % 8 + 1] || md5(i::text)`

func (c keyCase) sql() string {
	table, also := c.columns+`, user_name text, nick text`, ""
	if index, ok := strings.CutPrefix(c.unique, "-"); ok {
		also = `CREATE UNIQUE ` + index + `;`
	} else {
		table += ", " + c.unique
	}
	into, values := "", c.values
	if values == "" {
		into = ` (user_name, nick)`
	} else {
		values += ", "
	}
	// nick is no number in row 30 and in row 200
	return fmt.Sprintf(`%s; CREATE TABLE users (%s); %s INSERT INTO users%s SELECT %s'name ' || i, CASE WHEN i IN (30, 200) THEN 'x' ELSE '' END || i FROM generate_series(1, 250) i`,
		c.before, table, also, into, values)
}

// number is a pair that only Go converts, and not every row of.
func (c keyCase) number() expand.Any {
	return expand.Convert(expand.Spec[string, int64]{Table: "users", Key: c.key, Old: "nick", New: "number", Type: "bigint",
		Forward: func(s string) (int64, error) {
			n, err := strconv.ParseInt(s, 10, 64)
			return n, errors.Join(err)
		}, Backward: func(n int64) (string, error) { return strconv.FormatInt(n, 10), nil }})
}

// Whatever tells rows apart: a copy is resumed where it was, in small windows and by blocks, bad rows are listed and mended, strays are swept, all of it is compared, and brought back.
func TestEveryKindOfKey(t *testing.T) {
	t.Parallel()
	for name, c := range everyKey {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, c.sql(), expand.Rename[string]("users", "user_name", "full_name", c.key...))
			b.resumed()
			b.same(`user_name`)
			b.verified(250)
			b.exec(`UPDATE users SET full_name_stamp = NULL`)
			res, err := backfill.Run(b.ctx, b.db, b.pair, backfill.Options{Stripes: 4, Target: 10e9, Batch: 10})
			require.NoError(t, err)
			require.EqualValues(t, 250, res.Rows)

			number := c.number()
			b.migrate(number)
			res, err = backfill.Run(b.ctx, b.db, number, backfill.Options{Batch: 25, Stripes: 1, Target: 10e9})
			require.NoError(t, err)
			require.EqualValues(t, 248, res.Rows)
			require.EqualValues(t, 2, res.BadRows)
			require.Equal(t, 2, b.number(`SELECT count(*) FROM users WHERE number_stamp IS NULL AND nick LIKE 'x%'`))
			b.exec(`UPDATE users SET nick = '7' WHERE nick LIKE '%9'`) // as a stray
			b.exec(`UPDATE users SET nick = substr(nick, 2) WHERE nick = 'x30'`)
			swept, err := backfill.Sweep(b.ctx, b.db, number)
			require.NoError(t, err)
			require.EqualValues(t, 26, swept)
			res, err = backfill.Run(b.ctx, b.db, number, backfill.Options{})
			require.NoError(t, err)
			require.EqualValues(t, 1, res.BadRows)
			require.Equal(t, []string{"x200"}, b.texts(`SELECT nick FROM users WHERE number IS DISTINCT FROM CASE WHEN nick NOT LIKE 'x%' THEN nick::int END OR number_stamp IS NULL`))
			report, err := backfill.Verify(b.ctx, b.db, number, backfill.VerifyOptions{Batch: 10, Target: 10e9})
			require.NoError(t, err)
			require.EqualValues(t, 1, report.Differences)
			require.Equal(t, []string{strings.Join(report.Keys[0], ",")}, b.texts(`SELECT array_to_string(key, ',') FROM tandem.bad_row`))

			b.toContract()
			b.exec(`UPDATE users SET full_name = 'after ' || nick, full_name_stamp = 83886080 + length(nick)`) // as wrappers of Contract do
			b.revert()
			_, err = b.reverse(b.ctx, backfill.Options{})
			require.NoError(t, err)
			b.same(`user_name`)
			require.Zero(t, b.number(`SELECT count(*) FROM users WHERE full_name NOT LIKE 'after%' OR full_name_stamp >= 83886080`))
		})
	}
}

// resumed runs the pair, is stopped after the second statement, and goes on.
func (b *bed) resumed() {
	b.Helper()
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	calls := 0
	first, err := backfill.Run(ctx, b.db, b.pair, backfill.Options{Batch: 40, Stripes: 1, Target: 10e9, Progress: func(backfill.Progress) {
		if calls++; calls == 2 {
			cancel()
		}
	}})
	require.ErrorIs(b, err, context.Canceled)
	require.EqualValues(b, 80, first.Rows)
	second := b.run()
	require.True(b, second.Resumed)
	require.EqualValues(b, 250, first.Rows+second.Rows)
	require.Equal(b, 1, b.number(`SELECT count(*) FROM tandem.backfill WHERE kind = 'copy' AND rows = 250 AND round = 0`), "nothing is left to a second round")
}

// Windows enter the index where they begin, whichever way its columns go: no window reads the table or sorts it.
func TestWindowsByTheIndex(t *testing.T) {
	t.Parallel()
	for name, index := range map[string]string{"up": `(a, b)`, "down": `(a DESC, b DESC)`, "another order": `(b, a)`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			create := `CREATE TABLE users (a int NOT NULL, b text NOT NULL, user_name text); INSERT INTO users SELECT i % 10, 'x' || i, 'name ' || i FROM generate_series(1, 20000) i;
				CREATE UNIQUE INDEX ON users ` + index + `; ANALYZE users`
			b := newBed(t, create, expand.Rename[string]("users", "user_name", "full_name", "a", "b"))
			b.exec(`VACUUM ANALYZE users`)
			before := b.read()
			res, err := backfill.Run(b.ctx, b.db, b.pair, backfill.Options{Batch: 200, Stripes: 1, Target: 10e9})
			require.NoError(t, err)
			require.EqualValues(t, 20_000, res.Rows)
			require.Less(t, b.read()-before, 20_000*8, "of 100 windows")
		})
	}
}

// read is how many rows scans of the table and of its indexes have returned.
func (b *bed) read() (n int) {
	b.Helper()
	b.exec(`SELECT pg_stat_force_next_flush()`)
	return b.number(`SELECT coalesce(sum(seq_tup_read), 0) FROM pg_stat_user_tables WHERE relname = 'users'`) +
		b.number(`SELECT coalesce(sum(idx_tup_read), 0) FROM pg_stat_user_indexes WHERE relname = 'users'`)
}
