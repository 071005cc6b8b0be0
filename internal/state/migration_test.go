package state_test

import (
	"context"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/ddl"
	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pair"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/internal/phase"
	"github.com/tandem-go/tandem/internal/state"
)

// waitTime bounds a wait for what another goroutine is about to do.
const (
	waitTime = 30 * time.Second
	pollTime = 10 * time.Millisecond
)

func rename() pair.Definition {
	return pair.Definition{Table: ident.Table{Schema: "public", Name: "users"}, Key: []string{"id"}, Old: []string{"user_name"}, New: []string{"full_name"},
		Stamp: "full_name_stamp", Forward: []string{"{user_name}"}, Backward: []string{"{full_name}"}}
}

func installed(t *testing.T) *sqlx.DB {
	t.Helper()
	db := pgtest.New(t)
	require.NoError(t, state.Install(t.Context(), db))
	return db
}

// in runs fn in a transaction that is committed unless fn fails.
func in(t *testing.T, db *sqlx.DB, fn func(ctx context.Context, tx *sqlx.Tx) error) error {
	t.Helper()
	return pg.InTx(t.Context(), db, pg.Settings{}, fn)
}

func register(t *testing.T, db *sqlx.DB, d pair.Definition) (m *state.Migration, err error) {
	t.Helper()
	err = in(t, db, func(ctx context.Context, tx *sqlx.Tx) (err error) {
		m, err = state.Register(ctx, tx, d)
		return err
	})
	return m, err
}

func TestRegister(t *testing.T) {
	t.Parallel()
	db := installed(t)
	_, err := state.Load(t.Context(), db, rename().Name())
	require.ErrorIs(t, err, state.ErrUnknown)
	first, err := register(t, db, rename())
	require.NoError(t, err)
	require.Equal(t, "users.full_name", first.Name)
	require.Equal(t, phase.Start, first.Phase)
	require.Equal(t, guard.None, first.Guard)
	require.EqualValues(t, 1, first.Epoch)
	require.Equal(t, rename(), first.Definition)
	again, err := register(t, db, rename())
	require.NoError(t, err)
	require.Equal(t, first.Epoch, again.Epoch)
	require.Equal(t, first.ChangedAt, again.ChangedAt)

	other := rename()
	other.Backward = nil
	_, err = register(t, db, other)
	require.ErrorIs(t, err, state.ErrRedeclare)
	require.ErrorContains(t, err, "users.full_name in phase Start")
	loaded, err := state.Load(t.Context(), db, first.Name)
	require.NoError(t, err)
	require.Equal(t, rename(), loaded.Definition)
	list, err := state.List(t.Context(), db)
	require.NoError(t, err)
	require.Len(t, list, 1)
}

// notes writes a line about the migration into each table that has such lines, and counts them.
func notes(t *testing.T, db *sqlx.DB, write bool, name string) (n int) {
	t.Helper()
	if write {
		db.MustExec(`INSERT INTO tandem.dirty (migration, key) VALUES ($1, '{1}')`, name)
		db.MustExec(`INSERT INTO tandem.stray (migration, operation, application, role, address, query_start) VALUES ($1, 'update', 'cron', 'r', 'local', now())`, name)
		db.MustExec(`INSERT INTO tandem.bad_row (migration, key, error) VALUES ($1, '{1}', 'x')`, name)
		db.MustExec(`INSERT INTO tandem.mismatch (migration, key, detail, phase, source) VALUES ($1, '{1}', 'x', 'Switch', 'read')`, name)
		db.MustExec(`INSERT INTO tandem.backfill (migration, kind, owner) VALUES ($1, 'copy', 'x')`, name)
	}
	for _, table := range []string{"dirty", "stray", "bad_row", "mismatch", "backfill"} {
		var rows int
		require.NoError(t, db.Get(&rows, `SELECT count(*) FROM tandem.`+table+` WHERE migration = $1`, name))
		n += rows
	}
	return n
}

// A complete migration's name begins again, perhaps with another declaration; what was noted for it, and for it alone, is forgotten.
// A column is in one migration at a time; complete ones do not count.
func TestOverlap(t *testing.T) {
	t.Parallel()
	db := installed(t)
	_, err := register(t, db, rename())
	require.NoError(t, err)
	var last pair.Definition
	for name, change := range map[string]func(d *pair.Definition){
		"one old, two new":      func(d *pair.Definition) { d.New, d.Stamp = []string{"other"}, "other_stamp" },
		"new is old of another": func(d *pair.Definition) { d.Old, d.New, d.Stamp = d.New, []string{"third"}, "third_stamp" },
		"stamp is new of it":    func(d *pair.Definition) { d.Old, d.New, d.Stamp = []string{"a"}, []string{"full_name_stamp"}, "b" },
	} {
		d := rename()
		change(&d)
		d.Forward, d.Backward = nil, nil
		_, err := register(t, db, d)
		require.ErrorIs(t, err, state.ErrOverlap, name)
		require.ErrorContains(t, err, "belongs to migration users.full_name, which is in Start")
		last = d
	}
	apart := rename()
	apart.Table.Name = "customers"
	_, err = register(t, db, apart)
	require.NoError(t, err)
	db.MustExec(`UPDATE tandem.migration SET phase = 'Complete'`)
	_, err = register(t, db, last)
	require.NoError(t, err)
}

func TestCompleteBeginsAgain(t *testing.T) {
	t.Parallel()
	db := installed(t)
	name := rename().Name()
	m, err := register(t, db, rename())
	require.NoError(t, err)
	require.Equal(t, 5, notes(t, db, true, name))
	require.Equal(t, 5, notes(t, db, true, "another"))
	_, err = register(t, db, rename())
	require.NoError(t, err)
	require.Equal(t, 5, notes(t, db, false, name)) // under way: kept
	require.NoError(t, in(t, db, func(ctx context.Context, tx *sqlx.Tx) error {
		require.NoError(t, m.SetRelaxed(ctx, tx, state.Relaxed{NotNull: true, Restore: []ddl.Step{{Name: "x", SQL: []string{"SELECT 1"}}}}))
		require.NoError(t, state.Log(ctx, tx, state.Event{Migration: name, Kind: "advance"}))
		return m.Move(ctx, tx, phase.Complete, guard.None)
	}))
	d := rename()
	d.Backward = nil
	again, err := register(t, db, d)
	require.NoError(t, err)
	require.Equal(t, phase.Start, again.Phase)
	require.Equal(t, m.Epoch+1, again.Epoch) // grows, so that no old acknowledgement counts
	require.Equal(t, d, again.Definition)
	require.Equal(t, state.Relaxed{}, again.Relaxed)
	require.Zero(t, notes(t, db, false, name))
	require.Equal(t, 5, notes(t, db, false, "another"))
	events, err := state.Events(t.Context(), db, name)
	require.NoError(t, err)
	require.Len(t, events, 1) // the log stays
}

func TestMoveAndForget(t *testing.T) {
	t.Parallel()
	db := installed(t)
	m, err := register(t, db, rename())
	require.NoError(t, err)
	relaxed := state.Relaxed{NotNull: true, Name: "nn", Default: "'x'::text", Finish: []string{"SELECT 1"},
		Restore: []ddl.Step{{Name: "give back", SQL: []string{"SELECT 2"}, Lock: "ACCESS EXCLUSIVE", Scans: true}}}
	require.NoError(t, in(t, db, func(ctx context.Context, tx *sqlx.Tx) error {
		locked, err := state.Lock(ctx, tx, m.Name)
		require.NoError(t, err)
		require.NoError(t, locked.SetRelaxed(ctx, tx, relaxed))
		return locked.Move(ctx, tx, phase.Expand, guard.Repair)
	}))
	got, err := state.Load(t.Context(), db, m.Name)
	require.NoError(t, err)
	require.Equal(t, phase.Expand, got.Phase)
	require.Equal(t, guard.Repair, got.Guard)
	require.Equal(t, m.Epoch+1, got.Epoch)
	require.Equal(t, relaxed, got.Relaxed)
	require.Less(t, got.Since, waitTime.Seconds())
	require.Equal(t, 5, notes(t, db, true, m.Name))
	require.NoError(t, in(t, db, func(ctx context.Context, tx *sqlx.Tx) error { return state.Forget(ctx, tx, m.Name) }))
	require.Zero(t, notes(t, db, false, m.Name))
	_, err = state.Load(t.Context(), db, m.Name)
	require.ErrorIs(t, err, state.ErrUnknown)
}

// Lock keeps other operators out, and readers of the phase in.
func TestLockWaitsForOperatorsOnly(t *testing.T) {
	t.Parallel()
	db := installed(t)
	m, err := register(t, db, rename())
	require.NoError(t, err)
	held := db.MustBegin()
	_, err = state.Lock(t.Context(), held, m.Name)
	require.NoError(t, err)
	err = pg.InTx(t.Context(), db, pg.Settings{LockTimeout: time.Millisecond}, func(ctx context.Context, tx *sqlx.Tx) error {
		_, err := state.Lock(ctx, tx, m.Name)
		return err
	})
	require.Equal(t, pg.LockNotAvailable, pg.SQLState(err))
	_, err = state.Load(t.Context(), db, m.Name)
	require.NoError(t, err)
	require.NoError(t, held.Rollback())
}

func TestEventsMembersCounts(t *testing.T) {
	t.Parallel()
	db := installed(t)
	m, err := register(t, db, rename())
	require.NoError(t, err)
	require.NoError(t, state.Log(t.Context(), db, state.Event{Migration: m.Name, Kind: "advance", From: phase.Start, To: phase.Expand, Actor: "ada",
		Detail: "why", Waived: map[string]string{"soak": "it's \"fine\""}}))
	require.NoError(t, state.Log(t.Context(), db, state.Event{Migration: m.Name, Kind: "apply"}))
	events, err := state.Events(t.Context(), db, m.Name)
	require.NoError(t, err)
	require.Len(t, events, 2)
	require.False(t, events[0].At.IsZero())
	events[0].At = time.Time{}
	require.Equal(t, state.Event{Migration: m.Name, Kind: "advance", From: phase.Start, To: phase.Expand, Actor: "ada", Detail: "why",
		Waived: map[string]string{"soak": "it's \"fine\""}}, events[0])
	require.Equal(t, state.Actor(), events[1].Actor)
	require.False(t, events[1].From.Valid())

	member := state.Member{ID: "a", Service: "web", Build: "v1", Host: "h", PID: 7, Epochs: map[string]int64{m.Name: 1}}
	require.NoError(t, state.Beat(t.Context(), db, member))
	db.MustExec(`UPDATE tandem.member SET seen_at = now() - interval '1 hour'`)
	members, err := state.Members(t.Context(), db)
	require.NoError(t, err)
	require.Equal(t, "web v1 on h pid 7", members[0].String())
	require.GreaterOrEqual(t, members[0].Silent, 3600.0)
	require.Equal(t, member.Epochs, members[0].Epochs)
	member.Epochs[m.Name] = 2
	require.NoError(t, state.Beat(t.Context(), db, member))
	members, err = state.Members(t.Context(), db)
	require.NoError(t, err)
	require.Len(t, members, 1)
	require.Less(t, members[0].Silent, 3600.0)
	require.EqualValues(t, 2, members[0].Epochs[m.Name])

	counts, err := state.Count(t.Context(), db, m.Name)
	require.NoError(t, err)
	require.Equal(t, state.Counts{}, counts)
	notes(t, db, true, m.Name)
	db.MustExec(`INSERT INTO tandem.mismatch (migration, key, detail, phase, source, at) VALUES ($1, '{2}', 'of before', 'Switch', 'read', now() - interval '1 day'),
		($1, '{3}', 'by verify', 'Switch', 'verify', now())`, m.Name)
	db.MustExec(`INSERT INTO tandem.bad_row (migration, key, error, accepted) VALUES ($1, '{2}', 'x', 'why'), ($1, '{3}', 'x', 'why')`, m.Name)
	unconverted, err := state.Unconverted(t.Context(), db, m.Name)
	require.NoError(t, err)
	require.EqualValues(t, 2, unconverted, "a key of a stray, and a bad row that nobody has accepted")
	counts, err = state.Count(t.Context(), db, m.Name)
	require.NoError(t, err)
	require.EqualValues(t, 2, counts.Accepted)
	require.EqualValues(t, 1, counts.Dirty)
	require.EqualValues(t, 1, counts.BadRows)
	require.EqualValues(t, 1, counts.Mismatches)
	require.NotNil(t, counts.StraySilent)
	require.Equal(t, "cron by role r from local", counts.LastStray)
}

// Keys of any kind survive: they are text arrays, with whatever a text may hold.
func TestMismatchKeys(t *testing.T) {
	t.Parallel()
	db := installed(t)
	keys := [][]string{{"1"}, {"a,b", `c"d\`, "{x}", "", "NULL", "é"}}
	require.NoError(t, state.Mismatches(t.Context(), db, []state.Mismatch{{Migration: "m", Key: keys[0], Phase: phase.Switch, Source: "read"},
		{Migration: "m", Key: keys[1], Phase: phase.Migrate, Source: "verify", Detail: "d", Member: "w"}}))
	for _, key := range keys {
		for i, part := range key {
			var n int
			require.NoError(t, db.Get(&n, `SELECT count(*) FROM tandem.mismatch WHERE key[$1] = $2 AND cardinality(key) = $3`, i+1, part, len(key)))
			require.Equal(t, 1, n, part)
		}
	}
}
