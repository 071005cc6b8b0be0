package backfill_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/expand"
)

// What would be larger than 1 GB is a bad row, in SQL and in Go, and the others go on.
func TestLargerThanPostgresTakes(t *testing.T) {
	t.Parallel()
	same := func(s string) (string, error) { return s, nil }
	sql := func(forward string) *expand.Pair[string, string] {
		return expand.Convert(expand.Spec[string, string]{Table: "users", Old: "user_name", New: "full_name", Type: "text", Forward: same, ForwardSQL: forward})
	}
	var ready bool
	for name, p := range map[string]*expand.Pair[string, string]{
		"sql, 54000": sql(`CASE {user_name} WHEN 'large' THEN repeat({user_name}, 1000000000) ELSE {user_name} END`),
		"sql, XX000": sql(`CASE {user_name} WHEN 'large' THEN repeat(repeat({user_name}, 100), 1100000) || repeat(repeat({user_name}, 100), 1100000) ELSE {user_name} END`),
		"go": goOnly(func(s string) (string, error) {
			if s == "large" && ready {
				return strings.Repeat(`"`, 600<<20), nil // escaped it is twice as long
			}
			return s, nil
		}),
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, usersSQL(2), p)
			b.around(`UPDATE users SET user_name = 'large' WHERE id = 2`)
			ready = true
			require.EqualValues(t, 1, b.run().BadRows)
			require.Equal(t, []string{"2"}, b.texts(badKeys))
			require.Equal(t, 1, b.number(unstamped))
			require.Regexp(t, `requested length too large|invalid memory alloc request size|\d+ bytes`, b.texts(`SELECT error FROM tandem.bad_row`)[0])
			b.exec(`DELETE FROM users WHERE id = 2`)
			require.Zero(t, b.run().BadRows)
		})
	}
}
