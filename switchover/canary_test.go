package switchover_test

import (
	"math"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/internal/state"
	"github.com/tandem-go/tandem/switchover"
)

// with is open with a canary.
func with(c switchover.Canary) switchover.Options {
	o := open
	o.Canary = c
	return o
}

func (b bed) readsNew(m *switchover.Member, key ...string) bool {
	b.Helper()
	p := m.Pin(b.Context())
	defer p.Release()
	return p.ReadsNew(name, key)
}

func (b bed) share(m *switchover.Member, keys int) (share float64, set map[string]bool) {
	b.Helper()
	set = map[string]bool{}
	for i := range keys {
		if key := strconv.Itoa(i); b.readsNew(m, key) {
			set[key] = true
		}
	}
	return float64(len(set)) / float64(keys), set
}

// The share of keys is met, is the same for every member, and keeps its keys when it grows.
func TestCanaryShare(t *testing.T) {
	t.Parallel()
	b := newBed(t, switchover.Migrate)
	require.NoError(t, b.advance(switchover.Switch, with(switchover.Canary{Share: 0.1})))
	first, second := b.join("first"), b.join("second")
	before := map[string]bool{}
	for _, share := range []float64{0.1, 0.3, 0.9} {
		require.NoError(t, switchover.SetCanary(t.Context(), b.db, name, switchover.Canary{Share: share}, open))
		require.NoError(t, first.Refresh(t.Context()))
		require.NoError(t, second.Refresh(t.Context()))
		got, keys := b.share(first, 10000)
		require.InDelta(t, share, got, 0.02)
		for key := range before {
			require.True(t, keys[key], key)
		}
		_, others := b.share(second, 10000)
		require.Equal(t, keys, others)
		before = keys
	}
	require.NoError(t, switchover.SetCanary(t.Context(), b.db, name, switchover.Canary{Share: 0.5}, open))
	require.NoError(t, first.Refresh(t.Context()))
	apart := 0
	for i := range 100 {
		if a, z := strconv.Itoa(i), strconv.Itoa(i+1); b.readsNew(first, a, z) != b.readsNew(first, a+z) {
			apart++
		}
	}
	require.Greater(t, apart, 20, "the parts of a key are not run together")
	require.NoError(t, switchover.SetCanary(t.Context(), b.db, name, switchover.Canary{}, open))
	require.NoError(t, first.Refresh(t.Context()))
	p := first.Pin(t.Context())
	defer p.Release()
	require.False(t, p.Partial(name))
}

func TestCanaryGates(t *testing.T) {
	t.Parallel()
	b := newBed(t, switchover.Migrate)
	err := switchover.SetCanary(t.Context(), b.db, name, switchover.Canary{Share: 0.5}, open)
	require.ErrorIs(t, err, switchover.ErrStep)
	require.ErrorContains(t, err, "canary of users.full_name: it is in Migrate, a canary is for Switch")
	require.ErrorIs(t, switchover.SetCanary(t.Context(), b.db, "users.other", switchover.Canary{}, open), switchover.ErrUnknown)
	for _, c := range []switchover.Canary{{Share: -0.1}, {Share: 1.1}, {Share: math.NaN()}, {Tolerance: -1}, {Tolerance: 2}, {Tolerance: math.NaN()}, {Least: -1}} {
		require.ErrorContains(t, b.advance(switchover.Switch, with(c)), "canary: ")
		require.ErrorContains(t, switchover.SetCanary(t.Context(), b.db, name, c, open), "canary: ")
	}
	require.Equal(t, switchover.Migrate, b.migration().Phase)

	require.NoError(t, b.advance(switchover.Switch, with(switchover.Canary{Share: 0.25})))
	closed := b.gates(switchover.Contract, open)
	require.Contains(t, named(closed), "canary")
	require.Contains(t, closed[0].Missing, "only 25 % of the keys are read from new")
	// soak time counts from the last change of the share
	b.db.MustExec(`UPDATE tandem.migration SET changed_at = now() - interval '1 day', shared_at = now() - interval '1 day'`)
	soaked := switchover.Options{Quiet: switchover.None}
	require.NotContains(t, named(b.gates(switchover.Contract, soaked)), "soak")
	require.NoError(t, switchover.SetCanary(t.Context(), b.db, name, switchover.Canary{}, open))
	require.Contains(t, named(b.gates(switchover.Contract, soaked)), "soak")
	require.NotContains(t, named(b.gates(switchover.Contract, soaked)), "canary")
	b.db.MustExec(`UPDATE tandem.migration SET shared_at = now() - interval '1 day'`)
	require.NoError(t, switchover.SetCanary(t.Context(), b.db, name, switchover.Canary{Tolerance: 0.5}, open))
	require.NotContains(t, named(b.gates(switchover.Contract, soaked)), "soak", "another tolerance is no other share")
	events, err := state.Events(t.Context(), b.db, name)
	require.NoError(t, err)
	require.Equal(t, "canary", events[1].Kind)
	require.Equal(t, "ada", events[1].Actor)
}

func named(gates []switchover.Gate) (out []string) {
	for _, g := range gates {
		out = append(out, g.Name)
	}
	return out
}

// compared lets a member count reads, and waits until the database knows of them.
func (b bed) compared(m *switchover.Member, reads, different int64) {
	b.Helper()
	var before int64
	const count = `SELECT coalesce(sum(compared), 0) + (SELECT 1000000 * count(*) FROM tandem.event WHERE kind = 'fallback') FROM tandem.comparison`
	require.NoError(b, b.db.Get(&before, count))
	p := m.Pin(b.Context())
	p.Compared(name, reads, different)
	p.Release()
	b.soon(func() bool {
		var now int64
		require.NoError(b, b.db.Get(&now, count))
		return now != before
	}, "what was compared is told")
}

// Two members see differences that only together are too many: the fleet goes back to Migrate by itself, says why, and does not come forth again unverified.
func TestFallback(t *testing.T) {
	t.Parallel()
	b := newBed(t, switchover.Migrate)
	require.NoError(t, b.advance(switchover.Switch, with(switchover.Canary{Tolerance: 0.1, Least: 100})))
	first, second := b.join("first"), b.join("second")
	b.compared(first, 60, 60)
	require.Equal(t, switchover.Switch, b.migration().Phase, "too few reads to judge")
	b.compared(second, 540, 0)
	b.compared(first, 10, 1)
	require.Equal(t, switchover.Switch, b.migration().Phase, "61 of 610 differ: as much as 10 %, not more: nothing")
	b.compared(second, 1, 1)
	require.Equal(t, switchover.Migrate, b.migration().Phase)
	b.soon(func() bool {
		return first.Phase(name) == switchover.Migrate && second.Phase(name) == switchover.Migrate
	}, "the members follow")
	events, err := state.Events(t.Context(), b.db, name)
	require.NoError(t, err)
	last := events[len(events)-1]
	require.Equal(t, "fallback", last.Kind)
	require.Equal(t, [2]switchover.Phase{switchover.Switch, switchover.Migrate}, [2]switchover.Phase{last.From, last.To})
	require.Equal(t, "62 of 611 compared reads of the last minutes differed, more than the tolerated share of 0.1", last.Detail)
	require.Contains(t, last.Actor, "member second ")
	require.Contains(t, named(b.gates(switchover.Switch, open)), "verify")
	list, err := switchover.Status(t.Context(), b.db, open)
	require.NoError(t, err)
	require.Equal(t, state.Fallback, list[0].Step.Kind)
	require.Contains(t, list[0].String(), "\n  last step: fallback by "+last.Actor+": 62 of 611 compared reads of the last minutes differed")
}

// What must not move the phase: a phase of before, another than Switch, a tolerance of everything, the way back from Contract, where old is stale, an old without its unique indexes,
// numbers that make no sense, and who is no member.
func TestNoFallback(t *testing.T) {
	t.Parallel()
	b := newBed(t, switchover.Migrate)
	m := b.join("web")
	b.compared(m, 1000, 1000)
	require.Equal(t, switchover.Migrate, b.migration().Phase)
	require.NoError(t, b.advance(switchover.Switch, with(switchover.Canary{Tolerance: 1})))
	require.NoError(t, m.Refresh(t.Context()))
	b.compared(m, 5000, 5000)
	require.Equal(t, switchover.Switch, b.migration().Phase)
	require.NoError(t, switchover.SetCanary(t.Context(), b.db, name, switchover.Canary{}, open))
	epoch := b.migration().Epoch
	for _, where := range []string{`guard = 'reverse'`, `relaxed = '{"not_null": true}'`} {
		b.db.MustExec(`UPDATE tandem.migration SET ` + where)
		b.compared(m, 5000, 5000)
		b.db.MustExec(`UPDATE tandem.migration SET guard = 'repair', relaxed = '{}'`)
	}
	for _, c := range []state.Compared{{Migration: name, Epoch: epoch - 1, Compared: 5000, Different: 5000}, {Migration: "users.other", Epoch: 1, Compared: 5000, Different: 5000},
		{Migration: name, Epoch: epoch, Compared: 1, Different: 2}, {Migration: name, Epoch: epoch, Compared: -1, Different: -1}} {
		why, err := state.Compare(t.Context(), b.db, m.ID(), c)
		require.NoError(t, err)
		require.Empty(t, why)
	}
	require.Equal(t, switchover.Switch, b.migration().Phase)
	nobody, err := state.Compare(t.Context(), b.db, "nobody", state.Compared{Migration: name, Epoch: epoch, Compared: 1, Different: 1})
	require.NoError(t, err)
	require.Empty(t, nobody)
	why, err := state.Compare(t.Context(), b.db, m.ID(), state.Compared{Migration: name, Epoch: epoch, Compared: 1, Different: 1})
	require.NoError(t, err)
	require.NotEmpty(t, why)
}

// The application's role may not move a phase, and need not.
func TestFallbackByAPlainRole(t *testing.T) {
	t.Parallel()
	b := newBed(t, switchover.Migrate)
	require.NoError(t, b.advance(switchover.Switch, with(switchover.Canary{Least: 10})))
	var database string
	require.NoError(t, b.db.Get(&database, `SELECT current_database()`))
	role := database + "_app"
	b.db.MustExec(`CREATE ROLE ` + role)
	t.Cleanup(func() { b.db.MustExec(`DROP ROLE ` + role) })
	app := pgtest.Open(t, b.dsn+" options='-c role="+role+"'")
	_, err := app.Exec(`UPDATE tandem.migration SET phase = 'Migrate'`)
	require.ErrorContains(t, err, "permission denied")
	plain := bed{TB: t, dsn: b.dsn, db: app}
	m := plain.join("app")
	b.compared(m, 100, 50)
	require.Equal(t, switchover.Migrate, b.migration().Phase)
}

// Filters ask old while the share is partial. So nobody may still be pinned to a partial share when old is not written any more, and none is partial where old is stale.
func TestPartialShareNeverMeetsAStaleOld(t *testing.T) {
	t.Parallel()
	b := newBed(t, switchover.Migrate)
	require.NoError(t, b.advance(switchover.Switch, with(switchover.Canary{Share: 0.5})))
	m := b.join("web")
	b.soon(func() bool { return b.acknowledged(m) }, "it acknowledges Switch")
	pin := m.Pin(t.Context())
	require.True(t, pin.Partial(name))
	require.NoError(t, switchover.SetCanary(t.Context(), b.db, name, switchover.Canary{}, open))
	require.NoError(t, m.Refresh(t.Context()))
	require.Contains(t, named(b.gates(switchover.Contract, open)), "members")
	pin.Release()
	b.soon(func() bool { return b.acknowledged(m) }, "it acknowledges the share")
	require.NotContains(t, named(b.gates(switchover.Contract, open)), "members")

	b.db.MustExec(`UPDATE tandem.migration SET guard = 'reverse', share = 0.5`) // as a library of before would leave it
	require.NoError(t, m.Refresh(t.Context()))
	pin = m.Pin(t.Context())
	defer pin.Release()
	require.False(t, pin.Partial(name))
	err := switchover.SetCanary(t.Context(), b.db, name, switchover.Canary{Share: 0.5}, open)
	require.ErrorIs(t, err, switchover.ErrStep)
	require.ErrorContains(t, err, "on the way back from Contract")
	o := open
	o.Waive = map[string]string{"canary": "in a hurry"}
	require.Contains(t, named(b.gates(switchover.Contract, o)), "canary", "it guards data")
}
