package backfill

import (
	"errors"
	"fmt"
	"time"

	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/state"
)

// Errors that callers branch on.
var (
	ErrRunning   = state.ErrRunning // another runner is at work on this pass
	ErrTaken     = state.ErrTaken   // another runner has taken over, because this one had not been heard of for 10 s
	ErrPhase     = errors.New("not in this phase")
	ErrLeft      = errors.New("rows keep coming without a stamp")
	ErrBadRows   = errors.New("too many rows do not convert")
	ErrDirection = errors.New("the pair cannot convert in this direction")
)

// Options of Run. The zero value is complete.
type Options struct {
	Reverse  bool           // copy new back to old, after switchover.Revert from Contract; defaults to old to new
	Window   int            // rows a window, 100 to 1,000,000; defaults to 40,000
	Stripes  int            // transactions a window, a power of two up to 64; defaults to 8. 1: plain windows
	BadRows  int            // rows that one call sets aside before it stops with ErrBadRows; defaults to 10,000
	Pause    time.Duration  // wait between statements, up to 5 s; defaults to none
	Progress func(Progress) // called after each statement, from Run's goroutine; defaults to none
}

// The defaults make statements of 5,000 rows. By BenchmarkBackfill on PostgreSQL 15 16 stripes of 80,000 let the heap grow by 27 % instead of 35 %, and the window is
// read twice as often.
const (
	defaultWindow  = 40_000
	defaultStripes = 8
	defaultBadRows = 10_000
	maxPause       = 5 * time.Second // half of lease, so that a pausing runner is not taken for dead
	lease          = 10 * time.Second
	// A batch that waits for a row lock gives up before deadlock_timeout (1 s): it, not the application, lets go.
	lockTimeout = 200 * time.Millisecond
)

// retry bounds how long one statement may fail for reasons that pass: locks, deadlocks, lost connections.
var retry = pg.Backoff{Base: 100 * time.Millisecond, Max: 2 * time.Second, Attempts: 30}

func (o Options) withDefaults() (Options, error) {
	if o.Window == 0 {
		o.Window = defaultWindow
	}
	if o.Stripes == 0 {
		o.Stripes = defaultStripes
	}
	if o.BadRows == 0 {
		o.BadRows = defaultBadRows
	}
	switch {
	case o.BadRows < 0:
		return o, fmt.Errorf("options: %d bad rows: must be positive", o.BadRows)
	case o.Window < 100 || o.Window > 1_000_000:
		return o, fmt.Errorf("options: window of %d rows: must lie between 100 and 1,000,000", o.Window)
	case o.Stripes < 1 || o.Stripes > 64 || o.Stripes&(o.Stripes-1) != 0:
		return o, fmt.Errorf("options: %d stripes: must be a power of two up to 64", o.Stripes)
	case o.Pause < 0 || o.Pause > maxPause:
		return o, fmt.Errorf("options: pause %s: must lie between 0 and %s", o.Pause, maxPause)
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	return o, nil
}
