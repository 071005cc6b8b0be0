package contract_test

import (
	"bytes"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/lib/pq"
)

var errUnfit = errors.New("does not fit")

func keep[T any](v T) (T, error) { return v, nil }

// ofText makes a conversion of texts that leaves NULL alone.
func ofText(f func(string) (string, error)) func(text) (text, error) {
	return func(v text) (text, error) {
		if !v.Valid {
			return v, nil
		}
		s, err := f(v.V)
		return text{V: s, Valid: err == nil}, err
	}
}

func centsOfPrice(p sql.Null[float64]) (*int64, error) {
	c := math.RoundToEven(p.V * 100)
	switch {
	case !p.Valid:
		return nil, nil //nolint:nilnil // NULL becomes NULL
	case math.IsNaN(c) || math.Abs(c) > 1<<53:
		return nil, fmt.Errorf("%v: %w", p.V, errUnfit)
	}
	n := int64(c)
	return &n, nil
}

func priceOfCents(c *int64) (sql.Null[float64], error) {
	if c == nil {
		return sql.Null[float64]{}, nil
	}
	return sql.Null[float64]{V: float64(*c) / 100, Valid: true}, nil
}

func widen(v sql.Null[int32]) (sql.Null[int64], error) {
	return sql.Null[int64]{V: int64(v.V), Valid: v.Valid}, nil
}

func narrow(v sql.Null[int64]) (sql.Null[int32], error) {
	if v.V != int64(int32(v.V)) {
		return sql.Null[int32]{}, errUnfit
	}
	return sql.Null[int32]{V: int32(v.V), Valid: v.Valid}, nil
}

// parseJSON refuses what jsonb does: \u0000 is no character of text.
func parseJSON(v text) (json.RawMessage, error) {
	switch {
	case !v.Valid:
		return nil, nil
	case !json.Valid([]byte(v.V)) || strings.Contains(v.V, `\u0000`):
		return nil, errUnfit
	}
	return json.RawMessage(v.V), nil
}

func showJSON(v json.RawMessage) (text, error) { return text{V: string(v), Valid: v != nil}, nil }

// equalJSON compares as jsonb does: members in any order, the last of equal names, numbers by value.
func equalJSON(a, b json.RawMessage) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	parse := func(m json.RawMessage) (v any) {
		d := json.NewDecoder(bytes.NewReader(m))
		d.UseNumber()
		if d.Decode(&v) != nil {
			return errUnfit
		}
		return exact(v)
	}
	return reflect.DeepEqual(parse(a), parse(b))
}

func exact(v any) any {
	switch v := v.(type) {
	case json.Number:
		r, _ := new(big.Rat).SetString(string(v))
		return r.RatString()
	case []any:
		for i := range v {
			v[i] = exact(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = exact(v[name])
		}
	}
	return v
}

var berlin = func() *time.Location {
	l, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		panic(err)
	}
	return l
}()

// inBerlin takes the clock's time as PostgreSQL does: one that the clock skipped by the offset before the change, one that it showed twice by that after it.
// time.Date chooses otherwise.
func inBerlin(v sql.Null[time.Time]) (sql.Null[time.Time], error) {
	if !v.Valid {
		return v, nil
	}
	clock := v.V.UTC()
	offset := func(at time.Time) int { _, o := at.In(berlin).Zone(); return o }
	before, after := offset(clock.Add(-24*time.Hour)), offset(clock.Add(24*time.Hour))
	with := func(o int) time.Time { return clock.Add(-time.Duration(o) * time.Second) }
	at := with(after)
	if offset(at) != after {
		at = with(before)
	}
	return sql.Null[time.Time]{V: at, Valid: true}, nil
}

func clockInBerlin(v sql.Null[time.Time]) (sql.Null[time.Time], error) {
	if !v.Valid {
		return v, nil
	}
	_, o := v.V.In(berlin).Zone()
	return sql.Null[time.Time]{V: v.V.UTC().Add(time.Duration(o) * time.Second), Valid: true}, nil
}

func oneOf(labels ...string) func(text) (text, error) {
	return ofText(func(s string) (string, error) {
		if !slices.Contains(labels, s) {
			return "", errUnfit
		}
		return s, nil
	})
}

var parseUUID = ofText(func(s string) (string, error) {
	s = strings.ReplaceAll(strings.Trim(strings.ToLower(s), "{}"), "-", "")
	if raw, err := hex.DecodeString(s); err != nil || len(raw) != 16 {
		return "", errUnfit
	}
	return fmt.Sprintf("%s-%s-%s-%s-%s", s[:8], s[8:12], s[12:16], s[16:20], s[20:]), nil
})

// roundNumeric rounds halves away from zero, as numeric does.
func roundNumeric(scale int) func(text) (text, error) {
	return ofText(func(s string) (string, error) {
		if s == "NaN" {
			return s, nil
		}
		r, ok := new(big.Rat).SetString(s)
		if !ok {
			return "", errUnfit
		}
		out := r.FloatString(scale)
		if len(strings.TrimPrefix(out, "-")) > 41 { // 40 digits and the point
			return "", errUnfit
		}
		if strings.Trim(out, "-0.") == "" {
			out = strings.TrimPrefix(out, "-")
		}
		return out, nil
	})
}

func doubles(v pq.Float32Array) (pq.Float64Array, error) {
	if v == nil {
		return nil, nil
	}
	out := pq.Float64Array{}
	for _, f := range v {
		out = append(out, float64(f))
	}
	return out, nil
}

func reals(v pq.Float64Array) (pq.Float32Array, error) {
	if v == nil {
		return nil, nil
	}
	out := pq.Float32Array{}
	for _, f := range v {
		out = append(out, float32(f))
	}
	return out, nil
}
