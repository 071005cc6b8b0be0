package switchover_test

import (
	"bytes"
	"context"
	"database/sql/driver"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/state"
	"github.com/tandem-go/tandem/switchover"
)

// flag is a source that a test sets.
type flag struct {
	mu    sync.Mutex
	phase switchover.Phase
	err   error
	asked int
}

func (f *flag) Propose(ctx context.Context, migration string) (switchover.Phase, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	if _, bounded := ctx.Deadline(); !bounded || migration != name {
		return 0, errors.New("asked about " + migration + ", or without an end")
	}
	return f.phase, f.err
}

// set changes what the flag says, and returns how often it had been asked before.
func (f *flag) set(p switchover.Phase, err error) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.phase, f.err = p, err
	return f.asked
}

func (f *flag) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

// journal is what a follower logs.
type journal struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(p)
}

// count is how many lines have the text.
func (j *journal) count(text string) (n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for line := range strings.Lines(j.buf.String()) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

var errOver = errors.New("the test is over")

// follow runs until the test ends.
func (b bed) follow(s switchover.Source, o switchover.FollowOptions) *journal {
	b.Helper()
	j := &journal{}
	o.Log = slog.New(slog.NewTextHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug}))
	o.Quiet, o.Soak = switchover.None, switchover.None
	if o.Poll == 0 {
		o.Poll = pollTime
	}
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(b.Context()))
	done := make(chan error, 1)
	go func() { done <- switchover.Follow(ctx, b.db, name, s, o) }()
	b.Cleanup(func() {
		cancel(errOver)
		require.ErrorIs(b, <-done, errOver)
	})
	return j
}

func (b bed) reaches(p switchover.Phase) {
	b.Helper()
	b.soon(func() bool { return b.migration().Phase == p }, "it reaches "+p.String())
}

// keeps sets the flag and sees the phase as it is after whole rounds.
func (b bed) keeps(f *flag, proposed switchover.Phase, err error) {
	b.Helper()
	was := b.migration()
	before := f.set(proposed, err)
	b.soon(func() bool { return f.count() >= before+3 }, "the flag is asked again")
	require.Equal(b, was.Phase, b.migration().Phase, "proposed: %v, %v", proposed, err)
	require.Equal(b, was.Epoch, b.migration().Epoch)
}

// fallback is what the database does when reads differ too often.
func (b bed) fallback() {
	require.NoError(b, pg.InTx(b.Context(), b.db, pg.Settings{}, func(ctx context.Context, tx *sqlx.Tx) error {
		m, err := state.Lock(ctx, tx, name)
		if err != nil {
			return err
		}
		if err := m.Move(ctx, tx, switchover.Migrate, m.Guard); err != nil {
			return err
		}
		return state.Log(ctx, tx, state.Event{Migration: name, Kind: state.Fallback, From: switchover.Switch, To: switchover.Migrate, Actor: "database"})
	}))
}

func (b bed) events() []state.Event {
	b.Helper()
	events, err := state.Events(b.Context(), b.db, name)
	require.NoError(b, err)
	return events
}

// silent is a database that nobody reaches.
type silent struct{ tried *atomic.Int64 }

func (s silent) Connect(context.Context) (driver.Conn, error) {
	s.tried.Add(1)
	return nil, errors.New("no route")
}

func (s silent) Driver() driver.Driver { return nil }
