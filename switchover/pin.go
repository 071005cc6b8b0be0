package switchover

import (
	"context"
	"fmt"
	"maps"
	"sync/atomic"
	"time"

	"github.com/tandem-go/tandem/internal/state"
)

// snapshot is what the member knew at one moment, and how many operations still rely on it.
type snapshot struct {
	migrations map[string]known
	readAt     atomic.Int64 // when this was last seen to be true, monotonic enough: time since process start
	pins       atomic.Int64
	retired    atomic.Bool
}

type known struct {
	phase       Phase
	epoch       int64
	fingerprint string
}

// Pin holds the phases still for one operation: all statements of a transaction see the same. A member does not acknowledge a
// new phase while an operation is pinned to an earlier one, so hold it no longer than the operation. Release it exactly once.
type Pin struct {
	member *Member
	snap   *snapshot
}

// Pin pins the phases that the member knows. If they are older than ten polls, as after a SIGSTOP or a lost network, it reads them
// first, for a second at most; if that fails it pins the last admitted ones, and the guard and the reader's rule keep that safe.
func (m *Member) Pin(ctx context.Context) Pin {
	for {
		s := m.current.Load()
		if m.stale(s) {
			m.refreshStale(ctx)
			s = m.current.Load()
		}
		s.pins.Add(1)
		if m.current.Load() == s {
			return Pin{member: m, snap: s}
		}
		m.release(s) // a refresh came between
	}
}

// Release ends the operation.
func (p Pin) Release() {
	if p.member != nil {
		p.member.release(p.snap)
	}
}

// Phase is the pinned phase of a migration, by its name. One that the database does not know is in Start.
func (p Pin) Phase(migration string) Phase {
	if k, ok := p.snap.migrations[migration]; ok {
		return k.phase
	}
	return Start
}

// Fingerprint tells which declaration the migration was started with; empty when the database does not know it.
func (p Pin) Fingerprint(migration string) string { return p.snap.migrations[migration].fingerprint }

// Phase is the phase that an operation would be pinned to now.
func (m *Member) Phase(migration string) Phase {
	return Pin{member: m, snap: m.current.Load()}.Phase(migration)
}

var processStart = time.Now()

func (m *Member) stale(s *snapshot) bool {
	now := time.Since(processStart)
	failed := time.Duration(m.failedAt.Load())
	return now-time.Duration(s.readAt.Load()) > 10*m.options.Poll && (failed == 0 || now-failed > m.options.Poll)
}

func (m *Member) release(s *snapshot) {
	if s.pins.Add(-1) == 0 && s.retired.Load() {
		select {
		case m.kick <- struct{}{}:
		default:
		}
	}
}

// Refresh reads the phases now, or waits for the one who is reading them. The goroutine of Join does so all the time; call it when an error says that the phase moved on.
func (m *Member) Refresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pingTime)
	defer cancel()
	release, err := m.alone(ctx)
	if err != nil {
		return err
	}
	defer release()
	return m.refresh(ctx)
}

// staleTime is how long an operation waits for phases that should have been read long ago.
const staleTime = time.Second

// refreshStale is Refresh by the first of many operations that find the snapshot stale; the others wait for it. After a failure nobody tries again for a poll: the
// operations go on with the last admitted phases.
func (m *Member) refreshStale(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, staleTime)
	defer cancel()
	release, err := m.alone(ctx)
	if err == nil {
		defer release()
		if !m.stale(m.current.Load()) {
			return
		}
		err = m.refresh(ctx)
	}
	if err != nil {
		m.failedAt.Store(int64(time.Since(processStart)))
		m.options.Log.WarnContext(ctx, "tandem: phases are stale and could not be read, keeping the last admitted ones", "error", err)
	}
}

// alone waits until nobody else reads the phases.
func (m *Member) alone(ctx context.Context) (release func(), err error) {
	select {
	case m.reading <- struct{}{}:
		return func() { <-m.reading }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for the phases to be read: %w", context.Cause(ctx))
	}
}

// refresh is called by one at a time.
func (m *Member) refresh(ctx context.Context) error {
	began := time.Since(processStart)
	list, err := state.List(ctx, m.db)
	if err != nil {
		return err
	}
	next := &snapshot{migrations: make(map[string]known, len(list))}
	for _, row := range list {
		next.migrations[row.Name] = known{phase: row.Phase, epoch: row.Epoch, fingerprint: row.Fingerprint}
	}
	next.readAt.Store(int64(began))
	old := m.current.Load()
	if maps.Equal(old.migrations, next.migrations) {
		old.readAt.Store(int64(began))
		return nil
	}
	for name, k := range next.migrations {
		if was := old.migrations[name]; was != k {
			m.options.Log.DebugContext(ctx, "tandem: phase", "migration", name, "phase", k.phase, "epoch", k.epoch)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.current.Store(next)
	old.retired.Store(true)
	m.draining = append(m.draining, old)
	return nil
}

// drained returns the epochs that may be acknowledged: the present ones if no operation is pinned to an earlier snapshot, else those
// of before.
func (m *Member) drained() map[string]int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.draining) > 0 && m.draining[0].pins.Load() == 0 {
		m.draining = m.draining[1:]
	}
	if len(m.draining) > 0 {
		return m.acked
	}
	return m.current.Load().epochs()
}

func (m *Member) unacknowledged() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !maps.Equal(m.acked, m.current.Load().epochs())
}

func (s *snapshot) epochs() map[string]int64 {
	out := make(map[string]int64, len(s.migrations))
	for name, k := range s.migrations {
		out[name] = k.epoch
	}
	return out
}
