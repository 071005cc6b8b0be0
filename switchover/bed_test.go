package switchover_test

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pair"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/pgtest"
	"github.com/tandem-go/tandem/internal/state"
	"github.com/tandem-go/tandem/switchover"
)

func TestMain(m *testing.M) { pgtest.MainWithExamples(m) }

// waitTime bounds a wait for what a goroutine or another session is about to do.
const (
	waitTime = 30 * time.Second
	pollTime = 5 * time.Millisecond
)

const name = "users.full_name"

// open has no waiting times: what a test does not look at lets the step pass.
var open = switchover.Options{Quiet: switchover.None, Soak: switchover.None, Actor: "ada"}

// bed is a database with one migration whose columns and guard are there.
type bed struct {
	testing.TB
	dsn string
	db  *sqlx.DB
}

func definition() pair.Definition {
	return pair.Definition{Table: ident.Table{Schema: "public", Name: "users"}, Key: []string{"id"}, Old: []string{"user_name"}, New: []string{"full_name"},
		Stamp: "full_name_stamp", Forward: []string{"{user_name}"}, Backward: []string{"{full_name}"}}
}

// newBed is in phase p with all that the next step asks for.
func newBed(t testing.TB, p switchover.Phase, params ...string) bed {
	t.Helper()
	return newBedOf(t, definition(), p, params...)
}

func newBedOf(t testing.TB, d pair.Definition, p switchover.Phase, params ...string) bed {
	t.Helper()
	dsn := pgtest.DSN(t, params...)
	b := bed{TB: t, dsn: dsn, db: pgtest.Open(t, dsn)}
	b.db.MustExec(`CREATE TABLE users (id int PRIMARY KEY, user_name text, email text, full_name text, full_name_stamp int);
		INSERT INTO users VALUES (1, 'ada', '', 'ada', 50331649)`)
	require.NoError(t, state.Install(t.Context(), b.db))
	mode := guard.Repair
	if p > switchover.Switch {
		mode = guard.Reject
	}
	require.NoError(t, pg.InTx(t.Context(), b.db, pg.Settings{}, func(ctx context.Context, tx *sqlx.Tx) error {
		m, err := state.Register(ctx, tx, d)
		if err != nil {
			return err
		}
		table, err := catalog.Read(ctx, tx, d.Table)
		if err != nil {
			return err
		}
		for _, sql := range guard.Install(table.Spec(d), mode) {
			tx.MustExecContext(ctx, sql)
		}
		tx.MustExecContext(ctx, `INSERT INTO tandem.backfill (migration, kind, owner, started_at, finished_at) VALUES
			($1, 'copy', '', now() - interval '2 minutes', now() - interval '1 minute'), ($1, 'verify', '', now(), now())`, name)
		return m.Move(ctx, tx, p, mode)
	}))
	b.db.MustExec(`ANALYZE users`)
	return b
}

func (b bed) migration() *state.Migration {
	b.Helper()
	m, err := state.Load(b.Context(), b.db, name)
	require.NoError(b, err)
	return m
}

func (b bed) advance(to switchover.Phase, o switchover.Options) error {
	return switchover.Advance(b.Context(), b.db, name, to, o)
}

// gates are the names of what is missing.
func (b bed) gates(to switchover.Phase, o switchover.Options) []switchover.Gate {
	b.Helper()
	list, err := switchover.Gates(b.Context(), b.db, name, to, o)
	require.NoError(b, err)
	return list
}

// set moves the migration without asking any gate, as another operator would.
func (b bed) set(p switchover.Phase) {
	b.Helper()
	require.NoError(b, pg.InTx(b.Context(), b.db, pg.Settings{}, func(ctx context.Context, tx *sqlx.Tx) error {
		m, err := state.Lock(ctx, tx, name)
		if err != nil {
			return err
		}
		return m.Move(ctx, tx, p, m.Guard)
	}))
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// join is a member that polls often, so that a test need not wait long.
func (b bed) join(service string) *switchover.Member {
	b.Helper()
	return b.joinWith(switchover.JoinOptions{Service: service, Poll: pollTime, Beat: 2 * pollTime, Log: quiet})
}

func (b bed) joinWith(o switchover.JoinOptions) *switchover.Member {
	b.Helper()
	m, err := switchover.Join(b.Context(), b.db, o)
	require.NoError(b, err)
	b.Cleanup(func() { _ = m.Leave(context.WithoutCancel(b.Context())) })
	return m
}

// row is the member as the database knows it; ok is false when it does not.
func (b bed) row(m *switchover.Member) (row state.Member, ok bool) {
	b.Helper()
	list, err := state.Members(b.Context(), b.db)
	require.NoError(b, err)
	for _, row := range list {
		if row.ID == m.ID() {
			return row, true
		}
	}
	return row, false
}

func (b bed) acknowledged(m *switchover.Member) bool {
	b.Helper()
	row, ok := b.row(m)
	return ok && row.Epochs[name] == b.migration().Epoch
}

// soon waits for a condition.
func (b bed) soon(condition func() bool, what string) {
	b.Helper()
	require.Eventually(b, condition, waitTime, pollTime, what)
}

// beatAgain waits until the member has been heard after now.
func (b bed) beatAgain(m *switchover.Member) {
	b.Helper()
	var now time.Time
	require.NoError(b, b.db.Get(&now, `SELECT clock_timestamp()`))
	b.soon(func() bool { row, _ := b.row(m); return row.SeenAt.After(now) }, "the member is heard again")
}

// waiting waits until a session waits for a lock on users.
func (b bed) waiting() {
	b.Helper()
	b.soon(func() bool {
		var n int
		require.NoError(b, b.db.Get(&n, `SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'users'::regclass`))
		return n > 0
	}, "somebody waits for the table")
}
