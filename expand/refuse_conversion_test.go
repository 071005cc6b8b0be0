package expand_test

import (
	"database/sql"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pgtest"
)

// form is a conversion of notes.body to notes.text in SQL, with Go functions that take and give anything, so that only the SQL is in question.
func form(typeSQL, forward, backward string) expand.Any {
	same := func(v *string) (*string, error) { return v, nil }
	return expand.Convert(expand.Spec[*string, *string]{Table: "notes", Old: "body", New: "text", Type: typeSQL, Forward: same, Backward: same,
		ForwardSQL: forward, BackwardSQL: backward, Equal: func(_, _ *string) bool { return true }})
}

// inGo is a conversion of notes.body to notes.text in Go.
func inGo[O, N any](typeSQL string, forward func(O) (N, error), backward func(N) (O, error)) expand.Any {
	return expand.Convert(expand.Spec[O, N]{Table: "notes", Old: "body", New: "text", Type: typeSQL, Forward: forward, Backward: backward})
}

// inBoth is inGo with SQL.
func inBoth[O, N any](typeSQL string, forward func(O) (N, error), backward func(N) (O, error), forwardSQL, backwardSQL string) expand.Any {
	return expand.Convert(expand.Spec[O, N]{Table: "notes", Old: "body", New: "text", Type: typeSQL, Forward: forward, Backward: backward,
		ForwardSQL: forwardSQL, BackwardSQL: backwardSQL})
}

// refused wants Plan and Apply to refuse the pair, and nothing to have changed.
func refused(t *testing.T, db *sqlx.DB, p expand.Any, says ...string) {
	t.Helper()
	before := dump(t, db)
	_, err := expand.Plan(t.Context(), db, p)
	require.ErrorIs(t, err, expand.ErrConversion)
	for _, words := range says {
		require.ErrorContains(t, err, words)
	}
	require.ErrorIs(t, expand.Apply(t.Context(), db, p, expand.Options{}), expand.ErrConversion)
	require.Equal(t, before, dump(t, db))
	require.Zero(t, count(t, db, `SELECT count(*) FROM pg_class WHERE relname ~ '^tandem_'`))
}

// told wants Plan to accept the pair and to say something in Step.Why.
func told(t *testing.T, db *sqlx.DB, p expand.Any, says ...string) {
	t.Helper()
	steps, err := expand.Plan(t.Context(), db, p)
	require.NoError(t, err)
	require.Len(t, steps, 1)
	for _, words := range says {
		require.Contains(t, steps[0].Why, words)
	}
	if len(says) == 0 {
		require.NotContains(t, steps[0].Why, "sampled")
	}
}

func count(t *testing.T, db *sqlx.DB, query string) (n int) {
	t.Helper()
	require.NoError(t, db.Get(&n, query))
	return n
}

func notes(t *testing.T, typeSQL string, values ...string) *sqlx.DB {
	t.Helper()
	db := pgtest.New(t)
	db.MustExec(`CREATE TABLE notes (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body ` + typeSQL + `)`)
	for _, v := range values {
		db.MustExec(`INSERT INTO notes (body) VALUES (` + v + `)`)
	}
	return db
}

// An expression that depends on more than its row is found in its text, so on an empty table too.
func TestPlanRefusesWhatDependsOnMore(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		old, typeSQL, forward, backward string
		says                            string // "": accepted
	}{
		"time":                 {"text", "text", "{body} || now()::text", "", "function now() is STABLE"},
		"time by keyword":      {"date", "int", "CURRENT_DATE - {body}", "", "it names the time or the user"},
		"chance":               {"int", "float8", "{body} + random()", "", "function random() is VOLATILE"},
		"sequence":             {"int", "bigint", "nextval('public.counter')", "", "function nextval(regclass) is VOLATILE"},
		"another row":          {"text", "text", "(SELECT max(n.body) FROM public.notes n WHERE n.body > {body})", "", "subquery"},
		"all rows":             {"text", "text", "max({body})", "", "aggregate"},
		"zone of the session":  {"timestamptz", "date", "{body}::date", "", "AT TIME ZONE"},
		"zone, the other way":  {"timestamp", "timestamptz", "{body} AT TIME ZONE 'Europe/Berlin'", "{text}::timestamp", "backward expression"},
		"zone by assignment":   {"timestamp", "timestamptz", "{body}", "", "STABLE"},
		"style of the session": {"text", "date", "{body}::date", "", "the text of type date depends on settings"},
		"names of months":      {"timestamp", "text", "to_char({body}, 'DD Mon')", "", "function to_char(timestamp without time zone,text) is STABLE"},
		"money":                {"text", "money", "{body}::money", "", "the text of type money"},
		"array of dates":       {"text", "date[]", "{body}::date[]", "", "the text of type date"},
		"own function":         {"text", "text", "public.clean({body})", "", "function public.clean(text) is VOLATILE"},
		"own table":            {"text", "text", "public.looked_up({body})", "", "STABLE"},
		"text of a date":       {"date", "text", "concat({body}, '')", "", "the text of type date"},
		"concat":               {"text", "text", "concat({body}, '.')", "", ""},
		"hash":                 {"text", "bytea", "sha256(convert_to({body}, 'UTF8'))", "", ""},
		"stated zone":          {"timestamptz", "date", "({body} AT TIME ZONE 'Europe/Berlin')::date", "", ""},
		"enum":                 {"text", "public.mood", "lower({body})::public.mood", "{text}::text", ""},
		"array of enums":       {"text", "public.mood[]", "{body}::public.mood[]", "", ""},
		"composite":            {"text", "public.place", "ROW({body}, length({body}))::public.place", "({text}).street", ""},
		"composite by text":    {"text", "public.place", "{body}::public.place", "", ""},
		"inlined function":     {"text", "text", "public.plain({body})", "", ""},
		"marked function":      {"text", "text", "public.pure({body})", "", ""},
		"number":               {"float8", "bigint", "round({body} * 100)", "{text} / 100.0", ""},
		"json":                 {"text", "jsonb", "{body}::jsonb", "{text}::text", ""},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			db := notes(t, c.old)
			db.MustExec(`CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE TYPE place AS (street text, number int); CREATE SEQUENCE counter;
				CREATE FUNCTION clean(text) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN trim($1); END';
				CREATE FUNCTION plain(text) RETURNS text LANGUAGE sql AS 'SELECT trim($1)';
				CREATE FUNCTION looked_up(text) RETURNS text LANGUAGE sql STABLE AS 'SELECT max(body::text) FROM public.notes';
				CREATE FUNCTION pure(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT trim($1)'`)
			if c.says == "" {
				told(t, db, form(c.typeSQL, c.forward, c.backward))
			} else {
				refused(t, db, form(c.typeSQL, c.forward, c.backward), "expression", c.says)
			}
		})
	}
}

// What a function is marked as may be wrong: then the rows show it.
func TestPlanFindsWronglyMarkedFunctions(t *testing.T) {
	t.Parallel()
	db := notes(t, "timestamptz", `'2024-01-01 12:00+00'`)
	db.MustExec(`CREATE FUNCTION day(timestamptz) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT to_char($1, ''YYYY-MM-DD HH24:MI'')';
		CREATE FUNCTION lucky(timestamptz) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN random()::text; END'`)
	refused(t, db, form("text", "public.day({body})", ""), "key {1}", "TimeZone")
	refused(t, db, form("text", "public.lucky({body})", ""), "key {1}", "another value")
	db = notes(t, "bytea", `'\x00ff'`)
	refused(t, db, form("text", "{body}::text", ""), `SQL makes \x00ff`)
}

// Each pair is tried on the rows that are there.
func TestPlanTriesTheConversion(t *testing.T) {
	t.Parallel()
	cents := func(v float64) (int64, error) { return int64(math.Round(v * 100)), nil }
	price := func(n int64) (float64, error) { return float64(n) / 100, nil }
	cut := func(v string) (string, error) { return v[:min(len(v), 3)], nil }
	same := func(v string) (string, error) { return v, nil }
	number := func(v string) (int64, error) { return strconv.ParseInt(v, 10, 64) }
	digits := func(n int64) (string, error) { return strconv.FormatInt(n, 10), nil }

	t.Run("forms disagree", func(t *testing.T) {
		t.Parallel()
		db := notes(t, "float8", "1.1", "0.125")
		refused(t, db, inBoth("bigint", cents, price, "round({body} * 100)", "{text} / 100.0"), "key {2}, old 0.125", "Go makes 13, SQL makes 12")
		told(t, db, inBoth("bigint", cents, price, "floor({body} * 100 + 0.5)", "{text} / 100.0"), "of 2 sampled rows 1 come back from new as another old value",
			"key {2}, old 0.125: new 13, back 0.13")
	})
	t.Run("Go refuses what SQL takes", func(t *testing.T) {
		t.Parallel()
		db := notes(t, "text", "'1'", "' 2'")
		refused(t, db, inBoth("bigint", number, digits, "{body}::bigint", "{text}::text"), "key {2}", "Go refuses it", `parsing " 2"`, "SQL makes 2")
	})
	t.Run("SQL refuses what Go takes", func(t *testing.T) {
		t.Parallel()
		db := notes(t, "text", "'1'", "'ten'")
		words := func(v string) (int64, error) { return strconv.ParseInt(strings.ReplaceAll(v, "ten", "10"), 10, 64) }
		refused(t, db, inBoth("bigint", words, digits, "{body}::bigint", "{text}::text"), "key {2}", "Go makes 10, SQL refuses it", "invalid input syntax")
	})
	t.Run("neither takes it", func(t *testing.T) {
		t.Parallel()
		db := notes(t, "text", "'1'", "'x'", "'y'")
		told(t, db, inBoth("bigint", number, digits, "{body}::bigint", "{text}::text"), "of 3 sampled rows 2 do not convert", "bad rows (key {2}, old x: ")
		told(t, db, inGo("bigint", number, digits), "of 3 sampled rows 2 do not convert")
	})
	t.Run("new does not take it", func(t *testing.T) {
		t.Parallel()
		db := notes(t, "text", "'abcd'", "'abcdefgh'")
		told(t, db, inGo("varchar(4)", same, same), "1 do not convert", "value too long")
		told(t, db, inBoth("varchar(4)", same, same, "{body}", "{text}"), "1 do not convert", "value too long")
	})
	t.Run("lossy", func(t *testing.T) {
		t.Parallel()
		db := notes(t, "text", "'abc'", "'Abcd'")
		upper := func(v string) (string, error) { return strings.ToUpper(v), nil }
		twice := func(v string) (string, error) { return v + v, nil }
		refused(t, db, inGo("text", twice, same), expand.ErrLossy.Error(), "forward makes abcabc, and the way back is none")
		refused(t, db, inBoth("text", twice, func(v string) (string, error) { return v[:len(v)/2], nil }, "{body} || {body}", "{text}"), "backward abcabc of that")
		refused(t, db, inBoth("text", cut, same, "left({body}, 3)", "nullif({text}, 'Abc')"), "key {2}", "backward NULL of that")
		told(t, db, inGo("text", upper, same), "of 2 sampled rows 2 come back from new as another old value (key {1}, old abc: new ABC, back ABC)")
		told(t, db, inBoth("text", cut, same, "left({body}, 3)", "{text}"), "of 2 sampled rows 1 come back", "back Abc")
	})
	t.Run("no way back", func(t *testing.T) {
		t.Parallel()
		db := notes(t, "text", "'a'")
		told(t, db, inGo("text", cut, nil))
		refused(t, db, inGo("text", cut, func(string) (string, error) { panic("no") }), "the conversion panicked: no")
		refused(t, db, inBoth("text", cut, same, "left({body}, 3)", "({text}::int)::text"), "backward of that is refused", "invalid input syntax")
	})
	t.Run("Go depends on time and chance", func(t *testing.T) {
		t.Parallel()
		db := notes(t, "text", "'a'")
		refused(t, db, inGo("bigint", func(string) (int64, error) { return time.Now().UnixNano(), nil }, nil), "forward must depend on its argument alone")
		refused(t, db, inGo("bigint", func(string) (int64, error) { return rand.Int64(), nil }, nil), "once more another value")
		told(t, db, inGo("bigint", func(string) (int64, error) { panic("no such name") }, nil), "1 do not convert", "the conversion panicked: no such name")
	})
	t.Run("Go writes what PostgreSQL stores otherwise", func(t *testing.T) {
		t.Parallel()
		db := notes(t, "text", "'1'")
		refused(t, db, inGo("numeric(10,2)", same, same), "stored as 1.00", "declare Equal")
	})
	t.Run("NULL", func(t *testing.T) {
		t.Parallel()
		db := notes(t, "text", "'1'", "NULL", "NULL")
		for _, p := range []expand.Any{inGo("bigint", number, digits), inBoth("bigint", number, digits, "{body}::bigint", "{text}::text"), expand.Rename[string]("notes", "body", "text")} {
			told(t, db, p, "of 3 sampled rows 2 are NULL", "declare it with *T or sql.Null[T]")
		}
		told(t, db, expand.Rename[*string]("notes", "body", "text"))
		some := func(v sql.Null[string]) (sql.Null[string], error) { return v, nil }
		told(t, db, inBoth("text", some, some, "{body}", "{text}"))
		fill := func(v *string) (string, error) {
			if v == nil {
				return "", nil
			}
			return *v, nil
		}
		refused(t, db, inBoth("text", fill, func(v string) (*string, error) { return &v, nil }, "{body}", "{text}"), "old NULL", "Go makes , SQL makes NULL")
	})
	t.Run("another Go type", func(t *testing.T) {
		t.Parallel()
		db := notes(t, "text", "'one'", "NULL", "'two'")
		refused(t, db, expand.Rename[*int64]("notes", "body", "text"), "of 3 rows none can be read", "another Go type")
		refused(t, db, inGo("bigint", func(v int64) (int64, error) { return v, nil }, nil), "none can be read")
		db.MustExec(`INSERT INTO notes (body) VALUES ('3')`)
		told(t, db, expand.Rename[*int64]("notes", "body", "text"), "of 4 sampled rows 2 cannot be read into the pair's Go type", "key {1}, old one")
		refused(t, notes(t, "text", "'x'"), inBoth("text", func(string) (int64, error) { return 0, nil }, nil, "{body}", ""), "forward makes x", "does not take it")
	})
}

// The sample is bounded, and has the ends of the column where an index finds them.
func TestSampleOfABigTable(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.MustExec(`CREATE TABLE notes (a int, b text, body int, pad text, PRIMARY KEY (a, b)); CREATE INDEX ON notes (body);
		INSERT INTO notes SELECT i / 7, 'key ' || i % 7, i, repeat('x', 200) FROM generate_series(1, 30000) i; INSERT INTO notes VALUES (-1, 'null', NULL, '')`)
	seen := map[int]bool{}
	nulls := 0
	p := expand.Convert(expand.Spec[*int, *int]{Table: "notes", Key: []string{"a", "b"}, Old: "body", New: "text", Type: "int", Forward: func(v *int) (*int, error) {
		if v == nil {
			nulls++
			return nil, nil //nolint:nilnil // NULL becomes NULL
		}
		seen[*v] = true
		return v, nil
	}})
	told(t, db, p)
	require.Positive(t, nulls)
	require.True(t, seen[1] && seen[30000])
	require.Greater(t, len(seen), 800)
	require.LessOrEqual(t, len(seen), 1002)
	spread := map[int]bool{}
	for v := range seen {
		spread[v/3000] = true
	}
	require.Len(t, spread, 11)

	parts := pgtest.New(t)
	parts.MustExec(`CREATE TABLE notes (a int, b text, body int, PRIMARY KEY (a, b)) PARTITION BY HASH (a)`)
	for i := range 3 {
		parts.MustExec(fmt.Sprintf(`CREATE TABLE notes_%d PARTITION OF notes FOR VALUES WITH (MODULUS 3, REMAINDER %d)`, i, i))
	}
	parts.MustExec(`INSERT INTO notes SELECT i, '', i FROM generate_series(1, 30000) i`)
	clear(seen)
	told(t, parts, p)
	require.Greater(t, len(seen), 800)
}

// Values that PostgreSQL compresses well are as long as they are: few of them are read.
func TestSampleOfLongValues(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.MustExec(`CREATE TABLE notes (id int PRIMARY KEY, body text NOT NULL); INSERT INTO notes SELECT i, repeat('x', 1000000) FROM generate_series(1, 40) i`)
	var read int
	p := inGo("text", func(s string) (string, error) { read += len(s); return s, nil }, func(s string) (string, error) { return s, nil })
	_, err := expand.Plan(t.Context(), db, p)
	require.NoError(t, err)
	require.Positive(t, read)
	require.LessOrEqual(t, read, 4*8<<20, "8 MiB, each value converted a few times")
}

// Once a migration runs, a conversion that has turned out wrong does not keep a lost guard from coming back.
func TestWrongConversionKeepsItsGuard(t *testing.T) {
	t.Parallel()
	db := notes(t, "text")
	same := func(v string) (string, error) { return v, nil }
	p := inBoth("text", same, same, "upper({body})", "{text}")
	require.NoError(t, expand.Apply(t.Context(), db, p, expand.Options{}))
	db.MustExec(`INSERT INTO notes (body) VALUES ('a'); DROP TRIGGER zz_tandem_text_update ON notes`)
	steps, err := expand.Plan(t.Context(), db, p)
	require.NoError(t, err)
	require.Len(t, steps, 1)
	require.NoError(t, expand.Apply(t.Context(), db, p, expand.Options{}))
	require.NoError(t, expand.Undo(t.Context(), db, p, expand.Options{}))
	refused(t, db, p, "Go makes a, SQL makes A")
}
