package fragment_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/fragment"
)

func angle(name string) (string, error) { return "<" + name + ">", nil }

func TestExpand(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		``:                                     ``,
		`{a}`:                                  `<a>`,
		`{a}{b}`:                               `<a><b>`,
		`x {a b} y`:                            `x <a b> y`,
		`{}`:                                   `<>`,
		`{{}`:                                  `<{>`,
		`}`:                                    `}`,
		`'{a}' {b}`:                            `'{a}' <b>`,
		`'it''s {a}' {b}`:                      `'it''s {a}' <b>`,
		`E'\' {a}' {b}`:                        `E'\' {a}' <b>`,
		`e'\\' {b}`:                            `e'\\' <b>`,
		`type'\' || {b}`:                       `type'\' || <b>`,
		`U&'\0041{a}' {b}`:                     `U&'\0041{a}' <b>`,
		`B'1' X'{a}' N'{a}'`:                   `B'1' X'{a}' N'{a}'`,
		`"{a}" {b}`:                            `"{a}" <b>`,
		`"a""{a}" {b}`:                         `"a""{a}" <b>`,
		"-- {a}\n{b}":                          "-- {a}\n<b>",
		`-- {a}`:                               `-- {a}`,
		`1 - {a} - -{b}`:                       `1 - <a> - -<b>`,
		`/* {a} */ {b}`:                        `/* {a} */ <b>`,
		`/* /* {a} */ {b} */ {c}`:              `/* /* {a} */ {b} */ <c>`,
		`/**/{a}`:                              `/**/<a>`,
		`/*/ {a} */{b}`:                        `/*/ {a} */<b>`,
		`{a} / {b} * {c}`:                      `<a> / <b> * <c>`,
		`$${a}$$ {b}`:                          `$${a}$$ <b>`,
		`$x${a} $$ {b}$x$ {c}`:                 `$x${a} $$ {b}$x$ <c>`,
		`$1 {a} $2`:                            `$1 <a> $2`,
		`$1${a}$2`:                             `$1$<a>$2`,
		`a$b$ {a}`:                             `a$b$ <a>`, // a name may contain $, so this is no dollar quote
		`1$${a}$$`:                             `1$${a}$$`,
		`a$$b$ {c}`:                            `a$$b$ <c>`,
		`a$$$$ {c}`:                            `a$$$$ <c>`,
		`$é${a}$é$ {b}`:                        `$é${a}$é$ <b>`,
		`{a} IN ('x', '{b}') -- {c}`:           `<a> IN ('x', '{b}') -- {c}`,
		`j -> '{"a": 1}'::jsonb @> {a}`:        `j -> '{"a": 1}'::jsonb @> <a>`,
		`'{1,2}'::int[] && {a}`:                `'{1,2}'::int[] && <a>`,
		"{a}\r\n--x\r\n{b}":                    "<a>\r\n--x\r\n<b>",
		`{日本}`:                                 `<日本>`,
		`E'a''{a}' {b}`:                        `E'a''{a}' <b>`,
		"'a'\n'{a}' {b}":                       "'a'\n'{a}' <b>",
		`$a$ $ab$ {a} $a$ {b}`:                 `$a$ $ab$ {a} $a$ <b>`,
		`"e"'\' {b}`:                           `"e"'\' <b>`,
		`--/* {a}` + "\n" + `{b} /* -- */ {c}`: `--/* {a}` + "\n" + `<b> /* -- */ <c>`,
	} {
		got, err := fragment.Expand(in, angle)
		require.NoError(t, err, in)
		require.Equal(t, want, got)
	}
}

func TestExpandRefuses(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{a`:             `sql, byte 0: { without }`,
		`ab {`:           `sql, byte 3: { without }`,
		`'a`:             `sql, byte 0: ' does not end`,
		`'\' {b} '`:      `sql, byte 8: ' does not end`,
		`E'\'`:           `sql, byte 1: ' does not end`,
		`E'\`:            `sql, byte 1: ' does not end`,
		`x "a""`:         `sql, byte 2: " does not end`,
		`/* /* */`:       `sql, byte 0: comment does not end`,
		`/*/`:            `sql, byte 0: comment does not end`,
		`/*`:             `sql, byte 0: comment does not end`,
		`$$ $x$`:         `sql, byte 0: $$ does not end`,
		`a $tag$ $Tag$`:  `sql, byte 2: $tag$ does not end`,
		`$a$ $a`:         `sql, byte 0: $a$ does not end`,
		`{ok} {unknown}`: `sql, byte 5: no such column`,
	} {
		got, err := fragment.Expand(in, func(name string) (string, error) {
			if name == "unknown" {
				return "", errUnknown
			}
			return name, nil
		})
		require.EqualError(t, err, want, in)
		require.Empty(t, got)
	}
	_, err := fragment.Expand(`{x}`, func(string) (string, error) { return "", errUnknown })
	require.ErrorIs(t, err, errUnknown)
}

var errUnknown = errors.New("no such column")

// A name with braces or quotes goes in double quotes, as in SQL.
func TestPlaceholder(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"a": `{a}`, "A b": `{A b}`, "a}b": `{"a}b"}`, "{": `{"{"}`, `a"b`: `{"a""b"}`, `"`: `{""""}`, `"}`: `{"""}"}`} {
		require.Equal(t, want, fragment.Placeholder(name))
		var got []string
		text, err := fragment.Expand(`x `+want+` y`, func(name string) (string, error) { got = append(got, name); return "-", nil })
		require.NoError(t, err)
		require.Equal(t, "x - y", text)
		require.Equal(t, []string{name}, got)
	}
	for in, want := range map[string]string{`{"a`: `byte 1: " does not end`, `{"a"`: "{ without }", `{"a" }`: "{ without }", `{"a"b}`: "{ without }"} {
		_, err := fragment.Expand(in, angle)
		require.ErrorContains(t, err, want)
	}
}

// What a column is replaced by is not looked at again.
func TestExpandOnce(t *testing.T) {
	t.Parallel()
	got, err := fragment.Expand(`{a} {b}`, func(name string) (string, error) { return "'{" + name, nil })
	require.NoError(t, err)
	require.Equal(t, `'{a '{b`, got)
}

func FuzzExpand(f *testing.F) {
	for _, s := range []string{`{a}`, `'{a}'`, `E'\''{a}`, `$x${a}$x$`, `/*/**/*/{a}`, "--\n{a}", `"{a}"`, `{`, `}`, `$1{a}`, `E'\`, `/*/`, `$é$`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		var seen []string
		got, err := fragment.Expand(sql, func(name string) (string, error) {
			seen = append(seen, name)
			return "{" + name + "}", nil
		})
		if err != nil {
			require.Empty(t, got)
			require.ErrorContains(t, err, "sql, byte ")
			return
		}
		if !strings.Contains(sql, `{"`) {
			require.Equal(t, sql, got) // each placeholder stands for itself, so nothing may change
		}
		// written again by Placeholder, the same names are found in the same places
		written, err := fragment.Expand(sql, func(name string) (string, error) { return fragment.Placeholder(name), nil })
		require.NoError(t, err)
		var again []string
		same, err := fragment.Expand(written, func(name string) (string, error) {
			again = append(again, name)
			return "{" + name + "}", nil
		})
		require.NoError(t, err)
		require.Equal(t, got, same)
		require.Equal(t, seen, again)
		if !strings.Contains(sql, "{") {
			require.Empty(t, seen)
		}
		// hidden in a comment, a string or a dollar quote, nothing is a placeholder
		for _, hidden := range []string{"/*" + strings.NewReplacer("/*", "", "*/", "", "/", "", "*", "").Replace(sql) + "*/",
			"'" + strings.ReplaceAll(sql, "'", "''") + "'", `"` + strings.ReplaceAll(sql, `"`, `""`) + `"`,
			"--" + strings.ReplaceAll(sql, "\n", ""), "$fuzz$" + strings.ReplaceAll(sql, "$", "") + "$fuzz$"} {
			same, err := fragment.Expand(hidden, func(string) (string, error) { return "", errUnknown })
			require.NoError(t, err, hidden)
			require.Equal(t, hidden, same)
		}
	})
}
