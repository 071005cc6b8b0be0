package backfill

import (
	"testing"

	"github.com/lib/pq"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tandem-go/tandem/internal/state"
)

// Whatever the rows of a window and however it is cut into statements, each row is in one of them, and bad ones are in the first.
func TestWindowIsWrittenOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		low := rapid.Int64Range(0, 50).Draw(t, "low")
		high := low + rapid.Int64Range(1, 40).Draw(t, "blocks")
		w := &window{low: low, high: high, stripes: 1 << rapid.IntRange(0, 6).Draw(t, "stripes"), bad: []badRow{{key: []string{"bad"}}}}
		w.parts = make([][]*row, w.stripes)
		places := rapid.SliceOfDistinct(rapid.Custom(func(t *rapid.T) place {
			return place{rapid.Int64Range(low, high-1).Draw(t, "block"), rapid.Int64Range(1, 291).Draw(t, "line")}
		}), func(p place) place { return p }).Draw(t, "places")
		var b batch
		for i, p := range places {
			b.rows = append(b.rows, &row{key: keyOfInt(i), place: p})
		}
		w.add(&b)
		w.sorted()
		r := state.Range{Low: blockKey(low), High: blockKey(high), Blocks: true}
		seen, bad := map[string]bool{}, 0
		for first := true; !r.Done; first = false {
			s := blockSlice(r, rapid.Int64Range(1, 50).Draw(t, "n"), w.stripes, high-low)
			got := w.batch(s)
			require.NotNil(t, got)
			for _, row := range got.rows {
				require.False(t, seen[row.key[0]])
				seen[row.key[0]] = true
				require.Equal(t, s.stripe, row.place.stripe(s.stripes))
				require.True(t, row.place.block >= s.low && row.place.block < s.low+s.blocks)
			}
			require.Equal(t, first, len(got.bad) > 0)
			bad += len(got.bad)
			r = s.next
		}
		require.Len(t, seen, len(places))
		require.Equal(t, 1, bad)
	})
}

// Slices beside the window, or in other stripes, are not taken from it.
func TestWindowHasOnlyItsOwn(t *testing.T) {
	t.Parallel()
	w := &window{low: 10, high: 20, stripes: 4, parts: make([][]*row, 4)}
	inside := slice{low: 10, blocks: 10, stripes: 4}
	require.NotNil(t, w.batch(inside))
	for _, s := range []slice{{low: 9, blocks: 2, stripes: 4}, {low: 19, blocks: 2, stripes: 4}, {low: 10, blocks: 10, stripes: 2}, {stripes: 4}} {
		require.Nil(t, w.batch(s), s)
	}
	require.Nil(t, (*window)(nil).batch(inside))
	require.Nil(t, (&window{low: 10, high: 20, stripes: 4}).batch(inside), "not read")
}

// An element is written as lib/pq writes it.
func TestArrayElements(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOf(rapid.StringOf(rapid.OneOf(rapid.SampledFrom([]rune(`"\{},'`)), rapid.Rune()))).Draw(t, "texts")
		want, err := pq.StringArray(list).Value()
		require.NoError(t, err)
		require.Equal(t, want, arrayOf(len(list), func(out []byte, i int) []byte { return quoted(out, list[i]) }))
	})
	k := &task{bytes: []bool{false, true}, target: []string{"a", "b"}}
	for _, c := range []struct {
		column int
		value  any
		want   string
	}{
		{0, nil, "NULL"}, {0, int64(-1), "-1"}, {0, 0.5, "0.5"}, {0, true, "true"}, {0, `a"\`, `"a\"\\"`}, {0, []byte("{}"), `"{}"`}, {0, "", `""`}, {0, "NULL", `"NULL"`},
		{1, []byte{0, 0xFF}, `"\\x00ff"`}, {1, []byte(nil), "NULL"}, {1, []byte{}, `"\\x"`}, {0, pq.StringArray{"x", `"`}, `"{\"x\",\"\\\"\"}"`},
	} {
		have, err := k.element(c.column, c.value)
		require.NoError(t, err)
		require.Equal(t, c.want, have, "%v", c.value)
	}
	_, err := k.element(1, struct{}{})
	require.ErrorContains(t, err, "a value for b")
}

func TestPlaceOfARow(t *testing.T) {
	t.Parallel()
	var p place
	require.NoError(t, p.Scan([]byte("(4711,259)")))
	require.Equal(t, place{4711, 259}, p)
	require.Equal(t, 3, p.stripe(8), "by the low byte, as inStripe")
	for _, bad := range []any{"(1,2)", []byte("(1)"), []byte("(x,1)"), []byte("(1,x)"), nil} {
		require.Error(t, p.Scan(bad), bad)
	}
}
