package switchover

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/guard"
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
	old := m.current.Load()
	next := &snapshot{guards: old.guards}
	if next.guards == nil { // before the rows, so that a migration that is being started is not taken for one that lost its row
		if err := next.readGuards(ctx, m.db); err != nil {
			return err
		}
	}
	list, err := state.List(ctx, m.db)
	if err != nil {
		return err
	}
	next.migrations, next.rows = make(map[string]known, len(list)), list
	for i := range list {
		row := &list[i]
		next.migrations[row.Name] = known{phase: row.Phase, epoch: row.Epoch, fingerprint: row.Fingerprint,
			share: row.Share, stale: row.Guard == guard.Reverse, guard: state.GuardOf(row.Definition)}
	}
	if err := m.keepLost(ctx, old, next); err != nil {
		return err
	}
	next.readAt.Store(int64(began))
	if old.guards != nil && maps.Equal(old.migrations, next.migrations) && maps.Equal(old.guards, next.guards) {
		old.readAt.Store(int64(began))
		return nil
	}
	m.replace(ctx, old, next)
	return nil
}

func (s *snapshot) readGuards(ctx context.Context, db *sqlx.DB) (err error) {
	s.guards, err = state.Guards(ctx, db)
	return err
}

// orphans tells whether a guard is there without a row, or a row has gone that was there before.
func (s *snapshot) orphans(old *snapshot) bool {
	rows := make(map[state.Guarded]bool, len(s.migrations))
	for _, k := range s.migrations {
		rows[k.guard] = true
	}
	for g := range s.guards {
		if !rows[g] {
			return true
		}
	}
	for name, k := range old.migrations {
		if _, ok := s.migrations[name]; !ok && k.phase != Complete {
			return true
		}
	}
	return false
}

// keepLost keeps what was admitted last of a migration that has no row any more although its guard is there: it was not undone, its row was taken away. Guards are
// asked for once more after the rows, and count only if they were there before them too: so one that is being started or undone is not taken for lost.
func (m *Member) keepLost(ctx context.Context, old, next *snapshot) error {
	if !next.orphans(old) {
		return nil
	}
	before := next.guards
	if err := next.readGuards(ctx, m.db); err != nil {
		return err
	}
	for name, k := range old.migrations {
		if _, ok := next.migrations[name]; ok || k.phase == Complete || !next.guards[k.guard] {
			continue
		}
		if !k.lost {
			m.options.Log.ErrorContext(ctx, "tandem: the row of a migration is gone, keeping the phase admitted last", "migration", name, "phase", k.phase, "error", ErrLost)
		}
		k.lost = true
		next.migrations[name] = k
		next.rows = append(next.rows, old.rows[slices.IndexFunc(old.rows, func(m state.Migration) bool { return m.Name == name })])
	}
	maps.DeleteFunc(next.guards, func(g state.Guarded, _ bool) bool { return !before[g] })
	return nil
}

// replace makes next what operations are pinned to from now on.
func (m *Member) replace(ctx context.Context, old, next *snapshot) {
	next.tallies = make(map[string]*tally, len(next.migrations))
	for name, k := range next.migrations {
		was := old.migrations[name]
		if was.epoch == k.epoch && old.tallies[name] != nil {
			next.tallies[name] = old.tallies[name]
		} else {
			next.tallies[name] = &tally{}
		}
		if was != k {
			m.options.Log.DebugContext(ctx, "tandem: phase", "migration", name, "phase", k.phase, "epoch", k.epoch, "share", k.share)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.current.Store(next)
	old.retired.Store(true)
	m.draining = append(m.draining, old)
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
