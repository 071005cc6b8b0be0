package backfill

import "time"

// Progress is how far a pass is.
type Progress struct {
	Rows  int64         // passed, whether they had to be written or not; never more than Total
	Total int64         // rows of the table: counted up to 100,000, else the planner's estimate, corrected as the pass goes on
	Rate  float64       // rows a second, over the last seconds
	Left  time.Duration // at that rate; 0 when done or not yet known
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

func (m *meter) done(rows int64) Progress {
	p := m.at(rows)
	p.Total, p.Left, p.Done = rows, 0, true
	return p
}
