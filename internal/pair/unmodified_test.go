package pair

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestUnmodified(t *testing.T) {
	t.Parallel()
	for typ, want := range map[string]string{
		"bigint":                      "bigint",
		"varchar(8)":                  "varchar",
		"character varying ( 8 )[]":   "character varying[]",
		"numeric(10, 2)":              "numeric",
		"timestamp(3) with time zone": "timestamp with time zone",
		"char(3)":                     "bpchar",
		"Character (3)[]":             "bpchar[]",
		"bit(4)":                      "varbit",
		"bit varying(4)":              "bit varying",
		`"app"."my(type)"`:            `"app"."my(type)"`,
		`public."odd""(name)"(3)`:     `public."odd""(name)"`,
		`text COLLATE "C"`:            "text",
		`varchar(3) collate "de-x"`:   "varchar",
		`"my collate type"`:           `"my collate type"`,
		"interval day to second(3)":   "interval day to second",
	} {
		require.Equal(t, want, unmodified(typ), typ)
	}
}
