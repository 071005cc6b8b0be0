package throttle

import (
	"context"
	"fmt"
	"math"
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

const maxRest = 5 * time.Second // after one statement

// Monitor reads signals once a second, one after the other, with one connection of the pool. Of those that did not answer last time it reads one in a round, after the others, so that none has to wait for more
// than that one. One whose call has not returned at all is not called again before it has.
type Monitor struct {
	mu    sync.Mutex
	loads []*reading
	next  int // of those that did not answer
	done  chan struct{}
}

// Watch reads signals until ctx ends. It has read each once, or failed to, when it returns.
func Watch(ctx context.Context, db *sqlx.DB, signals []Signal) *Monitor {
	m := &Monitor{done: make(chan struct{})}
	for _, s := range signals {
		m.loads = append(m.loads, &reading{signal: s, good: time.Now()})
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

// Wait returns once the goroutine of Watch has ended. A call of a signal that heeds no context may outlive it.
func (m *Monitor) Wait() { <-m.done }

func (m *Monitor) read(ctx context.Context, db *sqlx.DB) {
	var silent []*reading
	for _, r := range m.loads {
		if r.silent {
			silent = append(silent, r)
			continue
		}
		m.readOne(ctx, db, r)
	}
	if len(silent) > 0 {
		m.next++
		m.readOne(ctx, db, silent[m.next%len(silent)])
	}
}

func (m *Monitor) readOne(ctx context.Context, db *sqlx.DB, r *reading) {
	load, err := r.read(ctx, db)
	m.mu.Lock()
	defer m.mu.Unlock()
	if r.err = err; err == nil {
		r.load, r.good = load, time.Now()
	}
}

// Load is the largest load of all signals, as last read.
func (m *Monitor) Load() Load {
	m.mu.Lock()
	defer m.mu.Unlock()
	var most Load
	for _, r := range m.loads {
		if load := r.now(); load.Share > most.Share {
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
	return time.Duration(min(float64(took)*load.Share/(1-load.Share), float64(maxRest))), load.Reason, false
}

// reading is what a signal said last.
type reading struct {
	signal Signal
	load   Load
	good   time.Time // when it could be read last
	err    error     // since then

	silent  bool        // it did not answer last time; of the goroutine that reads, as is
	pending chan answer // of a call that has not returned
}

type answer struct {
	load Load
	err  error
}

// read calls the signal, and waits no longer than Patience, also for a function that does not heed its context. A signal is never called while it still is: it may remember what it has read.
func (r *reading) read(ctx context.Context, db *sqlx.DB) (Load, error) {
	if r.pending != nil {
		select {
		case <-r.pending: // an answer of long ago
		default:
			return Load{}, fmt.Errorf("no answer within %s, and its call has not returned", Patience)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	out := make(chan answer, 1)
	r.pending = out
	go func() {
		load, err := r.signal.Read(ctx, db)
		out <- answer{load, err}
	}()
	select {
	case a := <-out:
		r.pending, r.silent = nil, ctx.Err() != nil
		return a.load.checked(r.signal.Name(), a.err)
	case <-ctx.Done():
		r.silent = true
		return Load{}, fmt.Errorf("no answer within %s: %w", Patience, context.Cause(ctx))
	}
}

// checked turns a share that is no number into an error, and gives a load without a reason the signal's name.
func (l Load) checked(name string, err error) (Load, error) {
	switch {
	case err != nil:
		return Load{}, err
	case math.IsNaN(l.Share):
		return Load{}, fmt.Errorf("its share is not a number")
	case l.Reason == "":
		l.Reason = name
	}
	return l, nil
}

// now is the load at present. A signal that has been failing for too long stands for 1.
func (r *reading) now() Load {
	if r.err == nil || time.Since(r.good) < Blind {
		return r.load
	}
	return Load{1, fmt.Sprintf("%s cannot be read since %s: %v", r.signal.Name(), r.good.UTC().Format("2006-01-02 15:04:05 UTC"), r.err)}
}
