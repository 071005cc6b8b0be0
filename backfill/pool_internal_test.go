package backfill

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func keyOfInt(n int) []string { return []string{strconv.Itoa(n)} }

func TestPoolDoesAll(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, chunkRows, 10*chunkRows + 7} {
		done := make([]atomic.Int32, n)
		p := newPool(0, keyOfInt, func(i int) { done[i].Add(1) })
		for i := range n {
			require.NoError(t, p.add(t.Context(), i))
		}
		require.NoError(t, p.wait(t.Context()))
		for i := range done {
			require.EqualValues(t, 1, done[i].Load(), i)
		}
	}
}

// One row that does not return is named, whether others wait for a processor or all rows were added; rows that are slow one after the other are not.
func TestPoolIsStuck(t *testing.T) {
	t.Parallel()
	for name, rows := range map[string]int{"at the end": 300, "full": 100 * chunkRows} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				never := make(chan struct{})
				defer close(never)
				p := newPool(time.Minute, keyOfInt, func(i int) {
					switch i % chunkRows {
					case 5:
						time.Sleep(50 * time.Second)
					case 7:
						<-never
					}
				})
				var err error
				for i := 0; i < rows && err == nil; i++ {
					err = p.add(t.Context(), i)
				}
				if err == nil {
					err = p.wait(t.Context())
				}
				require.ErrorIs(t, err, ErrStuck)
				require.Regexp(t, `key \[\d*7\]|key \[263\]`, err.Error())
			})
		})
	}
}

func TestPoolHearsItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		never := make(chan struct{})
		defer close(never)
		enough := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		p := newPool(time.Hour, keyOfInt, func(int) { <-never })
		require.NoError(t, p.add(ctx, 1))
		time.AfterFunc(time.Second, func() { cancel(enough) })
		require.ErrorIs(t, p.wait(ctx), enough)
	})
}
