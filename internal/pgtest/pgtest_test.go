package pgtest_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestNewGivesEachTestItsDatabase(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 3 {
		var name string
		require.NoError(t, pgtest.New(t).Get(&name, `SELECT current_database()`))
		require.True(t, strings.HasPrefix(name, fmt.Sprintf("tandem_%d_", os.Getpid())), name)
		require.False(t, seen[name], name)
		seen[name] = true
	}
}

func TestParamsReachTheServer(t *testing.T) {
	t.Parallel()
	var name string
	require.NoError(t, pgtest.New(t, "application_name=the loader").Get(&name, `SHOW application_name`))
	require.Equal(t, "the loader", name)
}

func TestDatabaseIsDroppedUnderItsConnections(t *testing.T) {
	t.Parallel()
	admin := pgtest.New(t)
	var name string
	t.Run("inner", func(t *testing.T) {
		dsn := pgtest.DSN(t)
		held := pgtest.Open(t, dsn)
		require.NoError(t, held.Get(&name, `SELECT current_database()`))
		_, err := held.Beginx() // never ended
		require.NoError(t, err)
	})
	require.NotEmpty(t, name)
	var left int
	require.NoError(t, admin.Get(&left, `SELECT count(*) FROM pg_database WHERE datname = $1`, name))
	require.Zero(t, left)
}

func TestServerIsShared(t *testing.T) {
	t.Parallel()
	first, second := pgtest.Server(t), pgtest.Server(t)
	require.Same(t, first, second)
}
