package backfill

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/tandem-go/tandem/internal/state"
)

// Progress is how far a pass is.
type Progress struct {
	Rows  int64         // passed, whether they had to be written or not; never more than Total
	Total int64         // rows of the table: counted up to 100,000, else the planner's estimate, corrected as the pass goes on
	Rate  float64       // rows a second, of all workers in all processes, over the last seconds
	Left  time.Duration // at that rate; 0 when done or not yet known
	Plain string        // why rows are not done in stripes; "" when they are
	Held  string        // why a worker rests, or has to stand still; "" when nothing holds it
	Done  bool

	AtLeast, AtMost time.Duration // the range of Left, by how much the rate has varied; it does not foresee what will hold it
}

// Fraction is Rows of Total, 1 for an empty table.
func (p Progress) Fraction() float64 {
	if p.Total == 0 {
		return 1
	}
	return float64(p.Rows) / float64(p.Total)
}

// String is a line for an operator.
func (p Progress) String() string {
	if p.Done {
		return fmt.Sprintf("%d rows, done", p.Rows)
	}
	out := fmt.Sprintf("%d of %d rows, %.0f %%, %.0f a second", p.Rows, p.Total, math.Floor(100*p.Fraction()), p.Rate)
	if p.Left > 0 {
		out += fmt.Sprintf(", %s to %s left", p.AtLeast, p.AtMost)
	}
	if p.Held != "" {
		out += ", held: " + p.Held
	}
	return out
}

// progress adds up the ranges of a round, those of other processes too.
type progress struct {
	meter  *meter
	total  int64
	later  bool // a later round goes over rows that were passed before
	stored time.Time
	logged time.Time
	held   string // as logged
	shares map[int]state.Share
	read   time.Time
}

// freshness is how old the shares of others may be.
const freshness = time.Second

func (r *runner) newProgress(ctx context.Context, p state.Pass) (*progress, error) {
	g := &progress{total: p.Total, later: p.Round > 0}
	if err := g.refresh(ctx, r); err != nil {
		return nil, err
	}
	if g.meter = newMeter(g.rows(), p.Total); r.progress != nil { // of an earlier round
		g.meter, g.logged, g.held = r.progress.meter, r.progress.logged, r.progress.held
	}
	return g, nil
}

// refresh reads what others have done meanwhile.
func (g *progress) refresh(ctx context.Context, r *runner) error {
	if time.Since(g.read) < freshness {
		return nil
	}
	list, err := state.Shares(ctx, r.db, r.task.d.Name(), r.kind)
	if err != nil {
		return err
	}
	g.shares, g.read = make(map[int]state.Share, len(list)), time.Now()
	for _, s := range list {
		g.shares[s.ID] = s
	}
	return nil
}

// working is how many workers there are, in all processes.
func (g *progress) working() (n int) {
	for _, s := range g.shares {
		if s.Owned {
			n++
		}
	}
	return n
}

func (g *progress) rows() int64 {
	if g.later {
		return g.total
	}
	var done, all float64
	for _, s := range g.shares {
		done, all = done+s.Weight*s.Share, all+s.Weight
	}
	return int64(float64(g.total) * done / max(all, 1))
}

// at is the progress when a range has come so far.
func (g *progress) at(r state.Range, plain string) Progress {
	s := g.shares[r.ID]
	s.Share = r.Share
	g.shares[r.ID] = s
	p := g.meter.at(min(g.rows(), g.total))
	if p.Plain = plain; !r.Blocks {
		p.Plain = "in the order of the key"
	}
	return p
}

const (
	logEvery = 10 * time.Second // the time between two lines of the log
	logHeld  = 3 * time.Second  // and before one that says what else holds a worker by now; reasons hold numbers, and workers have different ones
)

// tell brings a progress to everybody who wants to know: the callback at once, the state once a second, the log now and then.
func (r *runner) tell(ctx context.Context, p Progress) error {
	r.o.Progress(p)
	g := r.progress
	if r.o.Log != nil && (p.Done || time.Since(g.logged) >= logEvery || p.Held != g.held && p.Held != "" && time.Since(g.logged) >= logHeld) {
		g.logged, g.held = time.Now(), p.Held
		r.o.Log.LogAttrs(ctx, slog.LevelInfo, "tandem: backfill", slog.String("migration", r.task.d.Name()), slog.String("pass", r.kind), slog.String("progress", p.String()))
	}
	if !p.Done && time.Since(g.stored) < freshness {
		return nil
	}
	g.stored = time.Now()
	return r.retry(ctx, func(ctx context.Context) error {
		return state.SaveProgress(ctx, r.db, r.task.d.Name(), r.kind, p.String())
	})
}
