package expand_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pgtest"
)

// converted declares a pair of texts that SQL converts.
func converted(typeSQL, forward, backward string) *expand.Pair[string, string] {
	same := func(s string) (string, error) { return s, nil }
	return expand.Convert(expand.Spec[string, string]{Table: "notes", Old: "body", New: "text", Type: typeSQL,
		Forward: same, Backward: same, ForwardSQL: forward, BackwardSQL: backward})
}

// PostgreSQL parses both expressions at plan time, and tells whether old can be assigned what backward returns.
func TestPlanParsesBothExpressions(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.MustExec(`CREATE TABLE notes (id bigint PRIMARY KEY, body integer); CREATE DOMAIN filled AS text NOT NULL`)
	for _, c := range []struct{ typeSQL, forward, backward, says string }{
		{"text", "{body}::text", "{text}::integer", ""},
		{"public.filled", "{body}::text", "{text}::integer", ""},
		{"text", "no_such({body})", "{text}::integer", "forward expression"},
		{"text", "{body}::text", "no_such({text})", "backward expression"},
		{"text", "{body}::text", "{text}", "backward expression"},
		{"text", "{body}::text", "{text}::point", "backward expression"},
	} {
		_, err := expand.Plan(t.Context(), db, converted(c.typeSQL, c.forward, c.backward))
		if c.says == "" {
			require.NoError(t, err, c)
		} else {
			require.ErrorContains(t, err, c.says, c)
		}
	}
}

// PostgreSQL rewrites the table for a new column of a domain with constraints, so Apply does not add it.
func TestConstrainedDomain(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.MustExec(`CREATE DOMAIN loose AS text; CREATE DOMAIN filled AS text CHECK (VALUE <> ''); CREATE DOMAIN deep AS filled;
		CREATE TABLE notes (id bigint PRIMARY KEY, body text)`)
	file := func() (n int64) {
		require.NoError(t, db.Get(&n, `SELECT pg_relation_filenode('notes')::bigint`))
		return n
	}
	plan := func(typeSQL string) error {
		_, err := expand.Plan(t.Context(), db, converted("public."+typeSQL, "{body}", "{text}"))
		return err
	}
	require.NoError(t, plan("deep")) // an empty table
	db.MustExec(`INSERT INTO notes VALUES (1, 'x')`)
	for _, typeSQL := range []string{"filled", "deep"} {
		require.ErrorIs(t, plan(typeSQL), expand.ErrRefused)
		require.ErrorContains(t, plan(typeSQL), "has constraints")
	}
	before := file()
	pair := converted("public.loose", "{body}", "{text}")
	require.NoError(t, expand.Apply(t.Context(), db, pair, expand.Options{}))
	db.MustExec(`ALTER DOMAIN loose ADD CONSTRAINT loosely CHECK (VALUE <> '') NOT VALID`)
	db.MustExec(`ALTER DOMAIN loose VALIDATE CONSTRAINT loosely`)
	require.Equal(t, before, file())
	require.NoError(t, expand.Apply(t.Context(), db, pair, expand.Options{}))
	require.NoError(t, expand.Undo(t.Context(), db, pair, expand.Options{}))
	db.MustExec(`ALTER TABLE notes ADD COLUMN text loose`) // as a migration tool may, at its own time
	require.NotEqual(t, before, file())
	require.NoError(t, expand.Apply(t.Context(), db, pair, expand.Options{}))
}

// A cast to a domain over varchar(4) would cut what is longer, in the backfill and in the guard, and verify would call it right.
func TestDomainThatCuts(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.MustExec(`CREATE DOMAIN short AS varchar(4); CREATE DOMAIN deep AS short; CREATE TABLE notes (id bigint PRIMARY KEY, body text, brief short)`)
	for _, typeSQL := range []string{"public.short", "public.deep", "public.short[]"} {
		_, err := expand.Plan(t.Context(), db, converted(typeSQL, "{body}", "{text}"))
		require.ErrorIs(t, err, expand.ErrRefused, typeSQL)
		require.ErrorContains(t, err, "domain short has a length")
	}
	_, err := expand.Plan(t.Context(), db, expand.Rename[string]("notes", "brief", "text")) // a copy is not cast
	require.NoError(t, err)
}
