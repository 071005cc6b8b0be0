package main

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestQuantile(t *testing.T) {
	t.Parallel()
	var l latency
	require.Zero(t, l.quantile(0.5), "no operation")
	for i := 1; i <= 1000; i++ {
		l.add(time.Duration(i) * time.Millisecond)
	}
	require.InEpsilon(t, 500*time.Millisecond, l.quantile(0.5), 0.05)
	require.InEpsilon(t, 990*time.Millisecond, l.quantile(0.99), 0.05)
	require.InEpsilon(t, time.Millisecond, l.quantile(0), 0.05)
	require.Equal(t, time.Second, l.quantile(1))
	require.Equal(t, time.Second, l.Longest)
}

func TestQuantileOfTheVeryFastAndSlow(t *testing.T) {
	t.Parallel()
	var l latency
	l.add(0)
	require.Zero(t, l.quantile(0.5))
	l.add(time.Hour)
	require.Equal(t, smallest, l.quantile(0.5))
	require.Equal(t, time.Hour, l.quantile(1))
}

// The counts of two services, one of them read from its report, are those of one service that did all.
func TestLatencyMerge(t *testing.T) {
	t.Parallel()
	var a, b, both latency
	for i := range 300 {
		d := time.Duration(i*i) * time.Microsecond
		both.add(d)
		if i%3 == 0 {
			a.add(d)
		} else {
			b.add(d)
		}
	}
	text, err := json.Marshal(b)
	require.NoError(t, err)
	var read latency
	require.NoError(t, json.Unmarshal(text, &read))
	a.merge(read)
	require.Equal(t, both, a)
}

func TestThousands(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -4321: "-4,321"} {
		require.Equal(t, want, thousands(n))
	}
}
