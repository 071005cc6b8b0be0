package expand

import (
	"database/sql"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type word string

type mixed struct {
	Int   int8             `db:"a"`
	Uint  *uint16          `db:"b"`
	Float float32          `db:"c"`
	Bool  bool             `db:"d"`
	Bytes []byte           `db:"e"`
	Word  word             `db:"f"`
	Time  time.Time        `db:"g"`
	Null  sql.Null[string] `db:"h"`
}

// What the driver gives for a column of a set is stored as database/sql stores it.
func TestSetFields(t *testing.T) {
	t.Parallel()
	c, err := newColumns[mixed]([]string{"a", "b", "c", "d", "e", "f", "g", "h"})
	require.NoError(t, err)
	now := time.Now()
	raw := []byte{0, 1}
	scan := func(src ...any) (mixed, error) {
		var cell Cell[mixed]
		for i, to := range c.destinations(nil, &cell) {
			require.NoError(t, to.(sql.Scanner).Scan(src[i])) //nolint:errcheck // a piece
		}
		raw[0] = 7 // the driver's buffer is written over by the next row
		return c.decode(cell)
	}
	got, err := scan(int64(-8), int64(65535), 1.5, true, raw, []byte("x"), now, "y")
	require.NoError(t, err)
	n := uint16(65535)
	want := mixed{-8, &n, 1.5, true, []byte{0, 1}, "x", now, sql.Null[string]{V: "y", Valid: true}}
	require.Equal(t, want, got)
	again, err := c.decode(c.encode(want))
	require.NoError(t, err)
	require.Equal(t, want, again)

	got, err = scan(int64(1), nil, "2.5", "t", nil, "", now, nil)
	require.NoError(t, err)
	require.Equal(t, mixed{1, nil, 2.5, true, nil, "", now, sql.Null[string]{}}, got)
	for want, src := range map[string][]any{
		"column a: 300 does not fit into int8":   {int64(300), nil, 0.0, true, nil, "", now, nil},
		"column b: 65536 does not fit":           {int64(1), int64(65536), 0.0, true, nil, "", now, nil},
		"column c: 1.7976931348623157e+308 does": {int64(1), nil, math.MaxFloat64, true, nil, "", now, nil},
		"column d: NULL, and":                    {int64(1), nil, 0.0, nil, nil, "", now, nil},
		"column g: cannot store string in time":  {int64(1), nil, 0.0, true, nil, "", "noon", nil},
	} {
		_, err := scan(src...)
		require.ErrorContains(t, err, want)
	}
	_, err = scan(int64(1), nil, 0.0, nil, nil, "", now, nil)
	require.ErrorIs(t, err, ErrNull)
}
