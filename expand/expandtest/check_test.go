package expandtest_test

import (
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/expand/expandtest"
	"github.com/tandem-go/tandem/internal/pgtest"
)

func TestMain(m *testing.M) {
	// What is wrong here is meant to be; and the same values every time, unless -rapid.seed asks for others.
	if err := errors.Join(flag.Set("rapid.nofailfile", "true"), flag.Set("rapid.seed", "1")); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	pgtest.MainWithExamples(m)
}

// recorder is a test that may fail.
type recorder struct {
	testing.TB
	failed bool
	says   strings.Builder
}

func (r *recorder) Helper()                   {}
func (r *recorder) Failed() bool              { return r.failed }
func (r *recorder) Log(args ...any)           { fmt.Fprintln(&r.says, args...) }
func (r *recorder) Logf(f string, a ...any)   { fmt.Fprintf(&r.says, f+"\n", a...) }
func (r *recorder) Errorf(f string, a ...any) { r.failed = true; r.Logf(f, a...) }
func (r *recorder) Fatalf(f string, a ...any) { r.Errorf(f, a...); panic(r) }
func (r *recorder) FailNow()                  { r.failed = true; panic(r) }
func (r *recorder) Fail()                     { r.failed = true }

// fails runs a check that must fail, and returns what it says.
func fails[O, N any](t *testing.T, db *sqlx.DB, s expand.Spec[O, N], gen *rapid.Generator[O]) string {
	t.Helper()
	r := &recorder{TB: t}
	func() {
		defer func() {
			if p := recover(); p != nil && p != any(r) {
				panic(p)
			}
		}()
		expandtest.Check(r, db, expand.Convert(s), gen)
	}()
	require.True(t, r.failed, "the check has passed")
	return r.says.String()
}

var (
	halves = rapid.Map(rapid.IntRange(-1000, 1000), func(n int) float64 { return float64(2*n+1) / 200 }) // of a cent
	prices = rapid.OneOf(rapid.Map(rapid.IntRange(-1e6, 1e6), func(n int) float64 { return float64(n) / 1000 }), halves)
)

// cents is a right pair, to be spoiled.
func cents() expand.Spec[float64, int64] {
	return expand.Spec[float64, int64]{Table: "items", Old: "price", New: "cents", Type: "bigint",
		Forward: func(p float64) (int64, error) {
			c := math.RoundToEven(p * 100)
			if math.IsNaN(c) || math.Abs(c) > 1<<50 { // beyond, a hundredth of it does not lead back
				return 0, fmt.Errorf("out of range")
			}
			return int64(c), nil
		},
		Backward:    func(c int64) (float64, error) { return float64(c) / 100, nil },
		ForwardSQL:  "CASE WHEN abs(round({price} * 100)) <= 1125899906842624 THEN round({price} * 100) ELSE 'NaN' END",
		BackwardSQL: "{cents} / 100.0::float8",
	}
}

func newDB(t *testing.T) *sqlx.DB {
	t.Helper()
	db := pgtest.New(t)
	db.MustExec(`CREATE TABLE items (id bigint PRIMARY KEY, price double precision NOT NULL, doc text)`)
	return db
}

func TestRightPairPasses(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	expandtest.Check(t, db, expand.Convert(cents()), prices)
	expandtest.Check(t, db, expand.Convert(cents()), rapid.Float64())
	expandtest.Check(t, db, expand.Rename[sql.Null[string]]("items", "doc", "body"), rapid.Custom(func(t *rapid.T) sql.Null[string] {
		return sql.Null[string]{V: rapid.String().Draw(t, "text"), Valid: rapid.Bool().Draw(t, "valid")} // NUL bytes are drawn again
	}))
	var n int
	require.NoError(t, db.Get(&n, `SELECT count(*) FROM items`))
	require.Zero(t, n)
}

// Each way to be wrong is found, shrunk, and said in words.
func TestWrongPairsAreFound(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	spoiled := func(spoil func(s *expand.Spec[float64, int64])) expand.Spec[float64, int64] {
		s := cents()
		spoil(&s)
		return s
	}
	for name, c := range map[string]struct {
		spec expand.Spec[float64, int64]
		says string
	}{
		"halves are rounded otherwise": {spoiled(func(s *expand.Spec[float64, int64]) {
			s.Forward = func(p float64) (int64, error) { return int64(math.Round(p * 100)), nil }
		}), "SQL makes"},
		"SQL takes what Go refuses": {spoiled(func(s *expand.Spec[float64, int64]) {
			s.Forward = func(p float64) (int64, error) {
				if p < 0 {
					return 0, fmt.Errorf("negative")
				}
				return cents().Forward(p)
			}
		}), "negative), SQL makes"},
		"SQL refuses what Go takes": {spoiled(func(s *expand.Spec[float64, int64]) {
			s.ForwardSQL = "round({price} * 100) + 0 * sqrt({price})"
		}),
			"SQL refuses it (pq: cannot take square root of a negative number"},
		"backward loses in Go": {spoiled(func(s *expand.Spec[float64, int64]) {
			s.Backward = func(c int64) (float64, error) { return float64(c / 100), nil }
		}), "old cannot hold this value"},
		"backward loses in SQL": {spoiled(func(s *expand.Spec[float64, int64]) { s.BackwardSQL = "{cents} / 100" }),
			"of that, and forward of that is another"},
		"forward is not a function": {spoiled(func(s *expand.Spec[float64, int64]) {
			s.Forward, s.ForwardSQL = func(float64) (int64, error) { return rand.Int64N(1 << 40), nil }, ""
		}), "forward must depend on its argument alone"},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			t.Parallel()
			says := fails(t, db, c.spec, prices)
			require.Contains(t, says, "items.cents: old ")
			require.Contains(t, says, c.says)
			t.Log(says)
		})
	}
}

// A value that PostgreSQL normalises needs an Equal of the pair's own; a column that may be NULL a type that has one.
func TestEqualityAndNull(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	docs := rapid.Map(rapid.IntRange(0, 99), func(n int) sql.Null[string] {
		return sql.Null[string]{V: fmt.Sprintf(`{"b":%d,"a":1}`, n), Valid: true}
	})
	same := func(v sql.Null[string]) (sql.Null[string], error) { return v, nil }
	says := fails(t, db, expand.Spec[sql.Null[string], sql.Null[string]]{Table: "items", Old: "doc", New: "body", Type: "jsonb", Forward: same}, docs)
	require.Contains(t, says, `old {"b":0,"a":1}: Go makes`)
	require.Contains(t, says, `it is stored as {"a": 1, "b": 0}`)
	require.Contains(t, says, "declare Equal")
	says = fails(t, db, expand.Spec[string, string]{Table: "items", Old: "doc", New: "body", Type: "text", Forward: func(v string) (string, error) { return v, nil }}, rapid.String())
	require.Contains(t, says, "old NULL")
	require.Contains(t, fails(t, db, expand.Spec[string, string]{Table: "nowhere", Old: "doc", New: "body", Forward: func(v string) (string, error) { return v, nil }}, rapid.String()), "nowhere")
}
