package switchover

import (
	"context"
	"fmt"
	"maps"
	"sync/atomic"
	"time"

	"github.com/tandem-go/tandem/internal/state"
)

// Difference is a row of which a read saw old and new disagree although its stamp says that both are right.
type Difference struct {
	Migration string
	Key       []string
	Detail    string
	Phase     Phase
}

// differenceBuffer bounds what waits to be stored; a fleet that disagrees on everything must not run out of memory.
const differenceBuffer = 256

// Report notes a difference without waiting; when too many wait already it is counted and dropped.
func (m *Member) Report(d Difference) {
	if m.options.OnDifference != nil {
		m.options.OnDifference(d)
	}
	select {
	case m.differences <- d:
	default:
		m.dropped.Add(1)
	}
}

// toldAgain is when a row that still differs is told of again, and what bounds the memory of it.
const toldAgain = time.Minute

// flush stores the differences that wait, a row and phase at most once in toldAgain.
func (m *Member) flush(ctx context.Context) {
	var list []state.Mismatch
	now := time.Now()
	maps.DeleteFunc(m.told, func(_ string, at time.Time) bool { return now.Sub(at) > toldAgain })
	for {
		select {
		case d := <-m.differences:
			id := fmt.Sprintf("%s %s %q", d.Migration, d.Phase, d.Key)
			if m.told[id].IsZero() {
				m.told[id] = now
				list = append(list, state.Mismatch{Migration: d.Migration, Key: d.Key, Detail: d.Detail, Phase: d.Phase, Source: "read", Member: m.row.String()})
			}
			continue
		default:
		}
		break
	}
	if len(list) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, pingTime)
	defer cancel()
	if err := state.Mismatches(ctx, m.db, list); err != nil {
		clear(m.told)
		m.options.Log.ErrorContext(ctx, "tandem: differences between old and new were seen and could not be stored", "count", len(list), "error", err)
		return
	}
	m.options.Log.ErrorContext(ctx, "tandem: old and new differ", "rows", len(list), "dropped", m.dropped.Swap(0), "first", list[0].Migration, "key", list[0].Key)
}

// tally counts the reads of one epoch that compared old and new.
type tally struct{ compared, different atomic.Int64 }

// Compared counts reads that compared the two columns, and those of them that found a difference.
func (p Pin) Compared(migration string, reads, different int64) {
	if t := p.snap.tallies[migration]; t != nil && reads > 0 {
		t.compared.Add(reads)
		if different > 0 {
			t.different.Add(different)
		}
	}
}

// tell adds to the database what was compared. That may take the migration back to Migrate. All members do so with their beat, whether something differed or not: told more often, a
// difference would weigh more than the reads that saw none.
func (m *Member) tell(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, pingTime)
	defer cancel()
	s := m.current.Load()
	for name, t := range s.tallies {
		if t.compared.Load() == 0 {
			continue
		}
		c := state.Compared{Migration: name, Epoch: s.migrations[name].epoch, Different: t.different.Swap(0), Compared: t.compared.Swap(0)}
		why, err := state.Compare(ctx, m.db, m.row.ID, c)
		if err != nil {
			t.compared.Add(c.Compared)
			t.different.Add(c.Different)
			m.options.Log.WarnContext(ctx, "tandem: compared reads not counted yet", "migration", name, "error", err)
			continue
		}
		if why != "" {
			m.options.Log.ErrorContext(ctx, "tandem: reads of new differ too often, the migration is back in Migrate", "migration", name, "why", why)
			m.wake()
		}
	}
}

// wake lets the goroutine read the phases now.
func (m *Member) wake() {
	select {
	case m.kick <- struct{}{}:
	default:
	}
}
