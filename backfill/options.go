package backfill

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tandem-go/tandem/backfill/throttle"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/state"
)

// Errors that callers branch on.
var (
	ErrTaken     = state.ErrTaken // another worker has taken over, because this one had not been heard of for 10 s
	ErrPhase     = errors.New("not in this phase")
	ErrLeft      = errors.New("rows keep coming without a stamp")
	ErrBadRows   = errors.New("too many rows do not convert")
	ErrDirection = errors.New("the pair cannot convert in this direction")
	ErrCancelled = errors.New("cancelled")
)

// Options of Run. The zero value is complete.
type Options struct {
	Reverse   bool              // copy new back to old, after switchover.Revert from Contract; defaults to old to new
	Workers   int               // that copy at a time in this process, 1 to 32, each with one connection of the pool, or two for a conversion in Go; defaults to 1
	Target    time.Duration     // what a statement shall take, 1 ms to 10 s; defaults to 50 ms
	Rate      float64           // rows a second at most, of all workers in all processes together; defaults to what they can
	Batch     int               // rows a statement at most, 10 to 50,000; defaults to 50,000
	Stripes   int               // transactions a window of blocks, a power of two up to 64; 1: plain windows in the order of the key; defaults to what is measured
	Where     string            // only rows of which this is true, with column names in braces: `{tenant} = 7`; a pass of its own, which no gate counts; defaults to all
	OrderDesc bool              // in windows from the highest key down, the newest rows first where the key grows; a pass under way keeps its order; defaults to by blocks, and up the key
	BadRows   int               // rows that one call sets aside before it stops with ErrBadRows; defaults to 10,000
	BadShare  float64           // of the rows gone over, what one call may set aside before it stops with ErrBadRows; looked at from 1,000 rows on; defaults to 1: any
	Throttles []throttle.Signal // what it gives way to, read once a second with one connection more; defaults to none, throttle.Default has some
	// ConvertTimeout is what a conversion in Go may take of one row, from 100 ms up, before the run ends with ErrStuck; defaults to 1 min.
	ConvertTimeout time.Duration
	For            time.Duration  // how long this call works, from its first range on, one statement at least where nothing holds it; then it returns with Result.Done false; defaults to until all is done
	Progress       func(Progress) // called after each statement and while workers rest, one call at a time, while workers wait; defaults to none
	Log            *slog.Logger   // a line each 10 s, and what holds workers; defaults to none
}

const (
	defaultTarget         = 50 * time.Millisecond
	defaultBatch          = 50_000
	defaultBadRows        = 10_000
	minTarget             = time.Millisecond
	defaultConvertTimeout = time.Minute
	minConvertTimeout     = 100 * time.Millisecond
	maxTarget             = 10 * time.Second
	maxStripes            = 64
	maxWorkers            = 32
	lease                 = 10 * time.Second
	// A batch that waits for a row lock gives up before deadlock_timeout (1 s): it, not the application, lets go.
	lockTimeout = 200 * time.Millisecond
)

// retry bounds how long one statement may fail for reasons that pass: locks, deadlocks, lost connections.
var retry = pg.Backoff{Base: 100 * time.Millisecond, Max: 2 * time.Second, Attempts: 30}

func (o Options) withDefaults() (Options, error) {
	if o.Workers == 0 {
		o.Workers = 1
	}
	if o.Target == 0 {
		o.Target = defaultTarget
	}
	if o.Batch == 0 {
		o.Batch = defaultBatch
	}
	if o.ConvertTimeout == 0 {
		o.ConvertTimeout = defaultConvertTimeout
	}
	if o.BadRows == 0 {
		o.BadRows = defaultBadRows
	}
	if err := checkShare(o.BadShare); err != nil {
		return o, err
	}
	switch {
	case o.BadRows < 0:
		return o, fmt.Errorf("options: %d bad rows: must be positive", o.BadRows)
	case o.Workers < 1 || o.Workers > maxWorkers:
		return o, fmt.Errorf("options: %d workers: must lie between 1 and %d", o.Workers, maxWorkers)
	case o.Target < minTarget || o.Target > maxTarget:
		return o, fmt.Errorf("options: target %s: must lie between %s and %s", o.Target, minTarget, maxTarget)
	case o.Rate < 0:
		return o, fmt.Errorf("options: rate %g: must be positive", o.Rate)
	case o.Batch < minBatch || o.Batch > defaultBatch:
		return o, fmt.Errorf("options: batch of %d rows: must lie between %d and %d", o.Batch, minBatch, defaultBatch)
	case o.Stripes < 0 || o.Stripes > maxStripes || o.Stripes&(o.Stripes-1) != 0:
		return o, fmt.Errorf("options: %d stripes: must be a power of two up to %d", o.Stripes, maxStripes)
	case o.ConvertTimeout < minConvertTimeout:
		return o, fmt.Errorf("options: convert timeout %s: must be %s at least", o.ConvertTimeout, minConvertTimeout)
	case o.For < 0:
		return o, fmt.Errorf("options: for %s: must be positive", o.For)
	}
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	return o, nil
}
