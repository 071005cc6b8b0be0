package backfill

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMeter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMeter(0, 10_000)
		require.Equal(t, Progress{Total: 10_000}, m.at(0), "nothing is known yet")
		for i := range 10 {
			time.Sleep(time.Second)
			p := m.at(int64(i+1) * 100)
			require.InDelta(t, 100, p.Rate, 0.01)
			require.Equal(t, time.Duration(10_000-p.Rows)*10*time.Millisecond, p.Left)
		}
		// ten times as fast: after a while the rate follows
		for range 12 {
			time.Sleep(time.Second)
			m.at(m.rows + 500)
		}
		require.InDelta(t, 500, m.rate, 10)
		// a pause between two statements counts
		time.Sleep(10 * time.Second)
		require.InDelta(t, 50, m.at(m.rows+500).Rate, 0.01)
		// rows that were not passed change nothing
		rate := m.rate
		time.Sleep(time.Hour)
		require.InDelta(t, rate, m.at(m.rows).Rate, 0)
		p := m.at(20_000)
		require.EqualValues(t, 20_000, p.Total)
		require.Zero(t, p.Left)
	})
}

// A resumed meter begins where the last one ended, and does not take those rows for its own.
func TestMeterResumes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMeter(5000, 10_000)
		time.Sleep(time.Second)
		require.InDelta(t, 100, m.at(5100).Rate, 0.01)
	})
}
