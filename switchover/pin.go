package switchover

import (
	"context"
	"fmt"
	"maps"
	"sync/atomic"
	"time"

	"github.com/tandem-go/tandem/internal/pair"
	"github.com/tandem-go/tandem/internal/state"
)

// snapshot is what the member knew at one moment, and how many operations still rely on it.
type snapshot struct {
	migrations map[string]known
	rows       []state.Migration      // the same
	tallies    map[string]*tally      // by migration; kept from snapshot to snapshot for as long as the epoch lasts
	guards     map[state.Guarded]bool // the tables that have a guard, as they were when a migration was last missed; nil: never asked
	readAt     atomic.Int64           // when this was last seen to be true, monotonic enough: time since process start
	pins       atomic.Int64
	retired    atomic.Bool
}

type known struct {
	phase       Phase
	epoch       int64
	fingerprint string
	share       float64       // of the keys that Switch reads from new
	stale       bool          // old is, on the way back from Contract
	guard       state.Guarded // where its guard is
	lost        bool          // its row is gone, and its guard is not
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

// Check refuses a pair that is not as its migration was started (ErrRedeclare), or that the database does not know and that shares a column with another migration
// under way (ErrOverlap): it would write and read as in Start, and old may be stale. So it would where the database has a migration's guard and has lost its row (ErrLost).
func (p Pin) Check(d pair.Definition) error {
	if _, ok := p.snap.migrations[d.Name()]; !ok && p.snap.guards[state.GuardOf(d)] {
		return fmt.Errorf("%s: %w", d.Name(), ErrLost)
	}
	for i := range p.snap.rows {
		if m := &p.snap.rows[i]; m.Name == d.Name() {
			return m.Same(d)
		}
	}
	return state.Overlap(p.snap.rows, d)
}

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
		m.wake()
	}
}

// drained returns what may be acknowledged: the present phases if no operation is pinned to an earlier snapshot, else those of before.
func (m *Member) drained() map[string]known {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.draining) > 0 && m.draining[0].pins.Load() == 0 {
		m.draining = m.draining[1:]
	}
	if len(m.draining) > 0 {
		return m.acked
	}
	return m.current.Load().migrations
}

func (m *Member) unacknowledged() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !maps.Equal(m.acked, m.current.Load().migrations)
}
