package backfill_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/expand"
)

// token is split from one text: a name, and raw bytes that may be missing.
type token struct {
	Name string `db:"name"`
	Raw  []byte `db:"raw"`
}

// tokens splits users.user_name, in Go or in SQL too.
func tokens(sql bool) *expand.Pair[string, token] {
	s := expand.SetSpec[string, token]{Table: "users",
		Old: []expand.Column{{Name: "user_name"}},
		New: []expand.Column{{Name: "name", Type: "text"}, {Name: "raw", Type: "bytea"}},
		Forward: func(v string) (token, error) {
			name, raw, two := strings.Cut(v, " ")
			if !two {
				return token{Name: name}, nil
			}
			return token{name, []byte(raw)}, nil
		},
		Backward: func(v token) (string, error) {
			if v.Raw == nil {
				return v.Name, nil
			}
			return v.Name + " " + string(v.Raw), nil
		}}
	if sql {
		s.Old[0].SQL = `{name} || coalesce(' ' || convert_from({raw}, 'UTF8'), '')`
		s.New[0].SQL = `split_part({user_name}, ' ', 1)`
		s.New[1].SQL = `CASE WHEN {user_name} LIKE '% %' THEN convert_to(substr({user_name}, strpos({user_name}, ' ') + 1), 'UTF8') END`
	}
	return expand.ConvertSet(s)
}

// Every column of a set is copied as what it is, and a difference in any of them is seen.
func TestSetIsCopiedAndComparedWhole(t *testing.T) {
	t.Parallel()
	for name, sql := range map[string]bool{"go": false, "sql": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, usersSQL(300)+`; UPDATE users SET user_name = 'alone' WHERE id % 10 = 0; UPDATE users SET user_name = E'back\\slash ä\\x00' WHERE id = 11`, tokens(sql))
			b.run()
			require.Zero(t, b.number(`SELECT count(*) FROM users WHERE name || coalesce(' ' || convert_from(raw, 'UTF8'), '') <> user_name OR (raw IS NULL) <> (user_name = 'alone')`))
			b.verified(300)
			b.exec(`ALTER TABLE users DISABLE TRIGGER USER`)
			b.exec(`UPDATE users SET raw = 'x' WHERE id = 3`)
			b.exec(`UPDATE users SET name = 'x' WHERE id = 5`)
			b.exec(`UPDATE users SET raw = NULL WHERE id = 7`)
			report, err := backfill.Verify(b.ctx, b.db, b.pair, backfill.VerifyOptions{})
			require.NoError(t, err)
			require.ElementsMatch(t, [][]string{{"3"}, {"5"}, {"7"}}, report.Keys) // in Go a window is read in the order that it lies in
		})
	}
}
