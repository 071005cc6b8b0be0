package backfill

import (
	"math"
	"time"
)

// meter computes the rate and the time left. The rate is a moving average in which a sample loses half of its weight in halfLife; so is how far samples are from it, which makes the range
// of the time left.
type meter struct {
	total, rows int64
	told        int64 // rows of the last progress
	last        time.Time
	rate, off   float64 // off: the mean distance of samples from the rate
}

const (
	halfLife = 3 * time.Second
	// A worker that rests passes no rows, and that is a sample too after so long.
	standstill = time.Second
	// Below a tenth of the rate nobody can say how long it takes.
	slowest = 0.1
)

func newMeter(rows, total int64) *meter {
	return &meter{rows: rows, told: rows, total: max(total, rows), last: time.Now()}
}

// at is the progress at so many rows. It never goes back, and never beyond the total.
func (m *meter) at(rows int64) Progress {
	rows = max(rows, m.told)
	m.told = rows
	m.sample(rows, time.Now())
	m.total = max(m.total, rows)
	p := Progress{Rows: rows, Total: m.total, Rate: m.rate}
	if m.rate > 0 {
		left := float64(m.total - rows)
		p.Left = seconds(left / m.rate)
		p.AtLeast, p.AtMost = seconds(left/(m.rate+m.off)), seconds(left/max(m.rate-m.off, slowest*m.rate))
	}
	return p
}

func (m *meter) sample(rows int64, now time.Time) {
	elapsed := now.Sub(m.last)
	if elapsed <= 0 || rows == m.rows && (elapsed < standstill || m.rate == 0) {
		return
	}
	sample := float64(rows-m.rows) / elapsed.Seconds()
	weight := 1 - math.Exp2(-elapsed.Seconds()/halfLife.Seconds())
	if m.rate == 0 {
		weight = 1
	} else {
		m.off += weight * (math.Abs(sample-m.rate) - m.off)
	}
	m.rate += weight * (sample - m.rate)
	m.last, m.rows = now, rows
}

// seconds is a time that a human reads.
func seconds(s float64) time.Duration {
	d := time.Duration(min(s, (365*24*time.Hour).Seconds()) * float64(time.Second))
	if d > time.Minute {
		return d.Round(time.Second)
	}
	return d.Round(100 * time.Millisecond)
}
