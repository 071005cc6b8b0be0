package topology_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/pgtest"
)

// Everything goes through PgBouncer in transaction mode: members, writers, readers and the operator, many more of them than sessions.
func TestPooler(t *testing.T) {
	t.Parallel()
	direct := pgtest.New(t)
	create(t, direct)
	var name string
	require.NoError(t, direct.Get(&name, `SELECT current_database()`))
	db := pgtest.Open(t, pgtest.Pooler(t, "transaction", 4).DSN(name, "binary_parameters=yes"))
	m, users := join(t, db)
	var c counters
	stop := c.load(t, db, m, users)
	for i, s := range steps(db) {
		before := c.operations.Load()
		require.NoError(t, s.do(t.Context()), "step %d, %s", i, s.name)
		if n := c.deadlocks.Swap(0); n > 0 {
			t.Logf("step %d, %s: %d deadlocks with the load", i, s.name, n)
		}
		require.Eventually(t, func() bool { return t.Failed() || c.operations.Load() > before+2*keys }, waitTime, pollTime, "the load goes on after %s", s.name)
		require.False(t, t.Failed(), "step %d, %s", i, s.name)
	}
	stop()
	c.kept(t, direct)
	t.Logf("%d operations through 4 sessions", c.operations.Load())
}
