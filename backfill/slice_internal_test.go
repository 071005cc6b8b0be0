package backfill

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tandem-go/tandem/internal/state"
)

// However a range of blocks is cut, into windows, stripes and statements, and wherever it is resumed, each block is gone over once in each stripe of its window, in turn, and the share grows to 1.
func TestBlockSlicesCoverARange(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		low := rapid.Int64Range(0, 100).Draw(t, "low")
		high := low + rapid.Int64Range(1, 200).Draw(t, "blocks")
		r := state.Range{Low: blockKey(low), High: blockKey(high), Blocks: true}
		seen := map[int64]int{} // stripes of a block that are done
		of := map[int64]int{}   // of how many
		var share float64
		for !r.Done {
			s := blockSlice(r, rapid.Int64Range(0, 50).Draw(t, "n"), 1<<rapid.IntRange(0, 6).Draw(t, "stripes"), rapid.Int64Range(0, 90).Draw(t, "length"))
			var at, to, stripe int64
			n, err := fmt.Sscanf(s.where, "t.ctid >= '(%d,0)' AND t.ctid < '(%d,0)'", &at, &to)
			require.NoError(t, err)
			require.Equal(t, 2, n)
			if s.stripes > 1 {
				_, after, _ := strings.Cut(s.where, " = ")
				stripe, err = strconv.ParseInt(after, 10, 64)
				require.NoError(t, err)
			}
			require.Equal(t, s.blocks, to-at)
			for b := at; b < to; b++ {
				require.EqualValues(t, seen[b], stripe, "stripe after stripe")
				if of[b] == 0 {
					of[b] = s.stripes
				}
				require.Equal(t, of[b], s.stripes, "a window keeps its stripes")
				seen[b]++
			}
			require.Greater(t, s.next.Share, share)
			require.LessOrEqual(t, s.next.Share, 1.0)
			share, r = s.next.Share, s.next
		}
		require.InDelta(t, 1, share, 1e-9)
		for b := low; b < high; b++ {
			require.Equal(t, of[b], seen[b], "block %d", b)
		}
		require.Len(t, seen, int(high-low))
	})
}
