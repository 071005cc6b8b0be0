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
