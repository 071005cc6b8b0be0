package backfill

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTooMany(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		bad, passed int64
		o           Options
		says        string
	}{
		{10, 10, Options{BadRows: 10}, ""},
		{11, 1 << 40, Options{BadRows: 10}, "11, Options.BadRows is 10"},
		{999, 999, Options{BadRows: 1 << 20, BadShare: 0.01}, ""}, // of too few
		{10, 1000, Options{BadRows: 1 << 20, BadShare: 0.01}, ""},
		{11, 1000, Options{BadRows: 1 << 20, BadShare: 0.01}, "11 of 1000, Options.BadShare is 0.01"},
		{11, 1000, Options{BadRows: 10, BadShare: 0.01}, "Options.BadRows"},
		{11, 1100, Options{BadRows: 1 << 20, BadShare: 0.01}, ""},
		{1000, 1000, Options{BadRows: 1 << 20}, ""}, // any share
		{1000, 1000, Options{BadRows: 1 << 20, BadShare: 1}, ""},
	} {
		err := tooMany(c.bad, c.passed, c.o)
		if c.says == "" {
			require.NoError(t, err, "%+v", c)
			continue
		}
		require.ErrorIs(t, err, ErrBadRows)
		require.ErrorContains(t, err, c.says)
	}
	for _, share := range []float64{-0.1, 1.1, math.NaN()} {
		_, err := Options{BadShare: share}.withDefaults()
		require.ErrorContains(t, err, "options: a share of")
	}
}
