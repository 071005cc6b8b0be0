package contract_test

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/lib/pq"
	"pgregory.net/rapid"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/expand/expandtest"
	"github.com/tandem-go/tandem/internal/pgtest"
)

// random checks a conversion's forms against each other on values that nobody has thought of.
func random[O, N any](t *testing.T, name string, c trial[O, N], gen *rapid.Generator[O]) {
	t.Helper()
	t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
		t.Parallel()
		db := pgtest.New(t)
		c.values, c.bad = nil, nil
		db.MustExec(c.create())
		c.spec.Table, c.spec.Old, c.spec.New, c.spec.Type = "items", "a", "b", c.b
		expandtest.Check(t, db, expand.Convert(c.spec), gen)
	})
}

func present[T any](gen *rapid.Generator[T]) *rapid.Generator[sql.Null[T]] {
	return rapid.Map(gen, func(v T) sql.Null[T] { return sql.Null[T]{V: v, Valid: true} })
}

var (
	anyFloat = rapid.OneOf(rapid.Float64(), rapid.Float64Range(-1e6, 1e6), rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1)}))
	halves   = rapid.Map(rapid.IntRange(-1e6, 1e6), func(n int) float64 { return float64(n) / 1000 })
	document = rapid.Map(rapid.MapOf(rapid.String(), rapid.OneOf(
		rapid.Map(rapid.String(), func(v string) any { return v }), rapid.Map(rapid.Int(), func(v int) any { return v }),
		rapid.Map(rapid.Float64(), func(v float64) any { return v }), rapid.Just[any](nil), rapid.Just[any](true))), func(m map[string]any) string {
		raw, err := json.Marshal(m)
		if err != nil {
			panic(err)
		}
		return string(raw)
	})
	clock = rapid.Map(rapid.Int64Range(0, 50*365*24*3600*1e6), func(us int64) time.Time {
		return time.Date(1985, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(us) * time.Microsecond)
	})
	// the hours around the changes of the clock in 2024
	change  = rapid.Map(rapid.IntRange(-200, 200), func(m int) time.Time { return time.Date(2024, 3, 31, 2, m, 0, 0, time.UTC) })
	changed = rapid.Map(rapid.IntRange(-200, 200), func(m int) time.Time { return time.Date(2024, 10, 27, 2, m, 0, 0, time.UTC) })
	ints    = rapid.Map(rapid.SliceOf(rapid.Ptr(rapid.Int32(), true)), func(list []*int32) string {
		words := []string{}
		for _, n := range list {
			if n == nil {
				words = append(words, "NULL")
			} else {
				words = append(words, fmt.Sprint(*n))
			}
		}
		return "{" + strings.Join(words, ",") + "}"
	})
)

func TestConversionsOfRandomValues(t *testing.T) {
	t.Parallel()
	const hex4 = `[0-9a-fA-F]{4}`
	random(t, "float8 to bigint", priceToCents, present(rapid.OneOf(anyFloat, halves)))
	random(t, "int to bigint", intToBigint, present(rapid.Int32()))
	random(t, "text to jsonb", textToJSON, present(rapid.OneOf(document, rapid.String())))
	random(t, "timestamp to timestamptz", localToInstant, present(rapid.OneOf(clock, change, changed)))
	random(t, "varchar to enum", varcharToEnum, present(rapid.OneOf(rapid.SampledFrom([]string{"sad", "so so", "glücklich"}), rapid.StringN(0, 20, -1))))
	random(t, "text to uuid", textToUUID, present(rapid.OneOf(rapid.StringMatching(`[0-9a-fA-F]{32}`), rapid.StringMatching(`\{`+hex4+hex4+`(-`+hex4+`){4}`+hex4+hex4+`\}`), rapid.StringMatching(`[0-9a-f]{8}`))))
	random(t, "numeric scale", numericScale, present(rapid.OneOf(rapid.StringMatching(`-?[0-9]{1,39}(\.[0-9]{1,40})?`), rapid.StringMatching(`-?[0-9]\.[0-9]{2}5`), rapid.Just("NaN"))))
	random(t, "int[] to bigint[]", intsToBigints, present(ints))
	random(t, "real[] to float8[]", realsToDoubles, rapid.Map(rapid.SliceOf(rapid.Float32()), func(v []float32) pq.Float32Array { return v }))
	random(t, "text to domain", textToDomain, present(rapid.String()))
	random(t, "text to composite", textToComposite, present(rapid.StringOfN(rapid.RuneFrom([]rune(`ab|"\() é`)), 0, 10, -1)))
	random(t, "text to bytea, hashed", textToHash, present(rapid.String()))
	random(t, "bytea to bytea, encrypted", bytesToCipher, rapid.SliceOf(rapid.Byte()))
}
