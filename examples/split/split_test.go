package main

import (
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tandem-go/tandem/examples/internal/trial/trialtest"
	"github.com/tandem-go/tandem/expand/expandtest"
	"github.com/tandem-go/tandem/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestProgram(t *testing.T) {
	t.Parallel()
	code, object, story := trialtest.Perform(t, program, "")
	require.Zero(t, code, "%v\n%s", object, story)
	require.Equal(t, map[string]int64{"errors": 0, "lost_writes": 0, "differences": 0}, object)
	for _, line := range []string{
		"people.first_name: Migrate for", "people.place: Migrate for", "stray old-binary of role", "stray script of role", "member directory",
		"1 do not convert", "person 10: pq: value too long", "people.first_name: 0 rows copied, 0 do not convert",
		"people.first_name from Migrate to Switch is refused:", "nothing stands for index people_name on first_name, last_name: make what does under the name " + standIn,
		"people.place from Migrate to Switch is refused:", "nothing stands for index people_place on place", "9. drop lat and lon",
	} {
		require.Contains(t, story, line)
	}
	require.NotContains(t, story, "\n0 first names")
}

// The proof notices what is done to the table behind its back: a lost write and a lost row; four wrong people, one missing, one too many.
func TestProofCanFail(t *testing.T) {
	t.Parallel()
	code, object, story := trialtest.Perform(t, program, `
		UPDATE people SET first_name = first_name || '!' WHERE id = (SELECT max(id) FROM people);
		DELETE FROM people WHERE id = (SELECT max(id) - 1 FROM people);
		UPDATE people SET last_name = coalesce(last_name || '!', '') WHERE id IN (7, 10);
		UPDATE people SET place = CASE WHEN place IS NULL THEN '(0,0)'::point END WHERE id IN (5, 8);
		DELETE FROM people WHERE id = 4;
		INSERT INTO people (first_name) VALUES ('nobody')`)
	require.Equal(t, 1, code, "%v\n%s", object, story)
	require.Equal(t, map[string]int64{"errors": 0, "lost_writes": 2, "differences": 6}, object)
}

// In Go and in SQL a name is split alike, and a place merged; both ways.
func TestConversions(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	require.NoError(t, createTable(t.Context(), db, minRows))
	expandtest.Check(t, db, Names, rapid.StringMatching(`[A-Za-zé' -]{0,60}`))
	degrees := rapid.Custom(func(t *rapid.T) sql.Null[float64] { return some(rapid.Float64Range(-180, 180).Draw(t, "degrees")) })
	expandtest.Check(t, db, Places, rapid.Custom(func(t *rapid.T) Degrees { return Degrees{degrees.Draw(t, "lat"), degrees.Draw(t, "lon")} }))
}
