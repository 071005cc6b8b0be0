package switchover_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/switchover"
)

func TestJoinAndLeave(t *testing.T) {
	t.Parallel()
	b := newBed(t, switchover.Expand)
	m := b.joinWith(switchover.JoinOptions{Service: "web", Build: "v1", Poll: pollTime, Log: quiet})
	require.Equal(t, switchover.Expand, m.Phase(name)) // known at once
	require.Equal(t, switchover.Start, m.Phase("another"))
	row, ok := b.row(m)
	require.True(t, ok)
	require.Equal(t, "web", row.Service)
	require.Equal(t, "v1", row.Build)
	require.True(t, b.acknowledged(m))
	require.NoError(t, m.Leave(t.Context()))
	_, ok = b.row(m)
	require.False(t, ok)
	require.NoError(t, m.Leave(t.Context())) // again
	require.Equal(t, switchover.Expand, m.Phase(name))
}

// The first member of all installs the state schema.
func TestJoinInstalls(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	m, err := switchover.Join(t.Context(), db, switchover.JoinOptions{Log: quiet})
	require.NoError(t, err)
	pin := m.Pin(t.Context())
	require.Equal(t, switchover.Start, pin.Phase(name))
	require.Empty(t, pin.Fingerprint(name))
	pin.Release()
	require.NoError(t, m.Leave(t.Context()))
}

func TestJoinRefuses(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	for _, o := range []switchover.JoinOptions{{Poll: -1}, {Beat: -1}, {Beat: switchover.DefaultLease}} {
		_, err := switchover.Join(t.Context(), db, o)
		require.ErrorContains(t, err, "join: poll")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := switchover.Join(ended, db, switchover.JoinOptions{})
	require.ErrorIs(t, err, context.Canceled)
	db.MustExec(`CREATE SCHEMA tandem; COMMENT ON SCHEMA tandem IS 'tandem state, version 99'`)
	_, err = switchover.Join(t.Context(), db, switchover.JoinOptions{Service: "web"})
	require.ErrorIs(t, err, switchover.ErrNewer)
	require.ErrorContains(t, err, "join as web: ")
	var members int
	db.MustExec(`CREATE TABLE tandem.member ()`)
	require.NoError(t, db.Get(&members, `SELECT count(*) FROM tandem.member`))
	require.Zero(t, members)
}

// An operation that is pinned to an earlier phase holds back the acknowledgement; its release lets it through.
func TestPinHoldsBackTheAcknowledgement(t *testing.T) {
	t.Parallel()
	b := newBed(t, switchover.Expand)
	m := b.join("web")
	first, second := m.Pin(t.Context()), m.Pin(t.Context())
	before, _ := b.row(m)
	b.set(switchover.Migrate)
	b.soon(func() bool { return m.Phase(name) == switchover.Migrate }, "the new phase is read")
	late := m.Pin(t.Context())
	require.Equal(t, switchover.Expand, first.Phase(name)) // for the whole operation
	require.Equal(t, switchover.Migrate, late.Phase(name))
	b.beatAgain(m)
	b.beatAgain(m)
	row, _ := b.row(m)
	require.Equal(t, before.Epochs, row.Epochs)
	require.Len(t, b.gates(switchover.Switch, open), 1)

	first.Release()
	b.beatAgain(m)
	require.False(t, b.acknowledged(m)) // one of two
	b.set(switchover.Switch)            // and meanwhile the phase goes on
	b.soon(func() bool { return m.Phase(name) == switchover.Switch }, "the next phase is read")
	second.Release()
	b.beatAgain(m)
	require.False(t, b.acknowledged(m)) // late is of Migrate
	late.Release()
	b.soon(func() bool { return b.acknowledged(m) }, "released, so acknowledged")
	require.Empty(t, b.gates(switchover.Contract, open))
}

// An operation of the present phase holds nothing back.
func TestPinOfThePresentPhase(t *testing.T) {
	t.Parallel()
	b := newBed(t, switchover.Expand)
	m := b.join("web")
	b.set(switchover.Migrate)
	require.NoError(t, m.Refresh(t.Context()))
	pin := m.Pin(t.Context())
	defer pin.Release()
	b.soon(func() bool { return b.acknowledged(m) }, "acknowledged")
}

func TestTwoMembers(t *testing.T) {
	t.Parallel()
	b := newBed(t, switchover.Expand)
	fast, slow := b.join("fast"), b.join("slow")
	pin := slow.Pin(t.Context())
	require.NoError(t, b.advance(switchover.Migrate, open))
	b.soon(func() bool { return b.acknowledged(fast) }, "the fast one acknowledges")
	err := b.advance(switchover.Switch, open)
	var refused *switchover.GateError
	require.ErrorAs(t, err, &refused)
	require.Len(t, refused.Gates, 1)
	require.ErrorContains(t, err, "slow")
	require.NotContains(t, err.Error(), "fast")
	pin.Release()
	o := open
	o.Wait = true
	require.NoError(t, b.advance(switchover.Switch, o))
	b.soon(func() bool { return fast.Phase(name) == switchover.Switch && slow.Phase(name) == switchover.Switch }, "both follow")
}

// A member that is silent for the lease is not waited for; heard again, it is.
func TestSilentMember(t *testing.T) {
	t.Parallel()
	b := newBed(t, switchover.Expand)
	b.db.MustExec(`INSERT INTO tandem.member (id, service, build, host, pid, epochs) VALUES ('x', 'ghost', 'v0', 'h', 1, '{}')`)
	require.ErrorContains(t, b.advance(switchover.Migrate, open), "ghost v0 on h pid 1 has not acknowledged Expand")
	b.db.MustExec(`UPDATE tandem.member SET seen_at = clock_timestamp() - interval '31 seconds' WHERE id = 'x'`)
	require.Empty(t, b.gates(switchover.Migrate, open))
	o := open
	o.Lease = time.Minute
	require.Len(t, b.gates(switchover.Migrate, o), 1)
	require.NoError(t, b.advance(switchover.Migrate, open))
}

// A member whose row was removed, as after a long silence, registers again by itself.
func TestForgottenMemberComesBack(t *testing.T) {
	t.Parallel()
	b := newBed(t, switchover.Expand)
	m := b.join("web")
	b.db.MustExec(`DELETE FROM tandem.member`)
	b.soon(func() bool { return b.acknowledged(m) }, "it is back")
}

// The last admitted phase stays while the database cannot be asked, and the goroutine finds its way back.
func TestLostConnections(t *testing.T) {
	t.Parallel()
	b := newBed(t, switchover.Expand)
	admin := pgtest.Open(t, b.dsn+" application_name=admin")
	m := b.join("web")
	for range 3 {
		_, err := admin.Exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
		require.NoError(t, err)
		require.Equal(t, switchover.Expand, m.Phase(name))
	}
	b.soon(func() bool { return m.Refresh(t.Context()) == nil }, "a new connection")
	_, err := admin.Exec(`UPDATE tandem.migration SET phase = 'Migrate', epoch = epoch + 1`)
	require.NoError(t, err)
	b.soon(func() bool { return m.Phase(name) == switchover.Migrate && b.acknowledged(m) }, "the goroutine goes on")
	_, err = admin.Exec(`ALTER TABLE tandem.migration RENAME TO away`)
	require.NoError(t, err)
	require.ErrorIs(t, m.Refresh(t.Context()), switchover.ErrNoSchema)
	pin := m.Pin(t.Context())
	require.Equal(t, switchover.Migrate, pin.Phase(name))
	pin.Release()
	_, err = admin.Exec(`ALTER TABLE tandem.away RENAME TO migration`)
	require.NoError(t, err)
	require.NoError(t, m.Refresh(t.Context()))
}

// After a long stop of the process, the first operation reads the phase before it begins.
func TestPinOfAStaleMemberReads(t *testing.T) {
	t.Parallel()
	b := newBed(t, switchover.Expand)
	m := b.joinWith(switchover.JoinOptions{Poll: time.Nanosecond, Beat: time.Second, Log: quiet})
	require.NoError(t, m.Leave(t.Context())) // nobody refreshes any more, and after 10 ns all is stale
	b.set(switchover.Migrate)
	require.Equal(t, switchover.Expand, m.Phase(name))
	pin := m.Pin(t.Context())
	require.Equal(t, switchover.Migrate, pin.Phase(name))
	require.NotEmpty(t, pin.Fingerprint(name))
	pin.Release()
}

// Pins, refreshes and acknowledgements at once; the race detector watches.
func TestManyPinsAtOnce(t *testing.T) {
	t.Parallel()
	b := newBed(t, switchover.Expand)
	m := b.join("web")
	var all sync.WaitGroup
	stop := make(chan struct{})
	for range 8 {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				pin := m.Pin(t.Context())
				first := pin.Phase(name)
				_ = m.Refresh(t.Context())
				if pin.Phase(name) != first {
					t.Error("a pinned phase has moved")
				}
				pin.Release()
			}
		})
	}
	for _, p := range []switchover.Phase{switchover.Migrate, switchover.Expand, switchover.Migrate, switchover.Switch} {
		b.set(p)
		b.soon(func() bool { return b.acknowledged(m) }, "acknowledged under load")
	}
	close(stop)
	all.Wait()
	require.Equal(t, switchover.Switch, m.Phase(name))
}

func TestDifferences(t *testing.T) {
	t.Parallel()
	b := newBed(t, switchover.Switch)
	var seen []switchover.Difference
	m := b.joinWith(switchover.JoinOptions{Service: "web", Poll: time.Hour, Log: quiet, OnDifference: func(d switchover.Difference) { seen = append(seen, d) }})
	for range 3 { // one row, seen three times
		m.Report(switchover.Difference{Migration: name, Key: []string{"1", "a,b"}, Detail: "old ada, new eve", Phase: switchover.Switch})
	}
	m.Report(switchover.Difference{Migration: name, Key: []string{"2"}, Detail: "x", Phase: switchover.Switch})
	require.Len(t, seen, 4)
	require.NoError(t, m.Leave(t.Context())) // stores what waits
	var rows []string
	require.NoError(t, b.db.Select(&rows, `SELECT array_to_string(key, '/') || ' ' || detail || ' ' || phase || ' ' || source FROM tandem.mismatch ORDER BY 1`))
	require.Equal(t, []string{"1/a,b old ada, new eve Switch read", "2 x Switch read"}, rows)
	require.Equal(t, "differences", b.gates(switchover.Contract, open)[0].Name)
	for i := range 1000 { // more than the buffer holds: counted, not waited for
		m.Report(switchover.Difference{Migration: name, Key: []string{"x"}, Phase: switchover.Switch, Detail: string(rune('a' + i%26))})
	}
}

// A poll that hangs holds up no operation: it goes on with the last admitted phases.
func TestStuckPoll(t *testing.T) {
	t.Parallel()
	b := newBed(t, switchover.Expand)
	m := b.join("web")
	tx := b.db.MustBegin()
	defer func() { _ = tx.Rollback() }()
	tx.MustExec(`LOCK TABLE tandem.migration IN ACCESS EXCLUSIVE MODE`)
	b.soon(func() bool {
		var n int
		require.NoError(t, b.db.Get(&n, `SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'tandem.migration'::regclass`))
		return n > 0
	}, "the poll waits")
	done := make(chan switchover.Phase)
	for range 5 {
		go func() {
			pin := m.Pin(t.Context())
			defer pin.Release()
			done <- pin.Phase(name)
		}()
	}
	for range 5 {
		select {
		case p := <-done:
			require.Equal(t, switchover.Expand, p)
		case <-time.After(waitTime):
			require.Fail(t, "an operation waits for the poll")
		}
	}
	require.NoError(t, tx.Rollback())
	b.beatAgain(m)
}

// A member is heard of between polls.
func TestSlowPollBeats(t *testing.T) {
	t.Parallel()
	b := newBed(t, switchover.Expand)
	m := b.joinWith(switchover.JoinOptions{Service: "web", Poll: time.Hour, Beat: pollTime, Log: quiet})
	b.set(switchover.Migrate)
	b.beatAgain(m)
	require.Equal(t, switchover.Expand, m.Phase(name))
	require.Equal(t, "members", b.gates(switchover.Switch, open)[0].Name)
}
