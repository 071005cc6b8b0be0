package throttle_test

import (
	"context"
	"errors"
	"math"
	"sync"
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

// pass lets time pass, and what happens at its end.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// shared guards what tests change while a monitor reads it.
var shared sync.Mutex

// set changes something that signals read.
func set(change func()) {
	shared.Lock()
	defer shared.Unlock()
	change()
}

// get reads what signals count.
func get[T any](of *T) T {
	shared.Lock()
	defer shared.Unlock()
	return *of
}

// fixed is a signal with a load that a test sets.
func fixed(load *throttle.Load, err *error) throttle.Signal {
	return throttle.Func("fixed", func(context.Context, *sqlx.DB) (throttle.Load, error) { return get(load), get(err) })
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
		set(func() { a, b = throttle.Load{Share: 0.25, Reason: "a"}, throttle.Load{Share: 0.75, Reason: "b"} })
		pass(throttle.Every + 1)
		rest, why, still = m.Rest(time.Second)
		require.Equal(t, 3*time.Second, rest)
		require.Equal(t, "b", why)
		require.False(t, still)
		set(func() { b.Share = 0.99 })
		pass(throttle.Every)
		rest, _, _ = m.Rest(time.Second)
		require.Equal(t, 5*time.Second, rest)
		set(func() { a.Share = 1 })
		pass(throttle.Every)
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
				if get(&hang) {
					<-ctx.Done()
					<-time.After(17 * time.Second) // and heeds no context
				}
				return get(&load), get(&err)
			}), fixed(&other, &none)})
		for name, fail := range map[string]func(){"out of order": func() { err = errors.New("out of order") }, "no answer within 2s": func() { hang = true }} {
			pass(2 * throttle.Every)
			set(fail)
			pass(throttle.Blind - 2*throttle.Every)
			require.Zero(t, m.Load().Share)
			pass(5 * throttle.Every)
			require.InDelta(t, 1, m.Load().Share, 0)
			require.Contains(t, m.Load().Reason, "mine cannot be read since ")
			require.Contains(t, m.Load().Reason, name)
			set(func() { err, hang, other = nil, false, throttle.Load{Share: 0.5} })
			pass(5 * throttle.Every)
			require.InDelta(t, 0.5, m.Load().Share, 0)
			set(func() { other = throttle.Load{} })
			pass(2 * throttle.Every)
		}
		cancel()
		m.Wait()
		pass(2 * time.Hour) // those that hung
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
			{throttle.Hours{From: "00:00", To: "24:00", Days: []time.Weekday{time.Saturday}}, 0, 1},
			{throttle.Hours{From: "00:00", To: "24:00", Days: []time.Weekday{time.Sunday}}, 0, 0},
			{throttle.Hours{From: "22:00", To: "24:00", Days: []time.Weekday{time.Friday}}, 0, 0},
			{throttle.Hours{From: "22:00", To: "06:00"}, 6 * time.Hour, 0},
			{throttle.Hours{From: "22:00", To: "06:00"}, 22 * time.Hour, 1},
			{throttle.Hours{From: "22:00", To: "06:00", Days: []time.Weekday{time.Friday}}, 23 * time.Hour, 0},
			{throttle.Hours{From: "01:00", To: "02:00", Location: berlin}, 200 * 24 * time.Hour, 0},
			{throttle.Hours{From: "02:00", To: "03:00", Location: berlin}, 200 * 24 * time.Hour, 1},
		} {
			pass(time.Until(midnight.Add(c.after)))
			load, err := c.hours.Read(t.Context(), nil)
			require.NoError(t, err)
			require.InDelta(t, c.share, load.Share, 0, "%+v after %s", c.hours, c.after)
		}
		for _, c := range []struct {
			hours throttle.Hours
			err   string
		}{
			{throttle.Hours{From: "09:00", To: "09:00"}, "whole days are from 00:00 to 24:00"},
			{throttle.Hours{From: "24:00", To: "09:00"}, "whole days are from 00:00 to 24:00"},
			{throttle.Hours{From: "09:00", To: "10:00", Share: 2}, "must lie between 0 and 1"},
			{throttle.Hours{From: "09:00", To: "10:00", Share: math.NaN()}, "must lie between 0 and 1"},
		} {
			_, err := c.hours.Read(t.Context(), nil)
			require.ErrorContains(t, err, c.err)
		}
		for _, h := range []throttle.Hours{{}, {From: "25:00", To: "1:00"}, {From: "1:00", To: "x"}} {
			_, err := h.Read(t.Context(), nil)
			require.ErrorContains(t, err, "is no time of the day")
		}
	})
}

// A signal whose call never returns is not called a second time, and others are read every second whatever becomes of it and of those that fail slowly.
func TestMonitorIsNotHeldUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		stuck, slow, good := 0, 0, 0
		signals := []throttle.Signal{
			throttle.Func("stuck", func(context.Context, *sqlx.DB) (throttle.Load, error) {
				set(func() { stuck++ })
				time.Sleep(time.Minute)
				return throttle.Load{}, nil
			}),
		}
		for range 3 {
			signals = append(signals, throttle.Func("slow", func(ctx context.Context, _ *sqlx.DB) (throttle.Load, error) {
				set(func() { slow++ })
				<-ctx.Done()
				return throttle.Load{}, ctx.Err()
			}))
		}
		signals = append(signals, throttle.Func("good", func(context.Context, *sqlx.DB) (throttle.Load, error) {
			set(func() { good++ })
			return throttle.Load{}, nil
		}))
		m := throttle.Watch(ctx, nil, signals)
		stuck0, good0, slow0 := get(&stuck), get(&good), get(&slow)
		pass(30 * time.Second)
		require.Equal(t, 1, stuck0)
		require.Equal(t, 1, get(&stuck))
		require.GreaterOrEqual(t, get(&good)-good0, 14, "every 2 s at least")
		require.Greater(t, get(&slow)-slow0, 8)
		require.InDelta(t, 1, m.Load().Share, 0)
		pass(2 * time.Minute)
		require.Greater(t, get(&stuck), 1, "once it has returned it is called again")
		cancel()
		m.Wait()
		pass(2 * time.Minute)
	})
}

// A share that is no number fails as an error does, and a load without a reason has the signal's name.
func TestMonitorOfNonsense(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		load := throttle.Load{Share: 0.5}
		var none error
		m := throttle.Watch(ctx, nil, []throttle.Signal{fixed(&load, &none)})
		require.Equal(t, throttle.Load{Share: 0.5, Reason: "fixed"}, m.Load())
		set(func() { load.Share = math.NaN() })
		pass(throttle.Blind + throttle.Every)
		require.Regexp(t, `^fixed cannot be read since 2000-01-01 00:00:0\d UTC: its share is not a number$`, m.Load().Reason)
		require.InDelta(t, 1, m.Load().Share, 0)
		cancel()
		m.Wait()
	})
}
