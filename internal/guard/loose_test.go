package guard_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pair"
	"github.com/tandem-go/tandem/internal/pgtest"
)

// looseSQL is a table t whose pair a to b has the type, with a default, and one row in step.
func looseSQL(typ, def, value string) string {
	return `CREATE TABLE t (id int PRIMARY KEY, a ` + typ + ` DEFAULT ` + def + `, b ` + typ + `, b_stamp int);
		INSERT INTO t VALUES (1, ` + value + `, ` + value + `, 33554433)`
}

func copyPair(forward, backward string) pair.Definition {
	return pair.Definition{Table: ident.Table{Schema: "public", Name: "t"}, Key: []string{"id"}, Old: []string{"a"}, New: []string{"b"},
		Stamp: "b_stamp", Forward: []string{forward}, Backward: []string{backward}}
}

// A change that = does not see is a change all the same.
func TestLooseTypes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, typ, def, from, to, other string }{
		{"numeric", "numeric", "0", "1.0", "1.00", "7.5"},
		{"float", "double precision", "0", "'0'", "'-0'", "7.5"},
		{"real", "real", "0", "'0'", "'-0'", "7.5"},
		{"json", "json", "'{}'", `'{"a":1}'`, `'{"a": 1}'`, "'[]'"},
		{"xml-like: point", "point", "'(0,0)'", "'(0,0)'", "'(0,-0)'", "'(1,2)'"},
		{"interval", "interval", "'0'", "'1 day'", "'24 hours'", "'7 days'"},
		{"char", "char(4)", "'x'", "'ab'", "'aB'", "'cd'"},
		{"array", "numeric[]", "'{}'", "'{1.0}'", "'{1.00}'", "'{2}'"},
		{"jsonb", "jsonb", "'{}'", `'{"a":1.0}'`, `'{"a":1.00}'`, "'[]'"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, looseSQL(c.typ, c.def, c.from), copyPair("{a}", "{b}"), guard.Repair)
			one := func(literal string) string { // as the server prints the row
				var s string
				require.NoError(t, b.db.Get(&s, `SELECT concat_ws('|', `+literal+`::`+c.typ+`::text)`))
				return s
			}
			from, to, other := one(c.from), one(c.to), one(c.other)
			first := "1|" + from + "|" + from + "|2"
			b.run(t, []deed{
				{name: "update old", sql: `UPDATE t SET a = ` + c.to, rows: []string{"1|" + to + "|" + to + "|2"}, stray: "update"},
				{name: "update new", sql: `UPDATE t SET b = ` + c.to, rows: []string{"1|" + to + "|" + to + "|2"}, stray: "update"},
				{name: "update both", sql: `UPDATE t SET a = ` + c.to + `, b = ` + c.to, rows: []string{"1|" + to + "|" + to + "|2"}, stray: "update"},
				{name: "nothing changes", sql: `UPDATE t SET a = ` + c.from + `, b = ` + c.from, rows: []string{first}},
				{name: "update both, disagreeing", sql: `UPDATE t SET a = ` + c.to + `, b = ` + c.other, err: "TD002"},
				{name: "insert old", sql: `INSERT INTO t (id, a) VALUES (2, ` + c.other + `)`, rows: []string{first, "2|" + other + "|" + other + "|2"}, stray: "insert"},
				{name: "insert new", sql: `INSERT INTO t (id, b) VALUES (2, ` + c.other + `)`, rows: []string{first, "2|" + other + "|" + other + "|2"}, stray: "insert"},
				{name: "insert both", sql: `INSERT INTO t (id, a, b) VALUES (2, ` + c.other + `, ` + c.other + `)`, rows: []string{first, "2|" + other + "|" + other + "|2"}, stray: "insert"},
				{name: "insert both, disagreeing", sql: `INSERT INTO t (id, a, b) VALUES (2, ` + c.other + `, ` + c.to + `)`, err: "TD002"},
			})
		})
	}
}

// An expression may have another type than the column that it is for.
func TestForwardOfAnotherType(t *testing.T) {
	t.Parallel()
	d := copyPair("upper({a})", "lower({b})")
	d.Types = []string{"char(4)"}
	b := newBed(t, looseSQL("char(4)", "'x'", "'ab'"), d, guard.Repair)
	b.run(t, []deed{
		{name: "update old", sql: `UPDATE t SET a = 'cd'`, rows: []string{"1|cd|CD|2"}, stray: "update"},
		{name: "update both", sql: `UPDATE t SET a = 'cd', b = 'CD'`, rows: []string{"1|cd|CD|2"}, stray: "update"},
		{name: "insert both", sql: `INSERT INTO t VALUES (2, 'cd', 'CD')`, rows: []string{"1|ab|ab|2", "2|cd|CD|2"}, stray: "insert"},
	})
}

// Types and functions of a default live in the application's schemas, which the guard's search_path leaves out.
func TestDefaultOfTheApplication(t *testing.T) {
	t.Parallel()
	b := newBed(t, `CREATE TYPE mood AS ENUM ('ok', 'sad'); CREATE FUNCTION first_mood() RETURNS mood LANGUAGE sql AS $$SELECT 'ok'::public.mood$$;
		CREATE TABLE t (id int PRIMARY KEY, a mood NOT NULL DEFAULT 'ok', b mood, b_stamp int)`, copyPair("{a}", "{b}"), guard.Repair)
	insert := []deed{{name: "insert new", sql: `INSERT INTO t (id, b) VALUES (1, 'sad')`, rows: []string{"1|sad|sad|2"}, stray: "insert"}}
	b.run(t, insert)
	b.db.MustExec(`ALTER TABLE t ALTER a SET DEFAULT first_mood()`)
	b.install(t, guard.Repair)
	b.run(t, insert)
}

// Where = is the collation's, letters of another case are the same word, and must be copied all the same.
func TestNondeterministicCollation(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	var icu bool
	require.NoError(t, db.Get(&icu, `SELECT EXISTS (SELECT FROM pg_collation WHERE collprovider = 'i')`))
	if !icu {
		t.Skip("this server is built without ICU, and only ICU has nondeterministic collations")
	}
	b := newBed(t, `CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
		`+looseSQL("text COLLATE loose", "'x'", "'ada'"), copyPair("{a}", "{b}"), guard.Repair)
	b.run(t, []deed{
		{name: "update old", sql: `UPDATE t SET a = 'ADA'`, rows: []string{"1|ADA|ADA|2"}, stray: "update"},
		{name: "insert both", sql: `INSERT INTO t VALUES (2, 'y', 'Y')`, err: "TD002"},
		{name: "insert new", sql: `INSERT INTO t (id, b) VALUES (2, 'y')`, rows: []string{"1|ada|ada|2", "2|y|y|2"}, stray: "insert"},
	})
}
