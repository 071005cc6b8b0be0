package topology_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/internal/server"
	"github.com/tandem-go/tandem/internal/state"
	"github.com/tandem-go/tandem/switchover"
)

const (
	waitTime = time.Minute
	pollTime = 5 * time.Millisecond
)

// replica is a primary and its standby.
type replica struct {
	*testing.T
	primary, standby *sqlx.DB
	member           *switchover.Member
	users            *expand.Repository[user] // on the standby, with the phases of the primary
	seen             [all + 1]int64
	replayed         [all + 1]int64 // what was written for certain before the point that the standby has come to
	reads            int
	notYet           int // reads that the standby refused because it had not replayed the columns, or had replayed their end
}

// newReplica starts both from local binaries, whatever server the other tests use.
func newReplica(t *testing.T) *replica {
	t.Helper()
	primary, err := server.StartLocal(t.Context(), server.Options{})
	if err != nil && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, primary.Close()) })
	r := &replica{T: t, primary: pgtest.Open(t, primary.DSN(""))}
	create(t, r.primary)
	standby, err := primary.Standby(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, standby.Close()) })
	r.standby = pgtest.Open(t, standby.DSN(""))
	return r
}

func (r *replica) pause() {
	r.Helper()
	r.standby.MustExec(`SELECT pg_wal_replay_pause()`)
	require.Eventually(r, func() bool {
		var state string
		require.NoError(r, r.standby.Get(&state, `SELECT pg_get_wal_replay_pause_state()`))
		return state == "paused"
	}, waitTime, pollTime)
}

// resume returns when the standby has replayed all that the primary has written before.
func (r *replica) resume(c *counters) {
	r.Helper()
	for key := range r.replayed {
		r.replayed[key] = c.done[key].Load()
	}
	var at string
	require.NoError(r, r.primary.Get(&at, `SELECT pg_current_wal_lsn()`))
	r.standby.MustExec(`SELECT pg_wal_replay_resume()`)
	require.Eventually(r, func() bool {
		var there bool
		require.NoError(r, r.standby.Get(&there, `SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn`, at))
		return there
	}, waitTime, pollTime)
}

// get reads a key by the repository and by hand, in turn.
func (r *replica) get(ctx context.Context, key int64) (string, error) {
	r.reads++
	if r.reads%2 == 0 {
		u, err := r.users.Get(ctx, key)
		return u.FullName, err
	}
	var value string
	err := fullName.Do(ctx, r.member, func(p *expand.Pinned[string, string]) error {
		var v row
		err := sqlx.GetContext(ctx, r.standby, &v, `SELECT id, `+p.Select("users")+` FROM users WHERE id = $1`, key)
		if err == nil {
			value, err = p.Read(v.FullName, key)
		}
		return err
	})
	return value, err
}

// read reads all keys: no value goes back, none was never written, and while the standby stands still none changes, whatever the phase.
func (r *replica) read(c *counters, still bool) {
	r.Helper()
	for key := int64(1); key <= all; key++ {
		value, err := r.get(r.Context(), key)
		if pg.SQLState(err) == pg.UndefinedColumn {
			r.notYet++
			continue
		}
		require.NoError(r, err)
		n := number(r.T, value)
		require.LessOrEqual(r, n, c.begun[key].Load(), "key %d", key)
		require.GreaterOrEqual(r, n, r.seen[key], "key %d goes back", key)
		require.GreaterOrEqual(r, n, r.replayed[key], "key %d is older than what the standby has replayed", key)
		if still {
			require.Equal(r, r.seen[key], n, "key %d changes on a standby that stands still", key)
		}
		r.seen[key] = n
	}
}

// The primary walks through all phases under load, and a member that knows its phases reads on a standby that is some steps behind.
func TestStandby(t *testing.T) {
	t.Parallel()
	for _, lag := range []int{1, 4, 100} {
		t.Run(fmt.Sprintf("%d steps behind", lag), func(t *testing.T) { newReplica(t).walk(lag) })
	}
}

// holdsUpTheDrop asks the gates of Complete about the standby.
func (r *replica) holdsUpTheDrop() bool {
	r.Helper()
	gates, err := switchover.Gates(r.Context(), r.primary, fullName.Name(), switchover.Complete, switchover.Options{})
	require.NoError(r, err)
	return slices.ContainsFunc(gates, func(g switchover.Gate) bool {
		return g.Name == "standbys" && strings.Contains(g.Missing, "bytes of log behind")
	})
}

// hidesFromPlainRoles: a role that may not see how far a standby is takes it for one that lags.
func (r *replica) hidesFromPlainRoles() {
	r.Helper()
	tx := r.primary.MustBegin()
	defer func() { _ = tx.Rollback() }()
	tx.MustExec(`CREATE ROLE plain; SET LOCAL ROLE plain`)
	list, err := state.Standbys(r.Context(), tx, fullName.Name())
	require.NoError(r, err)
	require.Len(r, list, 1)
	require.True(r, list[0].Hidden)
}

func (r *replica) walk(lag int) {
	var c counters
	var written *expand.Repository[user]
	var err error
	r.member, written = join(r.T, r.primary)
	r.users, err = expand.NewRepository[user](r.standby, r.member, fullName)
	require.NoError(r, err)
	stop := c.load(r.T, r.primary, r.member, written)
	list := steps(r.primary)
	for i, s := range list {
		// From Complete on only new is read: the standby must have come to Contract. It also needs the columns of the first step.
		if i == len(list)-1 && lag > i {
			require.True(r, r.holdsUpTheDrop(), "it has not come to the step to Contract")
			r.hidesFromPlainRoles()
		}
		if i%lag == 0 || i == 1 || i == len(list)-1 {
			r.resume(&c)
			r.read(&c, false)
			r.pause()
			r.read(&c, false) // what it has replayed until it stood still
		}
		require.False(r, i == len(list)-1 && r.holdsUpTheDrop())
		require.NoError(r, s.do(r.Context()), "step %d, %s", i, s.name)
		require.NoError(r, r.member.Refresh(r.Context()))
		if n := c.deadlocks.Swap(0); n > 0 {
			r.Logf("step %d, %s: %d deadlocks with the load", i, s.name, n)
		}
		began := c.operations.Load()
		require.Eventually(r, func() bool { return r.Failed() || c.operations.Load() > began+2*keys }, waitTime, pollTime, "the load goes on after %s", s.name)
		r.read(&c, true)
		require.False(r, r.Failed(), "step %d, %s", i, s.name)
	}
	stop()
	r.resume(&c)
	r.read(&c, false)
	for key := int64(1); key <= keys; key++ {
		require.GreaterOrEqual(r, r.seen[key], c.done[key].Load())
	}
	require.Less(r, r.notYet, r.reads/2)
	r.Logf("%d operations on the primary, %d reads on the standby, %d of them refused", c.operations.Load(), r.reads, r.notYet)
}
