package backfill

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill/throttle"
)

// A rate holds however slow it is: the fewest rows of a statement are paid for in full, not with a rest that other limits bound.
func TestHeldByRate(t *testing.T) {
	t.Parallel()
	r := &runner{monitor: throttle.Watch(t.Context(), nil, nil), progress: &progress{}}
	for _, c := range []struct {
		rate float64
		rows int64
		took time.Duration
		rest time.Duration
	}{
		{0, 1000, time.Second, 0},
		{1000, 100, 0, 100 * time.Millisecond},
		{1000, 100, 30 * time.Millisecond, 70 * time.Millisecond},
		{1000, 100, time.Second, 0},
		{1, 10, 0, 10 * time.Second},
		{0.1, 10, 0, 100 * time.Second},
		{1e-12, 10, 0, longestRest},
	} {
		r.o.Rate = c.rate
		rest, why, still, err := r.held(c.rows, c.took)
		require.NoError(t, err)
		require.False(t, still)
		require.Equal(t, c.rest, rest, "%+v", c)
		require.Equal(t, c.rest > 0, why != "")
	}
}
