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
		m := newMeter(0, 20_000)
		require.Equal(t, Progress{Total: 20_000}, m.at(0), "nothing is known yet")
		for i := range 10 {
			time.Sleep(time.Second)
			p := m.at(int64(i+1) * 100)
			require.InDelta(t, 100, p.Rate, 0.01)
			require.Equal(t, time.Duration(20_000-p.Rows)*10*time.Millisecond, p.Left)
		}
		// ten times as fast: after a while the rate follows
		for range 20 {
			time.Sleep(time.Second)
			m.at(m.rows + 500)
		}
		require.InDelta(t, 500, m.rate, 10)
		steady := m.at(m.rows + 1)
		require.LessOrEqual(t, steady.AtLeast, steady.Left)
		require.GreaterOrEqual(t, steady.AtMost, steady.Left)
		// while it is held the rate falls, the time left grows, and its range is wider
		var held Progress
		for range 10 {
			time.Sleep(time.Second)
			held = m.at(m.rows)
		}
		require.Less(t, held.Rate, 100.0)
		require.Greater(t, held.Left, 4*steady.Left)
		require.Greater(t, held.AtMost-held.AtLeast, steady.AtMost-steady.AtLeast)
		// a range that was lost takes nothing back
		require.Equal(t, m.rows, m.at(0).Rows)
		p := m.at(30_000)
		require.EqualValues(t, 30_000, p.Total)
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
