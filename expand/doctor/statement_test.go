package doctor_test

import (
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/expand/doctor"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/internal/server"
	"github.com/tandem-go/tandem/switchover"
)

// What was sent and what functions have is found by what it depends on; who names the old column, from Switch on.
func TestStatements(t *testing.T) {
	t.Parallel()
	srv, err := server.StartLocal(t.Context(), server.Options{Settings: map[string]string{"shared_preload_libraries": "pg_stat_statements"}})
	if err != nil && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, srv.Close()) })
	db := pgtest.Open(t, srv.DSN(""))
	db.MustExec(usersSQL)
	found := func() (out []string) {
		findings, err := doctor.Examine(t.Context(), db, fullName, doctor.Options{})
		require.NoError(t, err)
		for _, f := range findings {
			out = append(out, f.Name+" of "+f.Where+": "+f.What)
		}
		slices.Sort(out)
		return out
	}
	require.Equal(t, []string{"unseen of this server: it does not count statements: pg_stat_statements is not loaded, or not made here"}, found())
	db.MustExec(`CREATE SCHEMA extensions; CREATE EXTENSION pg_stat_statements SCHEMA extensions`)
	db.MustExec(`SELECT extensions.pg_stat_statements_reset()`)
	require.Empty(t, found())

	db.MustExec(`CREATE FUNCTION newest() RETURNS int LANGUAGE plpgsql AS $$ DECLARE u users; BEGIN IF true THEN SELECT * INTO u FROM users ORDER BY id DESC LIMIT 1; END IF; RETURN u.id; END $$`)
	db.MustExec(`CREATE FUNCTION fine() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM users'`)
	db.MustExec(`INSERT INTO users VALUES (DEFAULT, 'ada')`)
	db.MustExec(`SELECT u.* FROM users u WHERE id = 1`)
	db.MustExec(`SELECT id, user_name FROM users`)
	db.MustExec(`CREATE TABLE users_archive (id int); SELECT * FROM users_archive`)
	require.Equal(t, []string{
		"insert-without-columns of role postgres, 1 calls: INSERT without a list of columns into users, in: INSERT INTO users VALUES (DEFAULT, $1)",
		"select-star of function newest(): * reads all columns of users, in: SELECT * INTO u FROM users ORDER BY id DESC LIMIT 1; END IF; RETURN u.id; END",
		"select-star of role postgres, 1 calls: u.* reads all columns of users, in: SELECT u.* FROM users u WHERE id = $1",
	}, found())

	db.MustExec(`DROP FUNCTION newest`)
	require.NoError(t, expand.Apply(t.Context(), db, fullName, expand.Options{}))
	quick := switchover.Options{Quiet: switchover.None, Soak: switchover.None}
	for _, to := range []switchover.Phase{switchover.Expand, switchover.Migrate} {
		require.NoError(t, switchover.Advance(t.Context(), db, fullName.Name(), to, quick))
	}
	_, err = backfill.Run(t.Context(), db, fullName, backfill.Options{})
	require.NoError(t, err)
	_, err = backfill.Verify(t.Context(), db, fullName, backfill.VerifyOptions{})
	require.NoError(t, err)
	require.NoError(t, expand.ApplyTwins(t.Context(), db, fullName, expand.Options{}))
	db.MustExec(`SELECT extensions.pg_stat_statements_reset()`)
	db.MustExec(`SELECT id, user_name FROM users`)
	require.Empty(t, found(), "before Switch everybody names it")
	require.NoError(t, switchover.Advance(t.Context(), db, fullName.Name(), switchover.Switch, quick))
	db.MustExec(`UPDATE users SET user_name = 'x', full_name = 'x', full_name_stamp = 67108865 WHERE id = 1`) // as the wrappers do
	require.Equal(t, []string{"old-column of role postgres, 1 calls: user_name of users is named, in: SELECT id, user_name FROM users"}, found())
}
