package backfill_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/expand"
)

// Every kind of key, with rows enough for several windows, and both ways to convert.
func TestRunByAnyKey(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		columns []string
		types   []string
		values  string // of the row i
	}{
		{"bigint", []string{"id"}, []string{"bigint"}, `(i - 125) * (i % 7 + 1) * 1000 + i`},
		{"smallint", []string{"id"}, []string{"smallint"}, `i - 125`},
		{"uuid", []string{"id"}, []string{"uuid"}, `md5(i::text)::uuid`},
		{"text", []string{"name of it"}, []string{`text COLLATE "en-x-icu"`}, `(ARRAY['Ä', 'a', 'B', '_', '-', 'É', 'é'])[i % 7 + 1] || md5(i::text)`},
		{"char", []string{"id"}, []string{"char(9)"}, `chr(65 + i % 26) || i`},
		{"numeric", []string{"id"}, []string{"numeric"}, `(i - 125) / 7.0`},
		{"composite", []string{"Tenant", "no"}, []string{`text COLLATE "en-x-icu"`, "int"}, `(ARRAY['b', 'B', 'a', 'ä'])[i % 4 + 1], i / 4 - 30`},
		{"composite by text", []string{"no", `of "all"`}, []string{"int", "text"}, `i % 3, md5(i::text)`},
		{"timestamptz", []string{"at"}, []string{"timestamptz"}, `timestamptz '0001-01-01 00:00+00' + (i - 125) * interval '77 days 1 microsecond'`},
		{"date with a comma", []string{"from, to"}, []string{"date"}, `date '2024-01-01' + i`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var columns, names []string
			for i, name := range c.columns {
				quoted := `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
				columns, names = append(columns, quoted+" "+c.types[i]), append(names, quoted)
			}
			create := `CREATE TABLE users (` + strings.Join(columns, ", ") + `, user_name text, nick text, PRIMARY KEY (` + strings.Join(names, ", ") + `));
				INSERT INTO users SELECT ` + c.values + `, 'name ' || i, 'nick ' || i FROM generate_series(1, 250) i`
			b := newBed(t, create, expand.Rename[string]("users", "user_name", "full_name", c.columns...))
			byKey := b.run()
			require.EqualValues(t, 250, byKey.Rows)
			b.same(`user_name`)
			b.verified(250)

			inGo := expand.Convert(expand.Spec[string, string]{Table: "users", Key: c.columns, Old: "nick", New: "loud_name",
				Forward: func(s string) (string, error) { return strings.ToUpper(s), nil }})
			b.migrate(inGo)
			for _, rows := range []int{250, 0} {
				res, err := backfill.Run(t.Context(), b.db, inGo, backfill.Options{Batch: 25, Stripes: 1, Target: 10e9})
				require.NoError(t, err)
				require.EqualValues(t, rows, res.Rows)
			}
			require.Zero(t, b.number(`SELECT count(*) FROM users WHERE loud_name IS DISTINCT FROM upper(nick) OR loud_name_stamp IS NULL`))
			report, err := backfill.Verify(t.Context(), b.db, inGo, backfill.VerifyOptions{Batch: 100, Target: 10e9})
			require.NoError(t, err)
			require.Equal(t, backfill.Report{Rows: 250}, report)
		})
	}
}

// same wants every row stamped and full_name to be that expression.
func (b *bed) same(forward string) {
	b.Helper()
	require.Zero(b, b.number(`SELECT count(*) FROM users WHERE full_name IS DISTINCT FROM (`+forward+`) OR full_name_stamp IS NULL`))
}

func TestRunAgainWritesNothing(t *testing.T) {
	t.Parallel()
	for _, p := range []expand.Any{fullName, shout} {
		b := newBed(t, usersSQL(250), p)
		require.EqualValues(t, 250, b.run().Rows)
		before := b.texts(`SELECT ctid::text || xmin FROM users ORDER BY id`)
		res := b.run()
		require.Zero(t, res.Rows)
		require.True(t, res.Done)
		require.False(t, res.Resumed)
		require.Equal(t, before, b.texts(`SELECT ctid::text || xmin FROM users ORDER BY id`))
	}
}

func TestRunOfEmptyTable(t *testing.T) {
	t.Parallel()
	for _, p := range []expand.Any{fullName, shout} {
		b := newBed(t, usersSQL(0), p)
		var last backfill.Progress
		res, err := backfill.Run(t.Context(), b.db, p, backfill.Options{Progress: func(p backfill.Progress) { last = p }})
		require.NoError(t, err)
		require.Zero(t, res.Rows)
		require.False(t, res.Resumed)
		require.Equal(t, backfill.Progress{Done: true}, last)
		require.InDelta(t, 1, last.Fraction(), 0)
		b.verified(0)
		// what comes later is not for the backfill
		b.exec(`INSERT INTO users VALUES (1, 'later')`)
	}
}

// A row of all stamps has the phase of the run.
func TestStampSaysThePhase(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL(10), fullName)
	b.run()
	require.Equal(t, []string{"3"}, b.texts(`SELECT DISTINCT full_name_stamp >> 24 FROM users`))
}

// Every row is in one of the stripes, however many there are.
func TestRunManyStripes(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL(1000), fullName)
	for _, stripes := range []int{64, 2} {
		b.exec(`UPDATE users SET full_name_stamp = NULL`)
		calls := 0
		res, err := backfill.Run(t.Context(), b.db, b.pair, backfill.Options{Target: 10e9, Stripes: stripes, Progress: func(backfill.Progress) { calls++ }})
		require.NoError(t, err)
		require.EqualValues(t, 1000, res.Rows)
		require.GreaterOrEqual(t, calls, stripes+1)
		b.same(`user_name`)
	}
}
