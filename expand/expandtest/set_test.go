package expandtest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pgtest"
)

type halves struct {
	First string  `db:"first_name"`
	Last  *string `db:"last_name"`
}

// split is right but for what is changed in it.
func split(change func(*expand.SetSpec[*string, halves])) *expand.Pair[*string, halves] {
	s := expand.SetSpec[*string, halves]{Table: "people",
		Old: []expand.Column{{Name: "full_name", SQL: `nullif({first_name}, '') || coalesce(' ' || {last_name}, '')`}},
		New: []expand.Column{
			{Name: "first_name", Type: "text", SQL: `coalesce(split_part({full_name}, ' ', 1), '')`},
			{Name: "last_name", Type: "text", SQL: `CASE WHEN strpos({full_name}, ' ') > 1 THEN substr({full_name}, strpos({full_name}, ' ') + 1) END`},
		},
		Forward: func(full *string) (halves, error) {
			if full == nil {
				return halves{}, nil
			}
			first, last, two := strings.Cut(*full, " ")
			if !two || first == "" {
				return halves{First: first}, nil
			}
			return halves{first, &last}, nil
		},
		Backward: func(h halves) (*string, error) {
			if h.First == "" {
				return nil, nil //nolint:nilnil // NULL
			}
			if h.Last == nil {
				return &h.First, nil
			}
			full := h.First + " " + *h.Last
			return &full, nil
		}}
	change(&s)
	return expand.ConvertSet(s)
}

// A set is checked like one value: each half against its SQL, and the way back from both.
func TestCheckSet(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.MustExec(`CREATE TABLE people (id bigint PRIMARY KEY, full_name text)`)
	words := rapid.Ptr(rapid.StringOfN(rapid.RuneFrom([]rune("ab ")), 0, 6, -1), true)
	Check(t, db, split(func(*expand.SetSpec[*string, halves]) {}), words)

	for want, change := range map[string]func(*expand.SetSpec[*string, halves]){
		"Go makes (a,), SQL makes (a,a)": func(s *expand.SetSpec[*string, halves]) { s.New[1].SQL = `split_part({full_name}, ' ', 1)` },
		"backward in SQL makes a of that, and forward of that is another": func(s *expand.SetSpec[*string, halves]) {
			s.Old[0].SQL = `nullif({first_name}, '')`
		},
	} {
		b, err := newBench(t.Context(), db, split(change))
		require.NoError(t, err)
		says := ""
		for _, text := range []string{"a", "a b", ""} {
			if says == "" {
				says, err = b.try(t.Context(), []any{text})
				require.NoError(t, err)
			}
		}
		require.Contains(t, says, want)
		b.close()
	}
}
