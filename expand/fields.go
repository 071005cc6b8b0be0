package expand

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/jmoiron/sqlx/reflectx"
)

// mapper is sqlx's own default: the db tag, else the field's name in lower case.
var mapper = reflectx.NewMapperFunc("db", strings.ToLower)

// fieldsOf lists the fields of a struct that are columns, those of embedded structs too. Of two with one name the outer one counts, as in Go and in sqlx.
func fieldsOf(t reflect.Type) (list []*reflectx.FieldInfo, err error) {
	for _, info := range mapper.TypeMap(t).Index {
		if info.Embedded || info.Path == "" || strings.Contains(info.Path, ".") {
			continue
		}
		for p := info.Parent; p != nil; p = p.Parent {
			if p.Field.Type != nil && p.Field.Type.Kind() == reflect.Pointer && !p.Field.IsExported() {
				return nil, fmt.Errorf("%v embeds %v, a pointer that nobody else can set: embed the struct, or export it", t, p.Field.Type)
			}
		}
		if !slices.ContainsFunc(list, func(f *reflectx.FieldInfo) bool { return f.Path == info.Path }) {
			list = append(list, info)
		}
	}
	return list, nil
}

// fieldOf finds a column among them; nil if it is not there.
func fieldOf(list []*reflectx.FieldInfo, column string) *reflectx.FieldInfo {
	if i := slices.IndexFunc(list, func(f *reflectx.FieldInfo) bool { return f.Path == column }); i >= 0 {
		return list[i]
	}
	return nil
}

// fieldAt goes through embedded structs and makes those that are nil pointers. Unlike reflectx.FieldByIndexes it leaves the field itself alone: nil is NULL.
func fieldAt(v reflect.Value, index []int) reflect.Value {
	for i, n := range index {
		if i > 0 && v.Kind() == reflect.Pointer {
			if v.IsNil() {
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
		v = v.Field(n)
	}
	return v
}
