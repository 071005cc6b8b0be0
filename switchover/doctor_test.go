package switchover_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/switchover"
)

const binary = "binary_parameters=yes"

// pooled is a database and the DSN of the same behind a pooler.
func pooled(t *testing.T, mode string, size int) (db *sqlx.DB, dsn string) {
	t.Helper()
	db = pgtest.New(t)
	var name string
	require.NoError(t, db.Get(&name, `SELECT current_database()`))
	return db, pgtest.Pooler(t, mode, size).DSN(name)
}

// names are those of the findings of many visits, each once.
func names(t *testing.T, db *sqlx.DB) map[string]int {
	t.Helper()
	out := map[string]int{}
	for range visits {
		list, err := switchover.Doctor(t.Context(), db)
		require.NoError(t, err)
		for _, f := range list {
			out[f.Name]++
		}
	}
	return out
}

const visits = 20

// load keeps the pooler busy until the end of the test.
func load(t *testing.T, dsn string, clients int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range clients {
		db := pgtest.Open(t, dsn+" "+binary)
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				_, _ = db.ExecContext(ctx, `SELECT $1::int`, n)
			}
		})
	}
	t.Cleanup(func() { cancel(); wg.Wait() })
}

// A driver that sends a statement in two halves, behind a pooler that pools by transaction: found at every visit. Only one of the two: never.
func TestDoctor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		mode    string
		size    int
		clients int
		params  string
		found   bool
	}{
		{"transaction", 1, 0, "", true},
		{"transaction", 4, 0, "", true},
		{"transaction", 4, 3, "", true},
		{"transaction", 4, 0, binary, false},
		{"transaction", 4, 3, binary, false},
		{"session", 4, 0, "", false},
		{"session", 4, 0, binary, false},
	} {
		t.Run(fmt.Sprintf("%s %d, %d clients %s", c.mode, c.size, c.clients, c.params), func(t *testing.T) {
			t.Parallel()
			_, dsn := pooled(t, c.mode, c.size)
			load(t, dsn, c.clients)
			db := pgtest.Open(t, dsn+" "+c.params)
			want := map[string]int{}
			if c.found {
				want["mix-up"] = visits
			}
			require.Equal(t, want, names(t, db))
		})
	}
}

func TestDoctorOnADirectConnection(t *testing.T) {
	t.Parallel()
	for _, params := range [][]string{nil, {binary}} {
		db := pgtest.New(t, params...)
		require.Empty(t, names(t, db))
		db.SetMaxOpenConns(1)
		require.Empty(t, names(t, db))
		db.SetMaxOpenConns(2)
		held, err := db.Connx(t.Context()) // the second one is not to be had
		require.NoError(t, err)
		list, err := switchover.Doctor(t.Context(), db)
		require.NoError(t, err)
		require.Empty(t, list)
		require.NoError(t, held.Close())
	}
}

func TestDoctorReturnsTheErrorOfTheConnection(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := switchover.Doctor(ended, db)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "doctor: ")
}

func TestJoinRefusesAMixUp(t *testing.T) {
	t.Parallel()
	direct, dsn := pooled(t, "transaction", 4)
	_, err := switchover.Join(t.Context(), pgtest.Open(t, dsn), switchover.JoinOptions{Service: "web", Log: quiet})
	require.ErrorIs(t, err, switchover.ErrMixedUp)
	require.ErrorContains(t, err, "join as web: mix-up: ")
	require.ErrorContains(t, err, "add binary_parameters=yes to the DSN")
	var schemas int
	require.NoError(t, direct.Get(&schemas, `SELECT count(*) FROM pg_namespace WHERE nspname = 'tandem'`))
	require.Zero(t, schemas)

	m, err := switchover.Join(t.Context(), pgtest.Open(t, dsn+" "+binary), switchover.JoinOptions{Service: "web", Log: quiet})
	require.NoError(t, err)
	require.NoError(t, m.Leave(t.Context()))
}
