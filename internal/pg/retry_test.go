package pg_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/pg"
)

var errBusy = errors.New("busy")

func always(error) bool { return true }

func TestRetry(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		attempts, failures int // allowed, wanted by the server
		again              func(error) bool
		calls              int
		err                error
	}{
		"at once":             {5, 0, always, 1, nil},
		"after two":           {5, 2, always, 3, nil},
		"at the last":         {3, 2, always, 3, nil},
		"too often":           {3, 9, always, 3, errBusy},
		"zero attempts":       {0, 9, always, 1, errBusy},
		"negative attempts":   {-1, 9, always, 1, errBusy},
		"not worth repeating": {5, 9, func(error) bool { return false }, 1, errBusy},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				err := pg.Retry(t.Context(), pg.Backoff{Base: time.Second, Max: time.Minute, Attempts: c.attempts}, c.again, func(context.Context) error {
					calls++
					if calls <= c.failures {
						return fmt.Errorf("call %d: %w", calls, errBusy)
					}
					return nil
				})
				require.Equal(t, c.calls, calls)
				require.ErrorIs(t, err, c.err)
				if c.err != nil {
					require.ErrorContains(t, err, fmt.Sprintf("call %d:", calls)) // the last one
				}
			})
		})
	}
}

// Waits grow, stay below the bound, and differ.
func TestBackoff(t *testing.T) {
	t.Parallel()
	for _, b := range []pg.Backoff{
		{Base: time.Second, Max: 16 * time.Second, Attempts: 200},
		{Base: time.Minute, Max: time.Hour, Attempts: 200}, // doubled 28 times, a minute does not fit an int64
		{Base: time.Hour, Max: time.Second, Attempts: 200},
		{Base: time.Second, Max: 16 * time.Second, Attempts: 200, Least: time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			var waits []time.Duration
			last := time.Now()
			_ = pg.Retry(t.Context(), b, always, func(context.Context) error {
				waits = append(waits, time.Since(last))
				last = time.Now()
				return errBusy
			})
			require.Len(t, waits, b.Attempts)
			seen, total := map[time.Duration]bool{}, time.Duration(0)
			for i, w := range waits[1:] {
				limit := b.Max
				if i < 10 {
					limit = min(b.Max, b.Base<<i)
				}
				require.GreaterOrEqual(t, w, b.Least)
				w -= b.Least
				require.LessOrEqual(t, w, limit)
				seen[w] = true
				total += w
			}
			require.Greater(t, len(seen), 150)
			require.Greater(t, total, 50*b.Max) // half of Max in the mean: a wait that had become 0 would show
		})
	}
}

func TestBackoffWithoutTimes(t *testing.T) {
	t.Parallel()
	calls := 0
	require.ErrorIs(t, pg.Retry(t.Context(), pg.Backoff{Attempts: 100}, always, func(context.Context) error { calls++; return errBusy }), errBusy)
	require.Equal(t, 100, calls)
}

func TestRetryEndsWithTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stop := errors.New("operator said stop")
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() {
			_ = pg.Sleep(t.Context(), 90*time.Second)
			cancel(stop)
		}()
		began := time.Now()
		err := pg.Retry(ctx, pg.Backoff{Base: time.Hour, Max: time.Hour, Attempts: 1000}, always, func(context.Context) error { return errBusy })
		require.ErrorIs(t, err, errBusy)
		require.ErrorIs(t, err, stop)
		require.Equal(t, 90*time.Second, time.Since(began))
		require.ErrorIs(t, pg.Sleep(ctx, time.Hour), stop)
		calls := 0
		require.ErrorIs(t, pg.Retry(ctx, pg.Backoff{Attempts: 9}, always, func(context.Context) error { calls++; return errBusy }), stop)
		require.Equal(t, 1, calls)
		require.NoError(t, pg.Retry(ctx, pg.Backoff{Attempts: 9}, always, func(context.Context) error { return nil }))
	})
}

func TestCause(t *testing.T) {
	t.Parallel()
	why := errors.New("quiet hours")
	ctx, cancel := context.WithCancelCause(t.Context())
	require.NoError(t, pg.Cause(ctx, nil))
	require.Equal(t, errBusy, pg.Cause(ctx, errBusy))
	cancel(why)
	require.NoError(t, pg.Cause(ctx, nil))
	err := pg.Cause(ctx, &pq.Error{Code: pg.QueryCanceled, Message: "canceling statement"})
	require.ErrorIs(t, err, why)
	require.Equal(t, pg.QueryCanceled, pg.SQLState(err))
	require.Equal(t, err, pg.Cause(ctx, err)) // once
	plain, cancelPlain := context.WithCancel(t.Context())
	cancelPlain()
	require.ErrorIs(t, pg.Cause(plain, errBusy), context.Canceled)
}

func TestWhatAnErrorMeans(t *testing.T) {
	t.Parallel()
	code := func(c string) error { return fmt.Errorf("wrapped: %w", &pq.Error{Code: pqerror.Code(c)}) }
	for _, c := range []struct {
		err             error
		state           string
		transient, lost bool
	}{
		{nil, "", false, false},
		{errBusy, "", false, false},
		{code("23505"), "23505", false, false},
		{code("TD001"), pg.StaleStamp, false, false},
		{code("40P01"), pg.Deadlock, true, false},
		{code("55P03"), pg.LockNotAvailable, true, false},
		{code("40001"), pg.Serialization, true, false},
		{code("57014"), pg.QueryCanceled, true, false},
		{code("08006"), "08006", true, true},
		{code("57P01"), "57P01", true, true},
		{code("53300"), "53300", true, true},
		{code("53100"), "53100", false, false}, // disk full
		{driver.ErrBadConn, "", true, true},
		{fmt.Errorf("x: %w", io.EOF), "", true, true},
		{io.ErrUnexpectedEOF, "", true, true},
		{&net.OpError{Op: "read", Err: errBusy}, "", true, true},
		{errors.Join(errBusy, code("40001")), pg.Serialization, true, false},
		{context.Canceled, "", false, false},
		{context.DeadlineExceeded, "", false, false}, // the caller's own, although it is a net.Error
	} {
		require.Equal(t, c.state, pg.SQLState(c.err), "%v", c.err)
		require.Equal(t, c.transient, pg.Transient(c.err), "%v", c.err)
		require.Equal(t, c.lost, pg.ConnectionLost(c.err), "%v", c.err)
	}
}
