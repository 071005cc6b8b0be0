package contract_test

import (
	"cmp"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lib/pq"

	"github.com/tandem-go/tandem/expand"
)

type (
	text = sql.Null[string]
	blob = []byte
)

// conversions are walked through a whole migration each: in Go alone, and where there is an SQL form with it.
var conversions = []struct {
	name string
	walk func(t *testing.T, form func(t *testing.T, name string) *tally)
}{
	{"float8 to bigint", forms(priceToCents)},
	{"int to bigint", forms(intToBigint)},
	{"text to jsonb", forms(textToJSON)},
	{"timestamp to timestamptz", forms(localToInstant)},
	{"varchar to enum", forms(varcharToEnum)},
	{"text to uuid", forms(textToUUID)},
	{"numeric scale", forms(numericScale)},
	{"int[] to bigint[]", forms(intsToBigints)},
	{"real[] to float8[]", forms(realsToDoubles)},
	{"text to domain", forms(textToDomain)},
	{"text to composite", forms(textToComposite)},
	{"text to bytea, hashed", forms(textToHash)},
	{"bytea to bytea, encrypted", forms(bytesToCipher)},
}

// forms walks a conversion once without its SQL, and once with it.
func forms[O, N any](c trial[O, N]) func(t *testing.T, form func(t *testing.T, name string) *tally) {
	return func(t *testing.T, form func(t *testing.T, name string) *tally) {
		t.Helper()
		inGo := c
		inGo.spec.ForwardSQL, inGo.spec.BackwardSQL = "", ""
		t.Run("go", func(t *testing.T) { t.Parallel(); inGo.walk(t, form(t, "Go")) })
		if c.spec.ForwardSQL != "" {
			t.Run("sql", func(t *testing.T) { t.Parallel(); c.walk(t, form(t, "SQL and Go")) })
		}
	}
}

// Every conversion through a whole migration and back: not a row may differ from what was stated.
func TestConversions(t *testing.T) {
	t.Parallel()
	var lock sync.Mutex
	var tallies []*tally
	t.Run("all", func(t *testing.T) { // returns when its parallel tests have ended
		for _, c := range conversions {
			t.Run(strings.ReplaceAll(c.name, " ", "-"), func(t *testing.T) {
				t.Parallel()
				c.walk(t, func(t *testing.T, form string) *tally {
					t.Helper()
					o := &tally{name: c.name, form: form}
					lock.Lock()
					defer lock.Unlock()
					tallies = append(tallies, o)
					return o
				})
			})
		}
	})
	slices.SortFunc(tallies, func(a, b *tally) int { return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.form, b.form)) })
	var b strings.Builder
	fmt.Fprintf(&b, "\n%-28s %-10s %9s %12s %8s", "conversion", "form", "compared", "differences", "refused")
	for _, o := range tallies {
		fmt.Fprintf(&b, "\n%-28s %-10s %9d %12d %8d", o.name, o.form, o.compared, o.differences, o.bad)
	}
	t.Log(b.String())
}

var priceToCents = trial[sql.Null[float64], *int64]{a: "double precision", b: "bigint",
	spec: expand.Spec[sql.Null[float64], *int64]{Forward: centsOfPrice, Backward: priceOfCents,
		// beyond 2^53 backward would lose; NaN is what bigint refuses
		ForwardSQL: "CASE WHEN abs({a} * 100) > 9007199254740992 THEN 'NaN' ELSE round({a} * 100) END", BackwardSQL: "{b} / 100.0"},
	values: []value{
		{old: "NULL", new: "NULL"},
		{old: "0", new: "0"},
		{old: "'-0'", new: "0", back: "0"},
		{old: "12.34", new: "1234"},
		{old: "0.1::float8 + 0.2::float8", new: "30", back: "0.3"},
		{old: "0.125", new: "12", back: "0.12"}, // halves to even, in both forms
		{old: "0.375", new: "38", back: "0.38"},
		{old: "-19.99", new: "-1999"},
		{old: "1e-300", new: "0", back: "0"},
		{old: "90071992547409", new: "9007199254740900"},
	},
	bad: []string{"'NaN'", "'Infinity'", "'-Infinity'", "1e17", "1e300"},
}

var intToBigint = trial[sql.Null[int32], sql.Null[int64]]{a: "integer", b: "bigint",
	spec:   expand.Spec[sql.Null[int32], sql.Null[int64]]{Forward: widen, Backward: narrow, ForwardSQL: "{a}", BackwardSQL: "{b}::integer"},
	values: []value{{old: "NULL", new: "NULL"}, {old: "0", new: "0"}, {old: "2147483647", new: "2147483647"}, {old: "-2147483648", new: "-2147483648"}},
}

var textToJSON = trial[text, json.RawMessage]{a: "text", b: "jsonb",
	spec: expand.Spec[text, json.RawMessage]{Forward: parseJSON, Backward: showJSON, Equal: equalJSON,
		ForwardSQL: "{a}::jsonb", BackwardSQL: "{b}::text"},
	values: []value{
		{old: "NULL", new: "NULL"},
		{old: "'null'", new: "null"},
		{old: `'{"b":1,"a":2}'`, new: `{"a": 2, "b": 1}`, back: `'{"a": 2, "b": 1}'`},
		{old: `'{"a":1,"a":2}'`, new: `{"a": 2}`, back: `'{"a": 2}'`},
		{old: `'{"long":1,"b":[1,null,""]}'`, new: `{"b": [1, null, ""], "long": 1}`, back: `'{"b": [1, null, ""], "long": 1}'`},
		{old: `'1.00'`, new: "1.00"},
		{old: `'1e2'`, new: "100", back: "'100'"},
		{old: `'12345678901234567890.123456789012345678901'`, new: "12345678901234567890.123456789012345678901"},
		{old: `'"\u00e4 𝄞"'`, new: `"ä 𝄞"`, back: `'"ä 𝄞"'`},
		{old: `' "" '`, new: `""`, back: `'""'`},
	},
	bad: []string{"''", `'{"a"'`, `'NaN'`, `'"\u0000"'`},
}

var localToInstant = trial[sql.Null[time.Time], sql.Null[time.Time]]{a: "timestamp", b: "timestamptz",
	spec: expand.Spec[sql.Null[time.Time], sql.Null[time.Time]]{Forward: inBerlin, Backward: clockInBerlin,
		ForwardSQL: "{a} AT TIME ZONE 'Europe/Berlin'", BackwardSQL: "{b} AT TIME ZONE 'Europe/Berlin'"},
	shown: "to_char(t.b AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US BC')",
	values: []value{
		{old: "NULL", new: "NULL"},
		{old: "'2024-01-01 12:00'", new: "2024-01-01 11:00:00.000000 AD"},
		{old: "'2024-07-01 12:00:00.123456'", new: "2024-07-01 10:00:00.123456 AD"},
		{old: "'2024-03-31 01:59:59.999999'", new: "2024-03-31 00:59:59.999999 AD"},
		{old: "'2024-03-31 02:30'", new: "2024-03-31 01:30:00.000000 AD", back: "timestamp '2024-03-31 03:30'"}, // the clock never showed it
		{old: "'2024-10-27 02:30'", new: "2024-10-27 01:30:00.000000 AD"},                                       // it did twice: the later is meant
		{old: "'2024-10-27 01:59:59'", new: "2024-10-26 23:59:59.000000 AD"},
		{old: "'9999-12-31 23:59:59'", new: "9999-12-31 22:59:59.000000 AD"},
	},
}

var varcharToEnum = trial[text, text]{before: `CREATE TYPE mood AS ENUM ('sad', 'so so', 'glücklich')`, a: "varchar(20)", b: "public.mood",
	spec:   expand.Spec[text, text]{Forward: oneOf("sad", "so so", "glücklich"), Backward: keep[text], ForwardSQL: "{a}::public.mood", BackwardSQL: "{b}::varchar"},
	values: []value{{old: "NULL", new: "NULL"}, {old: "'sad'", new: "sad"}, {old: "'so so'", new: "so so"}, {old: "'glücklich'", new: "glücklich"}},
	bad:    []string{"''", "'Sad'", "'sad '"},
}

var textToUUID = trial[text, text]{a: "text", b: "uuid",
	spec: expand.Spec[text, text]{Forward: parseUUID, Backward: keep[text], ForwardSQL: "{a}::uuid", BackwardSQL: "{b}::text"},
	values: []value{
		{old: "NULL", new: "NULL"},
		{old: "'6ba7b810-9dad-11d1-80b4-00c04fd430c8'", new: "6ba7b810-9dad-11d1-80b4-00c04fd430c8"},
		{old: "'6BA7B8109dad11d180b400c04fd430c9'", new: "6ba7b810-9dad-11d1-80b4-00c04fd430c9", back: "'6ba7b810-9dad-11d1-80b4-00c04fd430c9'"},
		{old: "'{00000000-0000-0000-0000-000000000000}'", new: "00000000-0000-0000-0000-000000000000", back: "'00000000-0000-0000-0000-000000000000'"},
	},
	bad: []string{"''", "'6ba7b810'", "'6ba7b810-9dad-11d1-80b4-00c04fd430cg'"},
}

var numericScale = trial[text, text]{a: "numeric", b: "numeric(40,2)",
	spec: expand.Spec[text, text]{Forward: roundNumeric(2), Backward: keep[text], ForwardSQL: "round({a}, 2)", BackwardSQL: "{b}"},
	values: []value{
		{old: "NULL", new: "NULL"}, {old: "'NaN'", new: "NaN"}, {old: "0", new: "0.00", back: "0.00"}, {old: "1.5", new: "1.50", back: "1.50"},
		{old: "1.005", new: "1.01", back: "1.01"}, {old: "-1.005", new: "-1.01", back: "-1.01"}, {old: "-0.001", new: "0.00", back: "0.00"},
		{old: "123456789012345678901234567890.12", new: "123456789012345678901234567890.12"},
		{old: "0.123456789012345678901234567890", new: "0.12", back: "0.12"},
	},
	bad: []string{"'Infinity'", "'-Infinity'", "1e38"},
}

var intsToBigints = trial[text, text]{a: "integer[]", b: "bigint[]",
	spec: expand.Spec[text, text]{Forward: keep[text], Backward: keep[text], ForwardSQL: "{a}", BackwardSQL: "{b}::integer[]"},
	values: []value{
		{old: "NULL", new: "NULL"}, {old: "'{}'", new: "{}"}, {old: "'{NULL}'", new: "{NULL}"}, {old: "'{1,NULL,-2147483648}'", new: "{1,NULL,-2147483648}"},
		{old: "'{{1,2},{3,NULL}}'", new: "{{1,2},{3,NULL}}"}, {old: "'[0:1]={1,2}'", new: "[0:1]={1,2}"},
	},
}

var realsToDoubles = trial[pq.Float32Array, pq.Float64Array]{a: "real[]", b: "double precision[]",
	spec: expand.Spec[pq.Float32Array, pq.Float64Array]{Forward: doubles, Backward: reals, ForwardSQL: "{a}", BackwardSQL: "{b}::real[]"},
	values: []value{{old: "NULL", new: "NULL"}, {old: "'{}'", new: "{}"}, {old: "'{0.5,-0,NaN}'", new: "{0.5,-0,NaN}"},
		{old: "'{Infinity,-Infinity,1e-45}'", new: "{Infinity,-Infinity,1.401298464324817e-45}"}},
}
