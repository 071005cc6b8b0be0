package backfill_test

import (
	"database/sql"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/switchover"
)

// around writes with the guard out of force.
func (b *bed) around(queries ...string) {
	b.Helper()
	table := b.pair.Definition().Table.SQL()
	b.exec(`ALTER TABLE ` + table + ` DISABLE TRIGGER USER`)
	for _, q := range queries {
		b.exec(q)
	}
	for _, name := range b.texts(`SELECT quote_ident(tgname) FROM pg_trigger WHERE NOT tgisinternal AND tgrelid = $1::regclass`, table) {
		b.exec(`ALTER TABLE ` + table + ` ENABLE ALWAYS TRIGGER ` + name)
	}
}

// differ wants exactly these keys, in the report, in tandem.mismatch and in the gate to Switch.
func (b *bed) differ(rows int, keys ...string) {
	b.Helper()
	report, err := backfill.Verify(b.ctx, b.db, b.pair, backfill.VerifyOptions{Batch: 100, Target: 10e9})
	require.NoError(b, err)
	found := []string{}
	for _, k := range report.Keys {
		found = append(found, strings.Join(k, ","))
	}
	require.ElementsMatch(b, keys, found)
	require.EqualValues(b, len(keys), report.Differences)
	require.EqualValues(b, rows, report.Rows)
	require.ElementsMatch(b, keys, b.texts(`SELECT array_to_string(key, ',') FROM tandem.mismatch WHERE source = 'verify'`))
	gates, err := switchover.Gates(b.ctx, b.db, b.pair.Name(), switchover.Switch, switchover.Options{Quiet: switchover.None})
	require.NoError(b, err)
	verify := ""
	for _, g := range gates {
		if g.Name == "verify" {
			verify = g.Missing
		}
	}
	require.Equal(b, len(keys) > 0, verify != "", verify)
}

// Each kind of difference, one after the other, on a rename of a column that may be NULL.
func TestVerifyFindsDifferences(t *testing.T) {
	t.Parallel()
	same := func(v sql.Null[string]) (sql.Null[string], error) { return v, nil }
	for name, p := range map[string]expand.Any{
		"sql": expand.Rename[sql.Null[string]]("users", "user_name", "full_name"),
		"go":  expand.Convert(expand.Spec[sql.Null[string], sql.Null[string]]{Table: "users", Old: "user_name", New: "full_name", Forward: same}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, usersSQL(250)+`; UPDATE users SET user_name = NULL WHERE id IN (4, 5)`, p)
			b.run()
			b.differ(250)
			b.around(
				`UPDATE users SET full_name = 'x' WHERE id = 1`,
				`UPDATE users SET user_name = 'x' WHERE id = 2`,
				`UPDATE users SET full_name = NULL WHERE id = 3`,
				`UPDATE users SET full_name = '' WHERE id = 4`,
				`UPDATE users SET full_name_stamp = NULL WHERE id = 6`,
				`UPDATE users SET full_name = full_name || ' ' WHERE id = 7`,
				`INSERT INTO users VALUES (300, 'unguarded')`)
			b.differ(251, "1", "2", "3", "4", "6", "7", "300")
			b.around(`UPDATE users SET full_name = user_name, full_name_stamp = 50331649 WHERE id <> 7`)
			b.differ(251, "7")
			// old is stale where Contract wrote
			b.around(`UPDATE users SET full_name_stamp = 83886081 WHERE id = 7`)
			b.differ(251)
		})
	}
}

// An equality that a collation or a type is generous with is a difference all the same.
func TestVerifyComparesImages(t *testing.T) {
	t.Parallel()
	b := newBed(t, `CREATE TABLE items (id int PRIMARY KEY, a numeric); INSERT INTO items VALUES (1, 1.0), (2, 2.0), (3, 'NaN')`,
		expand.Rename[string]("items", "a", "b"))
	b.run()
	b.differ(3)
	b.around(`UPDATE items SET b = 1.00 WHERE id = 1`)
	b.differ(3, "1")
}

// With BackwardSQL a new value that old cannot give back differs. That old is spelled otherwise than backward would does not matter.
func TestVerifyBothDirections(t *testing.T) {
	t.Parallel()
	spec := expand.Spec[string, int64]{Table: "users", Old: "user_name", New: "cents", Type: "bigint", Forward: func(s string) (int64, error) { return strconv.ParseInt(strings.TrimSpace(s), 10, 64) },
		ForwardSQL: "{user_name}::bigint", BackwardSQL: "left({cents}::text, 6)"}
	b := newBed(t, numbersSQL(250), expand.Convert(spec))
	b.run()
	b.differ(250)
	b.exec(`UPDATE users SET user_name = ' 00700' WHERE id = 7`) // a stray, repaired
	b.differ(250)
	b.exec(`UPDATE users SET user_name = '1234567' WHERE id = 8`)
	b.differ(250, "8")
	b.around(`UPDATE users SET user_name = NULL WHERE id = 7`)
	b.differ(250, "7", "8")
}

// In Go a value that does not convert differs, and so does one whose conversion panics.
func TestVerifyOfValuesThatDoNotConvert(t *testing.T) {
	t.Parallel()
	p := goOnly(func(s string) (string, error) {
		switch s {
		case "bad":
			return "", errOdd
		case "worse":
			panic("worse")
		}
		return s, nil
	})
	b := newBed(t, usersSQL(150), p)
	b.run()
	b.around(`UPDATE users SET user_name = 'bad' WHERE id = 1`, `UPDATE users SET user_name = NULL WHERE id = 2`,
		`UPDATE users SET full_name = NULL WHERE id = 3`, `UPDATE users SET user_name = 'worse' WHERE id = 120`)
	b.differ(150, "1", "2", "3", "120")
}

// Of very many differences all are counted, and the first thousand kept.
func TestVerifyKeepsAThousand(t *testing.T) {
	t.Parallel()
	for name, p := range childPairs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, usersSQL(3000), p)
			report, err := backfill.Verify(t.Context(), b.db, p, backfill.VerifyOptions{Batch: 800, Target: 10e9})
			require.NoError(t, err)
			require.EqualValues(t, 3000, report.Rows)
			require.EqualValues(t, 3000, report.Differences)
			require.Len(t, report.Keys, 1000)
			require.Equal(t, 1000, b.number(`SELECT count(*) FROM tandem.mismatch`))
			require.Equal(t, 3000, b.number(`SELECT differences FROM tandem.backfill WHERE kind = 'verify'`))
		})
	}
}

// Differences that reads have noted are not verify's to forget.
func TestVerifyLeavesReadsAlone(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL(10), fullName)
	b.run()
	b.exec(`INSERT INTO tandem.mismatch (migration, key, detail, phase, source) VALUES ($1, '{1}', '', 'Migrate', 'read'), ('other', '{1}', '', 'Migrate', 'verify')`, b.pair.Name())
	b.verified(10)
	require.Equal(t, 2, b.number(`SELECT count(*) FROM tandem.mismatch`))
	require.Equal(t, []string{"10 rows, 0 differences"}, b.texts(`SELECT detail FROM tandem.event WHERE kind = 'verify'`))
}

// A run that finds nothing to do leaves the verification in force; one that writes a row does not.
func TestVerificationOutlivesAnIdleRun(t *testing.T) {
	t.Parallel()
	b := newBed(t, usersSQL(250), fullName)
	b.run()
	b.verified(250)
	open := func() (names []string) {
		gates, err := switchover.Gates(t.Context(), b.db, fullName.Name(), switchover.Switch, switchover.Options{Quiet: switchover.None})
		require.NoError(t, err)
		for _, g := range gates {
			names = append(names, g.Name)
		}
		return names
	}
	b.run()
	require.NotContains(t, open(), "verify")
	b.exec(`UPDATE users SET full_name_stamp = NULL WHERE id = 1`)
	b.run()
	require.Contains(t, open(), "verify")
}
