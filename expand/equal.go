package expand

import (
	"bytes"
	"math"
	"reflect"
	"time"
)

// equalBytes is the default equality.
func equalBytes[N any](a, b N) bool {
	switch v := any(a).(type) { // the common cases, without reflection
	case string:
		w, ok := any(b).(string)
		return ok && v == w
	case int64:
		w, ok := any(b).(int64)
		return ok && v == w
	case time.Time:
		w, ok := any(b).(time.Time)
		return ok && v.Equal(w)
	}
	return alikeValues(a, b)
}

// alikeValues has what reflection moves to the heap, so that the common cases do not pay for it.
//
//go:noinline
func alikeValues[N any](a, b N) bool {
	return alike(reflect.ValueOf(&a).Elem(), reflect.ValueOf(&b).Elem())
}

var timeType = reflect.TypeFor[time.Time]()

// alike is reflect.DeepEqual by what PostgreSQL stores, wherever in a value it stands: an instant in two zones is one, NaN is itself, and -0 is not 0. Values of
// columns have no cycles.
func alike(a, b reflect.Value) bool {
	if a.IsValid() != b.IsValid() || a.IsValid() && a.Type() != b.Type() {
		return false
	}
	switch a.Kind() {
	case reflect.Invalid:
		return true
	case reflect.Float32, reflect.Float64:
		x, y := a.Float(), b.Float()
		return math.Float64bits(x) == math.Float64bits(y) || math.IsNaN(x) && math.IsNaN(y)
	case reflect.Pointer, reflect.Interface:
		return alike(a.Elem(), b.Elem())
	case reflect.Slice:
		if a.IsNil() != b.IsNil() { // NULL and ''
			return false
		}
		if a.Type().Elem().Kind() == reflect.Uint8 {
			return bytes.Equal(a.Bytes(), b.Bytes())
		}
		return a.Len() == b.Len() && each(a.Len(), func(i int) bool { return alike(a.Index(i), b.Index(i)) })
	case reflect.Array:
		return each(a.Len(), func(i int) bool { return alike(a.Index(i), b.Index(i)) })
	case reflect.Struct:
		if a.Type() == timeType && a.CanInterface() {
			return a.Interface().(time.Time).Equal(b.Interface().(time.Time)) //nolint:errcheck // of that type
		}
		return each(a.NumField(), func(i int) bool { return alike(a.Field(i), b.Field(i)) })
	case reflect.Map:
		keys := a.MapKeys()
		return a.IsNil() == b.IsNil() && a.Len() == b.Len() && each(len(keys), func(i int) bool { return alike(a.MapIndex(keys[i]), b.MapIndex(keys[i])) })
	case reflect.Func:
		return a.IsNil() && b.IsNil()
	}
	return a.Equal(b)
}

func each(n int, same func(i int) bool) bool {
	for i := range n {
		if !same(i) {
			return false
		}
	}
	return true
}
