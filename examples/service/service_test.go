package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/internal/server"
)

func TestMain(m *testing.M) {
	if name := os.Getenv(releaseVariable); name != "" {
		os.Exit(child(name))
	}
	pgtest.Main(m)
}

// small is a run that a test can afford.
var small = options{rows: 400, backends: 2, clients: 4, json: true}

// performed is one run: its exit code, its object, and its story.
func performed(t *testing.T, spoil map[int]string) (code int, object result, told string) {
	t.Helper()
	dsn := pgtest.DSN(t)
	o := small
	o.spoil = spoil
	var stdout, stderr bytes.Buffer
	code = perform(t.Context(), func(name string) string { return server.With(dsn, "", "application_name="+name) }, o, &stdout, &stderr)
	require.Equal(t, 1, strings.Count(stdout.String(), "\n"), "one object and nothing else")
	decoder := json.NewDecoder(&stdout)
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(&object), "%s", stderr.String())
	return code, object, stderr.String()
}

func TestProgram(t *testing.T) {
	t.Parallel()
	code, object, told := performed(t, nil)
	require.Zero(t, code, told)
	require.Greater(t, object.Operations, int64(len(story)*betweenSteps))
	require.Greater(t, object.LongestStall, 0.0)
	object.Operations, object.LongestStall = 0, 0
	require.Equal(t, result{Restarts: 8 * int64(small.backends)}, object, told)
	require.Equal(t, 3, strings.Count(told, "proved: "), told)
	for _, line := range []string{"rows copied", "4. Migrate: roll back", "9. Complete: deploy 2", "longest stall"} {
		require.Contains(t, told, line)
	}
}

// A write behind the clients' back makes answers that are not right, and in the end a table that is not.
func TestProofCanFail(t *testing.T) {
	t.Parallel()
	code, object, story := performed(t, map[int]string{8: `UPDATE users SET full_name = full_name || '!'`})
	require.Equal(t, 1, code, story)
	require.Positive(t, object.Errors, story)
	require.Positive(t, object.LostWrites, story)
	require.Zero(t, object.Differences, story)
	require.Equal(t, 2, strings.Count(story, "WRONG: "), story)
	require.Contains(t, story, "acknowledged was")
}

// Lost are a write, a row of the start, a row that a client has made, and whatever else was written by nobody.
func TestLostWrites(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	require.NoError(t, createTable(t.Context(), db, 10))
	db.MustExec(`ALTER TABLE users RENAME COLUMN user_name TO full_name; UPDATE users SET full_name = 'Ada' WHERE id IN (3, 4)`)
	acked := map[int64]string{3: "Ada", 4: "Ada"}
	lost, err := lostWrites(t.Context(), db, 10, acked)
	require.NoError(t, err)
	require.Empty(t, lost)
	db.MustExec(`UPDATE users SET full_name = 'user-4' WHERE id = 4; DELETE FROM users WHERE id = 5;
		UPDATE users SET full_name = 'Ada' WHERE id = 6; INSERT INTO users (full_name, email) VALUES ('nobody', 'nobody@example.com')`)
	acked[12] = "Grace"
	lost, err = lostWrites(t.Context(), db, 10, acked)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{
		`user 4 is called "user-4", acknowledged was "Ada"`, `user 5, acknowledged as "user-5", is gone`, `user 6 is called "Ada", acknowledged was "user-6"`,
		`user 11 is called "nobody", acknowledged was ""`, `user 12, acknowledged as "Grace", is gone`,
	}, lost)
}

// Without the guard a deploy that is rolled back leaves rows in which the columns differ, and that is noticed.
func TestWithoutTheGuard(t *testing.T) {
	t.Parallel()
	code, object, story := performed(t, map[int]string{2: `DROP TRIGGER zz_tandem_full_name_update ON users`})
	require.Equal(t, 1, code, story)
	require.Positive(t, object.Differences, story)
	require.Contains(t, object.Error, "step 3, Expand: user_name and full_name differ in")
}

func TestBadFlags(t *testing.T) {
	t.Parallel()
	require.NoError(t, small.check(nil))
	require.Error(t, small.check([]string{"now"}))
	for _, o := range []options{{rows: 400, backends: 0, clients: 4}, {rows: 400, backends: 11, clients: 4}, {rows: 400, backends: 2, clients: 0}, {rows: 7, backends: 2, clients: 8}} {
		require.Error(t, o.check(nil), "%+v", o)
	}
}
