package expand_test

import (
	"strings"
	"testing"

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
