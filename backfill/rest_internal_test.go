package backfill

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill/throttle"
	"github.com/tandem-go/tandem/internal/state"
)

// Many workers keep even a rate of which the share of each is less than its smallest statement has rows.
func TestRestAtALowRate(t *testing.T) {
	t.Parallel()
	r := &runner{o: Options{Rate: 1, Workers: 4}, monitor: throttle.Watch(t.Context(), nil, nil), progress: &progress{shares: map[int]state.Share{}}}
	for i := range 4 {
		r.progress.shares[i] = state.Share{ID: i, Owned: true}
	}
	rest, why, still, err := r.held(minBatch, time.Second)
	require.NoError(t, err)
	require.False(t, still)
	require.Equal(t, 39*time.Second, rest)
	require.Contains(t, why, "1 rows a second")
	rest, _, _, err = r.held(0, time.Second)
	require.NoError(t, err)
	require.LessOrEqual(t, rest, time.Duration(0), "nothing was written")
}

// No rate is too slow to be kept.
func TestRestAtAnyRate(t *testing.T) {
	t.Parallel()
	r := &runner{monitor: throttle.Watch(t.Context(), nil, nil), progress: &progress{}, o: Options{Workers: 1}}
	for _, c := range []struct {
		rate float64
		took time.Duration
		rest time.Duration
	}{{0, 0, 0}, {1000, 0, 10 * time.Millisecond}, {1000, 4 * time.Millisecond, 6 * time.Millisecond}, {1, 0, 10 * time.Second}, {0.1, 0, 100 * time.Second}, {1e-12, 0, longestRest}} {
		r.o.Rate = c.rate
		rest, why, still, err := r.held(10, c.took)
		require.NoError(t, err)
		require.False(t, still)
		require.Equal(t, c.rest, rest, "%+v", c)
		require.Equal(t, c.rest > 0, why != "")
	}
}
