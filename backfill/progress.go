package backfill

import (
	"context"
	"time"

	"github.com/tandem-go/tandem/internal/state"
)

// Progress is how far a pass is.
type Progress struct {
	Rows  int64         // passed, whether they had to be written or not; never more than Total
	Total int64         // rows of the table: counted up to 100,000, else the planner's estimate, corrected as the pass goes on
	Rate  float64       // rows a second, over the last seconds
	Left  time.Duration // at that rate; 0 when done or not yet known
	Plain string        // why rows are not done in stripes; "" when they are
	Held  string        // why a worker rests, or has to stand still; "" when nothing holds it
	Done  bool
}

// Fraction is Rows of Total, 1 for an empty table.
func (p Progress) Fraction() float64 {
	if p.Total == 0 {
		return 1
	}
	return float64(p.Rows) / float64(p.Total)
}

// meter computes rate and time left. The rate is a moving average in which a sample loses half of its weight in halfLife.
type meter struct {
	total, rows int64
	last        time.Time
	rate        float64
}

const halfLife = 3 * time.Second

func newMeter(rows, total int64) *meter { return &meter{rows: rows, total: total, last: time.Now()} }

func (m *meter) at(rows int64) Progress {
	now := time.Now()
	if elapsed := now.Sub(m.last); elapsed > 0 && rows > m.rows {
		sample := float64(rows-m.rows) / elapsed.Seconds()
		weight := min(1, elapsed.Seconds()/halfLife.Seconds())
		if m.rate == 0 {
			weight = 1
		}
		m.rate += weight * (sample - m.rate)
		m.last, m.rows = now, rows
	}
	m.total = max(m.total, rows)
	p := Progress{Rows: rows, Total: m.total, Rate: m.rate}
	if m.rate > 0 {
		p.Left = time.Duration(float64(m.total-rows) / m.rate * float64(time.Second)).Round(100 * time.Millisecond)
	}
	return p
}

// progress adds up the ranges of a round, those of other processes too.
type progress struct {
	meter  *meter
	total  int64
	later  bool // a later round goes over rows that were passed before
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
	g.meter = newMeter(g.rows(), p.Total)
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
