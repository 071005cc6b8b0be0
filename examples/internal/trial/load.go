package trial

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/switchover"
)

// Load is what goes on while a table changes: goroutines that write, and what they know to be stored. A V is what a row holds.
type Load[V comparable] struct {
	rows    int64
	initial func(id int64) V

	made chan struct{} // an operation, for whom waits for it
	seen atomic.Int64  // reads that found old and new to differ
	turn sync.RWMutex  // an operation reads it; who wants none to be under way writes

	mu         sync.Mutex
	operations int64
	failures   []error
	acked      map[int64]V // what the last acknowledged write of a row has stored
}

// NewLoad makes a load for a table of that many rows; initial is what a row of the start holds if nobody has written it.
func NewLoad[V comparable](rows int64, initial func(id int64) V) *Load[V] {
	return &Load[V]{rows: rows, initial: initial, made: make(chan struct{}), acked: map[int64]V{}}
}

// lanes: each goroutine writes only the ids of the start that end in its digit, and those that it has inserted. So "the last acknowledged write" means something.
const lanes = 10

// Pick returns an id of a lane.
func (l *Load[V]) Pick(lane int64) int64 { return rand.N(l.rows/lanes)*lanes + lane }

// Operation is number n of a goroutine: it writes a row.
type Operation[V any] func(ctx context.Context, n int64) (id int64, v V, err error)

// pace is from one operation to the next, to leave the migration some room.
const pace = 5 * time.Millisecond

// Start makes one operation after the other until stop, which waits for the last one, so that none is in doubt.
func (l *Load[V]) Start(ctx context.Context, operate Operation[V]) (stop func()) {
	until, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(pace)
		defer ticker.Stop()
		for n := int64(1); ; n++ {
			select {
			case <-until.Done():
				return
			case <-ticker.C:
			}
			l.Once(ctx, operate, n)
		}
	}()
	return func() { cancel(); <-ended }
}

// Once makes one operation.
func (l *Load[V]) Once(ctx context.Context, operate Operation[V], n int64) {
	l.turn.RLock()
	defer l.turn.RUnlock()
	l.note(operate(ctx, n))
}

func (l *Load[V]) note(id int64, v V, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.operations++
	if err != nil {
		l.failures = append(l.failures, err)
	}
	if id != 0 { // written, whatever a read of it has said
		l.acked[id] = v
	}
	select {
	case l.made <- struct{}{}:
	default: // nobody waits
	}
}

// Between is how many operations the load makes after each step.
const Between = 100

// Wait lets the load make that many operations more.
func (l *Load[V]) Wait(ctx context.Context) error {
	for range Between {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-l.made:
		}
	}
	return nil
}

// Still does something while no operation is under way.
func (l *Load[V]) Still(do func() error) error {
	l.turn.Lock()
	defer l.turn.Unlock()
	return do()
}

// Serve is the application: at startup a member joins, and open makes of it what the work is done with; then it works until meanwhile returns.
func (l *Load[V]) Serve(ctx context.Context, db *sqlx.DB, service string, open func(*switchover.Member) (Operation[V], error), meanwhile func(context.Context) error) (err error) {
	member, err := switchover.Join(ctx, db, switchover.JoinOptions{
		Service:      service,
		Poll:         250 * time.Millisecond, // a quarter of the default, to keep the example short
		OnDifference: func(switchover.Difference) { l.seen.Add(1) },
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, member.Leave(context.WithoutCancel(ctx))) }()
	operate, err := open(member)
	if err != nil {
		return err
	}
	defer l.Start(ctx, operate)()
	return meanwhile(ctx)
}

// Report adds to the result what the load knows, when it has ended.
func (l *Load[V]) Report(s *Stage) {
	for _, failure := range l.failures {
		s.Say("error: %v", failure)
	}
	s.Operations, s.Errors = l.operations, int64(len(l.failures))
	s.Differences += l.seen.Load()
}

// Known is what a row holds: for whom alone writes it.
func (l *Load[V]) Known(id int64) V {
	l.mu.Lock()
	defer l.mu.Unlock()
	if v, written := l.acked[id]; written {
		return v
	}
	return l.initial(id)
}

// Compare adds to the result how the stored rows differ from those that must be there: of the last acknowledged writes, and of the start. It empties stored.
func (l *Load[V]) Compare(stored map[int64]V, r *Result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	initial := map[int64]V{}
	for id := int64(1); id <= l.rows; id++ {
		if _, written := l.acked[id]; !written {
			initial[id] = l.initial(id)
		}
	}
	r.LostWrites += missing(stored, l.acked)
	r.Differences += missing(stored, initial) + int64(len(stored)) // what is left, nobody wrote
}

// missing takes the rows of want from stored, and counts those that are not there or hold something else.
func missing[V comparable](stored, want map[int64]V) (n int64) {
	for id, v := range want {
		if have, ok := stored[id]; !ok || have != v {
			n++
		}
		delete(stored, id)
	}
	return n
}
