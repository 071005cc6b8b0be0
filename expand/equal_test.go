package expand_test

import (
	"database/sql"
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/lib/pq"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/expand"
)

// equal asks a pair without an Equal of its own, through a backward that answers b whatever it is given: old can hold a if b is equal to it.
func equal[T any](t *testing.T, want bool, a, b T) {
	t.Helper()
	same := func(v T) (T, error) { return v, nil }
	p := expand.Convert(expand.Spec[T, T]{Table: "t", Old: "a", New: "b", Type: "text", Forward: same, Backward: func(T) (T, error) { return b, nil }})
	_, err := p.Backward(a)
	if want {
		require.NoError(t, err, "%T", a)
	} else {
		require.ErrorIs(t, err, expand.ErrLossy, "%T", a)
	}
}

func TestDefaultEquality(t *testing.T) {
	t.Parallel()
	utc := time.Date(2024, 3, 31, 1, 30, 0, 0, time.UTC)
	there := utc.In(time.FixedZone("there", 7200))
	nan, minus := math.NaN(), math.Copysign(0, -1)
	equal(t, true, utc, there)
	equal(t, true, &utc, &there)
	equal(t, true, sql.Null[time.Time]{V: utc, Valid: true}, sql.Null[time.Time]{V: there, Valid: true})
	equal(t, true, sql.NullTime{Time: utc, Valid: true}, sql.NullTime{Time: there, Valid: true})
	equal(t, true, []time.Time{utc}, []time.Time{there})
	equal(t, false, &utc, nil)
	equal(t, true, nan, nan)
	equal(t, true, float32(nan), float32(nan))
	equal(t, true, pq.Float64Array{1, nan}, pq.Float64Array{1, nan})
	equal(t, true, sql.Null[float64]{V: nan, Valid: true}, sql.Null[float64]{V: nan, Valid: true})
	equal(t, false, pq.Float64Array{1, nan}, pq.Float64Array{nan, 1})
	equal(t, false, 0, minus)
	equal(t, false, []float64{0}, []float64{minus})
	equal(t, true, [2]float64{0, nan}, [2]float64{0, nan})
	equal(t, false, []byte(nil), []byte{})
	equal(t, true, json.RawMessage(`{}`), json.RawMessage(`{}`))
	equal(t, false, json.RawMessage(`{"a":1}`), json.RawMessage(`{"a": 1}`))
	equal(t, true, map[string]any{"a": nan, "b": nil}, map[string]any{"a": nan, "b": nil})
	equal(t, false, map[string]any{"a": 1}, map[string]any{"b": 1})
	equal(t, false, map[string]any{"a": 1}, map[string]any{"a": "1"})
	equal(t, false, "é", "e\u0301")
}
