package throttle

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jmoiron/sqlx"
)

// Every is how often signals are read.
const Every = time.Second

// Patience is how long one may take.
const Patience = 2 * time.Second

// Blind is how long one may fail before that counts as a load of 1.
const Blind = 15 * time.Second

const (
	maxRest = 5 * time.Second // after one statement
)

// Monitor reads signals once a second, one after the other, with one connection of the pool.
type Monitor struct {
	mu    sync.Mutex
	loads []reading
	done  chan struct{}
}

type reading struct {
	signal Signal
	load   Load
	good   time.Time // when it could be read last
	err    error     // since then
}

// Watch reads signals until ctx ends. It has read each once, or failed to, when it returns.
func Watch(ctx context.Context, db *sqlx.DB, signals []Signal) *Monitor {
	m := &Monitor{done: make(chan struct{})}
	for _, s := range signals {
		m.loads = append(m.loads, reading{signal: s, good: time.Now()})
	}
	m.read(ctx, db)
	go func() {
		defer close(m.done)
		ticker := time.NewTicker(Every)
		defer ticker.Stop()
		for len(signals) > 0 {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				m.read(ctx, db)
			}
		}
	}()
	return m
}

// Wait returns once the goroutine of Watch has ended.
func (m *Monitor) Wait() { <-m.done }

func (m *Monitor) read(ctx context.Context, db *sqlx.DB) {
	for i := range m.loads {
		load, err := one(ctx, db, m.loads[i].signal)
		m.mu.Lock()
		if m.loads[i].err = err; err == nil {
			m.loads[i].load, m.loads[i].good = load, time.Now()
		}
		m.mu.Unlock()
	}
}

// one reads a signal. A function of the user's that does not heed its context is waited for no longer than Patience; it goes on alone.
func one(ctx context.Context, db *sqlx.DB, s Signal) (Load, error) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	type answer struct {
		load Load
		err  error
	}
	out := make(chan answer, 1)
	go func() {
		defer cancel()
		load, err := s.Read(ctx, db)
		out <- answer{load, err}
	}()
	select {
	case a := <-out:
		return a.load, a.err
	case <-ctx.Done():
		return Load{}, fmt.Errorf("no answer within %s: %w", Patience, context.Cause(ctx))
	}
}

// Load is the largest load of all signals, as last read.
func (m *Monitor) Load() Load {
	m.mu.Lock()
	defer m.mu.Unlock()
	var most Load
	for _, r := range m.loads {
		load := r.load
		if r.err != nil && time.Since(r.good) >= Blind {
			load = Load{1, fmt.Sprintf("%s cannot be read since %s: %v", r.signal.Name(), time.Since(r.good).Round(time.Second), r.err)}
		}
		if load.Share > most.Share {
			most = load
		}
	}
	return most
}

// Rest is how long a worker rests after a statement that took so long, at most 5 s; still says that it stands still until the load is another.
func (m *Monitor) Rest(took time.Duration) (rest time.Duration, reason string, still bool) {
	load := m.Load()
	if load.Share <= 0 {
		return 0, "", false
	}
	if load.Share >= 1 {
		return 0, load.Reason, true
	}
	return min(time.Duration(float64(took)*load.Share/(1-load.Share)), maxRest), load.Reason, false
}
