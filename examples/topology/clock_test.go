package topology_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/internal/server"
	"github.com/tandem-go/tandem/switchover"
)

// clock is that of a server, which can be set: the members' is the machine's.
type clock struct {
	*testing.T
	file string
}

// newClock starts a server of local binaries with a clock of its own. libfaketime reads the difference from a file each time that somebody asks for the time of day;
// what measures how long something takes stays as it is, as on a machine whose clock is set.
func newClock(t *testing.T, ahead time.Duration) (clock, *server.Server) {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/*/faketime/libfaketime.so.1")
	require.NoError(t, err)
	if len(found) == 0 && os.Getenv("CI") != "true" {
		t.Skip("no libfaketime in /usr/lib/*/faketime (install faketime)")
	}
	require.NotEmpty(t, found, "no libfaketime in /usr/lib/*/faketime")
	folder := t.TempDir()
	for _, f := range []string{folder, filepath.Dir(folder)} { // the server is another user
		require.NoError(t, os.Chmod(f, 0o755))
	}
	c := clock{t, filepath.Join(folder, "clock")}
	c.set(ahead)
	srv, err := server.StartLocal(t.Context(), server.Options{Env: []string{"LD_PRELOAD=" + found[0], "FAKETIME_TIMESTAMP_FILE=" + c.file,
		"FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1", "FAKETIME_DISABLE_SHM=1"}})
	if err != nil && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, srv.Close()) })
	return c, srv
}

// set makes the clock so much faster than the machine's, at once.
func (c clock) set(ahead time.Duration) {
	c.Helper()
	require.NoError(c, os.WriteFile(c.file+".new", fmt.Appendf(nil, "%+d", int(ahead.Seconds())), 0o644)) //nolint:gosec // the server is another user
	require.NoError(c, os.Rename(c.file+".new", c.file))
}

// The members' clocks are an hour off from the server's, or it is set by an hour between the steps and while a step runs; a fleet goes through all phases all the same.
func TestClock(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string][]time.Duration{
		"ahead":       {time.Hour},
		"behind":      {-time.Hour},
		"set forward": {0, time.Hour, 2 * time.Hour, 3 * time.Hour},
		"set back":    {0, -time.Hour, -2 * time.Hour, -3 * time.Hour},
		"to and fro":  {time.Hour, -time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, srv := newClock(t, settings[0])
			db := pgtest.Open(t, srv.DSN(""))
			create(t, db)
			var off float64
			require.NoError(t, db.Get(&off, `SELECT extract(epoch FROM clock_timestamp()) - $1`, time.Now().Unix()))
			require.InDelta(t, settings[0].Seconds(), off, 60)
			m, users := join(t, db)
			var n counters
			stop := n.load(t, db, m, users)
			list := steps(db)
			for i, s := range list {
				c.set(settings[i*len(settings)/len(list)])
				if name == "to and fro" {
					c.set(settings[i%2])
				}
				before := n.operations.Load()
				require.NoError(t, s.take(t.Context()), "step %d, %s", i, s.name)
				require.Eventually(t, func() bool { return t.Failed() || n.operations.Load() > before+2*keys }, waitTime, pollTime, "the load goes on after %s", s.name)
				require.False(t, t.Failed(), "step %d, %s", i, s.name)
			}
			stop()
			n.kept(t, db)
		})
	}
}

// A gate waits for a member, whose clock is of no matter, and hears of it once a beat; where the clock was set it may look dead for that long.
func TestClockOfMembers(t *testing.T) {
	t.Parallel()
	c, srv := newClock(t, time.Hour)
	db := pgtest.Open(t, srv.DSN(""))
	create(t, db)
	require.NoError(t, expand.Apply(t.Context(), db, fullName, expand.Options{}))
	m, err := switchover.Join(t.Context(), db, switchover.JoinOptions{Service: "late", Poll: 20 * time.Millisecond, Beat: 20 * time.Millisecond})
	require.NoError(t, err)
	defer func() { _ = m.Leave(context.WithoutCancel(t.Context())) }()
	pin := m.Pin(t.Context()) // it cannot acknowledge what comes
	require.NoError(t, switchover.Advance(t.Context(), db, fullName.Name(), switchover.Expand, switchover.Options{}))
	for _, ahead := range []time.Duration{time.Hour, -time.Hour, 0, 3 * time.Hour} {
		c.set(ahead)
		require.Eventually(t, func() bool {
			list, err := switchover.Status(t.Context(), db, switchover.Options{})
			require.NoError(t, err)
			require.Len(t, list[0].Members, 1)
			return list[0].Members[0].Live
		}, waitTime, pollTime, "it is heard of again")
		err := switchover.Advance(t.Context(), db, fullName.Name(), switchover.Migrate, switchover.Options{})
		require.ErrorContains(t, err, "members: late", "%s", ahead)
		require.ErrorContains(t, err, "has not acknowledged Expand", "%s", ahead)
	}
	pin.Release()
	require.NoError(t, switchover.Advance(t.Context(), db, fullName.Name(), switchover.Migrate, hurried))
}

// What has died an hour before the clock was set back is as dead: nobody waits for it, or is kept from its work, until the clock has caught up.
func TestClockOfTheDead(t *testing.T) {
	t.Parallel()
	c, srv := newClock(t, time.Hour)
	db := pgtest.Open(t, srv.DSN(""))
	create(t, db)
	list := steps(db)
	for _, s := range list[:3] { // to Migrate
		require.NoError(t, s.take(t.Context()), s.name)
	}
	db.MustExec(`INSERT INTO tandem.member (id, service, build, host, pid, seen_at) VALUES ('x', 'dead', '', '', 1, clock_timestamp())`)
	db.MustExec(`INSERT INTO tandem.backfill (migration, kind, owner, updated_at) VALUES ($1, 'copy', 'dead', clock_timestamp())`, fullName.Name())
	c.set(0)
	ctx, cancel := context.WithTimeout(t.Context(), waitTime)
	defer cancel()
	res, err := backfill.Run(ctx, db, fullName, backfill.Options{})
	require.NoError(t, err)
	require.EqualValues(t, 2000, res.Rows)
	for _, s := range list[4:7] { // to Switch
		require.NoError(t, s.take(t.Context()), s.name)
	}
	db.MustExec(`UPDATE users SET user_name = 'x' WHERE id = 1`) // a stray
	c.set(-time.Hour)
	err = switchover.Advance(t.Context(), db, fullName.Name(), switchover.Contract, switchover.Options{})
	require.ErrorContains(t, err, "soak: ")   // what only protects from trouble
	require.ErrorContains(t, err, "strays: ") // stays closed rather than open
	for _, s := range list[7:] {
		require.NoError(t, s.take(t.Context()), s.name)
	}
}
