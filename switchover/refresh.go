package switchover

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/state"
)

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
