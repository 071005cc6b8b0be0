package throttle_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill/throttle"
)

func TestRamp(t *testing.T) {
	t.Parallel()
	for value, want := range map[float64]float64{-1: 0, 10: 0, 15: 0.25, 20: 0.5, 30: 1, 99: 1} {
		require.InDelta(t, want, throttle.Ramp(value, 10, 30), 1e-9)
	}
	require.InDelta(t, 1, throttle.Ramp(10, 10, 10), 0)
}

// fixed is a signal with a load that a test sets.
func fixed(load *throttle.Load, err *error) throttle.Signal {
	return throttle.Func("fixed", func(context.Context, *sqlx.DB) (throttle.Load, error) { return *load, *err })
}

// The largest load counts, and sets the rest after a statement so that the share of the time is what it says.
func TestMonitor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var a, b throttle.Load
		var none error
		m := throttle.Watch(ctx, nil, []throttle.Signal{fixed(&a, &none), fixed(&b, &none)})
		rest, why, still := m.Rest(time.Second)
		require.Zero(t, rest)
		require.Empty(t, why)
		require.False(t, still)
		a, b = throttle.Load{Share: 0.25, Reason: "a"}, throttle.Load{Share: 0.75, Reason: "b"}
		time.Sleep(throttle.Every + 1)
		rest, why, still = m.Rest(time.Second)
		require.Equal(t, 3*time.Second, rest)
		require.Equal(t, "b", why)
		require.False(t, still)
		b.Share = 0.99
		time.Sleep(throttle.Every)
		rest, _, _ = m.Rest(time.Second)
		require.Equal(t, 5*time.Second, rest)
		a.Share = 1
		time.Sleep(throttle.Every)
		_, why, still = m.Rest(time.Second)
		require.Equal(t, "a", why)
		require.True(t, still)
		cancel()
		m.Wait()
	})
}

// A signal that cannot be read keeps what it said last for a while, and then stops the backfill; so does one that hangs, and the others are read all the same.
func TestMonitorFailsClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		load, other := throttle.Load{}, throttle.Load{}
		var err, none error
		hang := false
		m := throttle.Watch(ctx, nil, []throttle.Signal{
			throttle.Func("mine", func(ctx context.Context, _ *sqlx.DB) (throttle.Load, error) {
				if hang {
					<-ctx.Done()
					<-time.After(time.Hour) // and heeds no context
				}
				return load, err
			}), fixed(&other, &none)})
		for name, fail := range map[string]func(){"out of order": func() { err = errors.New("out of order") }, "no answer within 2s": func() { hang = true }} {
			time.Sleep(2 * throttle.Every)
			fail()
			time.Sleep(throttle.Blind - 2*throttle.Every)
			require.Zero(t, m.Load().Share)
			time.Sleep(5 * throttle.Every)
			require.InDelta(t, 1, m.Load().Share, 0)
			require.Contains(t, m.Load().Reason, "mine cannot be read since ")
			require.Contains(t, m.Load().Reason, name)
			err, hang = nil, false
			other = throttle.Load{Share: 0.5}
			time.Sleep(5 * throttle.Every)
			require.InDelta(t, 0.5, m.Load().Share, 0)
			other = throttle.Load{}
			time.Sleep(2 * throttle.Every)
		}
		cancel()
		m.Wait()
		time.Sleep(2 * time.Hour) // those that hung
	})
}

func TestHours(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	synctest.Test(t, func(t *testing.T) { // it is midnight UTC of Saturday, January 1, 2000
		midnight := time.Now()
		for _, c := range []struct {
			hours throttle.Hours
			after time.Duration
			share float64
		}{
			{throttle.Hours{From: "00:00", To: "00:01"}, 0, 1},
			{throttle.Hours{From: "00:01", To: "00:02"}, 0, 0},
			{throttle.Hours{From: "22:00", To: "06:00", Share: 0.5}, 0, 0.5},
			{throttle.Hours{From: "01:00", To: "02:00", Location: berlin}, 0, 1},
			{throttle.Hours{From: "22:00", To: "06:00", Days: []time.Weekday{time.Friday}}, 0, 1}, // begun on Friday
			{throttle.Hours{From: "22:00", To: "06:00"}, 6 * time.Hour, 0},
			{throttle.Hours{From: "22:00", To: "06:00"}, 22 * time.Hour, 1},
			{throttle.Hours{From: "22:00", To: "06:00", Days: []time.Weekday{time.Friday}}, 23 * time.Hour, 0},
			{throttle.Hours{From: "01:00", To: "02:00", Location: berlin}, 200 * 24 * time.Hour, 0},
			{throttle.Hours{From: "02:00", To: "03:00", Location: berlin}, 200 * 24 * time.Hour, 1},
		} {
			time.Sleep(time.Until(midnight.Add(c.after)))
			load, err := c.hours.Read(t.Context(), nil)
			require.NoError(t, err)
			require.InDelta(t, c.share, load.Share, 0, "%+v after %s", c.hours, c.after)
		}
		for _, h := range []throttle.Hours{{}, {From: "25:00", To: "1:00"}, {From: "1:00", To: "x"}} {
			_, err := h.Read(t.Context(), nil)
			require.ErrorContains(t, err, "is no time of the day")
		}
	})
}
