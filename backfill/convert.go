package backfill

import (
	"database/sql/driver"
	"encoding/hex"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/lib/pq"
)

// converted is what the pair makes of a value, an element of an array for each target column.
func (k *task) converted(source any) ([]string, error) {
	targets, err := safely(func() ([]any, error) { return k.convert(source) })
	if err != nil {
		return nil, err
	}
	out := make([]string, len(targets))
	for i, target := range targets {
		if out[i], err = k.element(i, target); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// element is a converted value as an element of an array of its column.
func (k *task) element(column int, target any) (string, error) {
	if value, err := driver.DefaultParameterConverter.ConvertValue(target); err == nil {
		target = value // what hides in a Valuer or a type of the application's: a []byte must be seen
	}
	if v := reflect.ValueOf(target); v.Kind() == reflect.Slice && v.IsNil() {
		return null, nil // else a nil []byte would be ''
	}
	switch v := target.(type) {
	case nil:
		return null, nil
	case string:
		if n := len(v) + strings.Count(v, `"`) + strings.Count(v, `\`); n > maxMessage {
			return "", errTooLarge{n} // before it is copied
		}
		return string(quoted(nil, v)), nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case []byte:
		if k.bytes[column] {
			return `"\\x` + hex.EncodeToString(v) + `"`, nil
		}
	}
	array, err := pq.GenericArray{A: []any{target}}.Value()
	if err != nil {
		return "", fmt.Errorf("a value for %s: %w", k.target[column], err)
	}
	return strings.TrimSuffix(strings.TrimPrefix(fmt.Sprint(array), "{"), "}"), nil
}

// safely turns a panic of the application's conversion into an error of that row.
func safely[T any](convert func() (T, error)) (out T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the conversion panicked: %v", p)
		}
	}()
	return convert()
}
