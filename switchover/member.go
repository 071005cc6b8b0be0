package switchover

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	randv2 "math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/state"
)

// JoinOptions describe this instance. The zero value is complete.
type JoinOptions struct {
	Service string        // name of the application; defaults to the program's file name
	Build   string        // version of the application; defaults to the main module's version
	Poll    time.Duration // how often the phases are read again, give or take a fifth; defaults to 1 s
	Beat    time.Duration // how often the member says that it lives; defaults to 5 s
	Log     *slog.Logger  // phase changes and failed polls; defaults to slog.Default()

	// OnDifference is told of each row whose two columns a read found to disagree, besides tandem.mismatch. It must not
	// block. Defaults to none.
	OnDifference func(Difference)
}

// Member is one running instance of an application. It knows the phase of every migration, and its goroutine, started by Join
// and ended by Leave, keeps that knowledge fresh and acknowledges what it has learned. Safe for concurrent use.
type Member struct {
	db      *sqlx.DB
	options JoinOptions
	row     state.Member
	current atomic.Pointer[snapshot]

	reading  chan struct{} // full while somebody reads the phases
	failedAt atomic.Int64  // when an operation last failed to, since the start of the process

	mu       sync.Mutex // for what follows
	draining []*snapshot
	acked    map[string]known

	differences chan Difference
	told        map[string]time.Time // of flush: when a row was told of
	dropped     atomic.Int64
	kick        chan struct{} // an old snapshot has drained: acknowledge now
	stop        context.CancelFunc
	done        chan struct{}
}

// Join is the startup hook: it installs the state schema where that is missing, registers this instance, reads the phases, and
// starts the goroutine that refreshes them. It takes no lock on application tables. ctx bounds the joining only. Errors: ErrMixedUp, or another that Doctor
// found; the state schema is newer than this library, or missing and the role may not create it; the connection.
func Join(ctx context.Context, db *sqlx.DB, o JoinOptions) (*Member, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	if err := examine(ctx, db); err != nil {
		return nil, fmt.Errorf("join as %s: %w", o.Service, err)
	}
	if err := state.Install(ctx, db); err != nil {
		return nil, fmt.Errorf("join as %s: %w", o.Service, err)
	}
	id := make([]byte, 8)
	_, _ = rand.Read(id)
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	m := &Member{
		db: db, options: o,
		row:         state.Member{ID: hex.EncodeToString(id), Service: o.Service, Build: o.Build, Host: host, PID: os.Getpid()},
		reading:     make(chan struct{}, 1),
		differences: make(chan Difference, differenceBuffer),
		told:        map[string]time.Time{},
		kick:        make(chan struct{}, 1),
		done:        make(chan struct{}),
	}
	m.current.Store(&snapshot{})
	if err := m.Refresh(ctx); err != nil {
		return nil, fmt.Errorf("join as %s: %w", o.Service, err)
	}
	if err := errors.Join(m.beat(ctx), state.Bury(ctx, db)); err != nil {
		return nil, fmt.Errorf("join as %s: %w", o.Service, err)
	}
	loop, stop := context.WithCancel(context.WithoutCancel(ctx))
	m.stop = stop
	go m.run(loop)
	return m, nil
}

// Leave stops the goroutine and removes the member, so that no gate waits for it. Operations that are pinned still end as they began.
func (m *Member) Leave(ctx context.Context) error {
	m.stop()
	select {
	case <-m.done:
	case <-ctx.Done():
		return fmt.Errorf("leave: %w", context.Cause(ctx))
	}
	m.flush(ctx)
	m.tell(ctx)
	return state.Part(ctx, m.db, m.row.ID)
}

// ID is the member's name in tandem.member.
func (m *Member) ID() string { return m.row.ID }

func (o JoinOptions) withDefaults() (JoinOptions, error) {
	if o.Poll < 0 || o.Beat < 0 || o.Beat >= DefaultLease {
		return o, fmt.Errorf("poll %s, beat %s: must not be negative, and beat must be shorter than the lease of %s", o.Poll, o.Beat, DefaultLease)
	}
	if o.Service == "" {
		o.Service = filepath.Base(os.Args[0])
	}
	if o.Build == "" {
		if info, ok := debug.ReadBuildInfo(); ok {
			o.Build = info.Main.Version
		}
	}
	if o.Poll == 0 {
		o.Poll = time.Second
	}
	if o.Beat == 0 {
		o.Beat = 5 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return o, nil
}

// run refreshes, beats and stores differences until Leave. A poll that fails keeps the phases that were admitted last.
func (m *Member) run(ctx context.Context) {
	defer close(m.done)
	beat := time.NewTicker(m.options.Beat)
	defer beat.Stop()
	poll := time.NewTimer(m.pollTime())
	defer poll.Stop()
	for due := false; ; { // due: nobody has heard of this member for a beat
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
			due = true
		case <-m.kick:
			m.poll(ctx)
		case <-poll.C:
			m.poll(ctx)
			poll.Reset(m.pollTime())
		}
		if due || m.unacknowledged() {
			err := m.beat(ctx)
			if err != nil && ctx.Err() == nil {
				m.options.Log.WarnContext(ctx, "tandem: member not heard", "error", err)
			}
			due = err != nil
			m.tell(ctx)
		}
	}
}

// pollTime spreads the members of a fleet.
func (m *Member) pollTime() time.Duration {
	return m.options.Poll*4/5 + randv2.N(m.options.Poll*2/5+1)
}

func (m *Member) poll(ctx context.Context) {
	if err := m.Refresh(ctx); err != nil && ctx.Err() == nil {
		m.options.Log.WarnContext(ctx, "tandem: phases not refreshed, keeping the last admitted ones", "error", err)
	}
	m.flush(ctx)
}

// beat tells the database that the member lives, and what it has acknowledged.
func (m *Member) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pingTime)
	defer cancel()
	acked := m.drained()
	row := m.row
	row.Epochs, row.Phases = make(map[string]int64, len(acked)), make(map[string]Phase, len(acked))
	for name, k := range acked {
		row.Epochs[name], row.Phases[name] = k.epoch, k.phase
	}
	if err := state.Beat(ctx, m.db, row); err != nil {
		return err
	}
	m.mu.Lock()
	m.acked = acked
	m.mu.Unlock()
	return nil
}

// pingTime bounds the goroutine's own statements, so that one lost packet does not make a live member look dead.
const pingTime = 10 * time.Second
