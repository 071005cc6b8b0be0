package state_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/internal/state"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// objects lists all that schema tandem consists of.
func objects(t *testing.T, db *sqlx.DB) []string {
	t.Helper()
	var out []string
	require.NoError(t, db.Select(&out, `
		SELECT relkind::text || ' ' || relname || ' ' || coalesce(relacl::text, '') FROM pg_class WHERE relnamespace = to_regnamespace('tandem')
		UNION ALL SELECT 'f ' || oid::regprocedure::text FROM pg_proc WHERE pronamespace = to_regnamespace('tandem') ORDER BY 1`))
	return out
}

func TestInstallByTwentyAtOnce(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	db := pgtest.Open(t, dsn)
	// all of them wait at the same lock, so that they are really there at once
	gate := db.MustBegin()
	gate.MustExec(`SELECT pg_advisory_xact_lock($1)`, 0x74616e64656d)
	var all sync.WaitGroup
	errs := make([]error, 20)
	for i := range errs {
		pool := pgtest.Open(t, dsn)
		all.Go(func() { errs[i] = state.Install(t.Context(), pool) })
	}
	require.Eventually(t, func() bool {
		var waiting int
		return db.Get(&waiting, `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`) == nil && waiting == len(errs)
	}, waitTime, pollTime)
	require.NoError(t, gate.Rollback())
	all.Wait()
	require.NoError(t, errors.Join(errs...))
	first := objects(t, db)
	require.Contains(t, strings.Join(first, "\n"), "r migration")
	require.NoError(t, state.Install(t.Context(), db)) // again
	require.Equal(t, first, objects(t, db))
	db.MustExec(`DROP SCHEMA tandem CASCADE`)
	require.NoError(t, state.Install(t.Context(), db))
	require.Equal(t, first, objects(t, db))
}

// Once installed, a role that may do nothing but connect finds it so.
func TestInstallTakesNoLockWhenUpToDate(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	require.NoError(t, state.Install(t.Context(), db))
	held := db.MustBegin()
	held.MustExec(`SELECT pg_advisory_xact_lock($1)`, 0x74616e64656d)
	held.MustExec(`SET LOCAL lock_timeout = '1ms'; LOCK TABLE tandem.migration IN ACCESS EXCLUSIVE MODE`)
	require.NoError(t, state.Install(t.Context(), db))
	require.NoError(t, held.Rollback())
}

// No superuser is needed: CREATE on the database, once. Another role of the application then needs no right at all to join.
func TestInstallByAPlainRole(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	db := pgtest.Open(t, dsn)
	var name string
	require.NoError(t, db.Get(&name, `SELECT current_database()`))
	as := func(role string) *sqlx.DB { return pgtest.Open(t, dsn+" options='-c role="+role+"'") }
	owner, other := name+"_owner", name+"_other"
	db.MustExec(`CREATE ROLE ` + owner + ` NOSUPERUSER; CREATE ROLE ` + other + `; GRANT CREATE ON DATABASE ` + name + ` TO ` + owner)
	t.Cleanup(func() { db.MustExec(fmt.Sprintf(`DROP OWNED BY %s, %s; DROP ROLE %s, %s`, owner, other, owner, other)) })

	err := state.Install(t.Context(), as(other))
	require.ErrorContains(t, err, "install schema tandem: ")
	require.Empty(t, objects(t, db))
	require.NoError(t, state.Install(t.Context(), as(owner)))
	require.NoError(t, state.Install(t.Context(), as(other)))
	require.NoError(t, state.Install(t.Context(), as(owner)))

	guest := as(other)
	require.NoError(t, state.Beat(t.Context(), guest, state.Member{ID: "a", Service: "web", Host: "h"}))
	_, err = state.List(t.Context(), guest)
	require.NoError(t, err)
	_, err = state.Members(t.Context(), guest)
	require.NoError(t, err)
	require.NoError(t, state.Mismatches(t.Context(), guest, []state.Mismatch{{Migration: "m", Key: []string{"1"}, Phase: 2, Source: "read"}}))
	require.NoError(t, state.Part(t.Context(), guest, "a"))
	_, err = guest.Exec(`UPDATE tandem.migration SET phase = 'Complete'`)
	require.ErrorContains(t, err, "permission denied")
}

func TestInstallRefuses(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	require.NoError(t, state.Install(t.Context(), db))
	before := objects(t, db)
	db.MustExec(`COMMENT ON SCHEMA tandem IS 'tandem state, version 99'`)
	err := state.Install(t.Context(), db)
	require.ErrorIs(t, err, state.ErrNewer)
	require.ErrorContains(t, err, "version 99, this library knows ")
	for _, garbage := range []string{"somebody else's", "tandem state, version ", "tandem state, version x", "tandem state, version -1", "tandem state, version 0", "1"} {
		db.MustExec(`COMMENT ON SCHEMA tandem IS '` + strings.ReplaceAll(garbage, "'", "''") + `'`)
		err := state.Install(t.Context(), db)
		require.ErrorContains(t, err, "is it another program's schema?", garbage)
		require.Equal(t, before, objects(t, db))
	}
}

// A schema of that name that somebody made beforehand and left empty is taken; a schema that holds something else is not built upon.
func TestInstallIntoAnExistingSchema(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	db.MustExec(`CREATE SCHEMA tandem`)
	require.NoError(t, state.Install(t.Context(), db))
	other := pgtest.New(t)
	other.MustExec(`CREATE SCHEMA tandem; CREATE TABLE tandem.member (bike text)`)
	require.Error(t, state.Install(t.Context(), other))
	require.Len(t, objects(t, other), 1)
}

func TestQueriesWithoutSchema(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	_, err := state.Load(t.Context(), db, "x")
	require.ErrorIs(t, err, state.ErrNoSchema)
	_, err = state.List(t.Context(), db)
	require.ErrorIs(t, err, state.ErrNoSchema)
	_, err = state.Events(t.Context(), db, "x")
	require.ErrorIs(t, err, state.ErrNoSchema)
	_, err = state.Members(t.Context(), db)
	require.ErrorIs(t, err, state.ErrNoSchema)
	require.ErrorIs(t, state.Beat(t.Context(), db, state.Member{ID: "x"}), state.ErrNoSchema)
}
