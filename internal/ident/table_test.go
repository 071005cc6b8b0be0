package ident_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/ident"
)

func TestParseTable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, schema, name, sql, short string }{
		{`users`, "public", "users", `public.users`, `users`},
		{`public.users`, "public", "users", `public.users`, `users`},
		{`app.users`, "app", "users", `app.users`, `app.users`},
		{`Users`, "public", "Users", `public."Users"`, `"Users"`},
		{`app."Users"`, "app", "Users", `app."Users"`, `app."Users"`},
		{`"my.table"`, "public", "my.table", `public."my.table"`, `"my.table"`},
		{`"a.b"."c.d"`, "a.b", "c.d", `"a.b"."c.d"`, `"a.b"."c.d"`},
		{`"a""b".c`, `a"b`, "c", `"a""b".c`, `"a""b".c`},
		{`""""`, "public", `"`, `public.""""`, `""""`},
		{`select`, "public", "select", `public."select"`, `"select"`},
		{`"Public".x`, "Public", "x", `"Public".x`, `"Public".x`},
		{`a b`, "public", "a b", `public."a b"`, `"a b"`},
		{strings.Repeat("x", 63), "public", strings.Repeat("x", 63), "public." + strings.Repeat("x", 63), strings.Repeat("x", 63)},
	} {
		got, err := ident.ParseTable(c.in)
		require.NoError(t, err, c.in)
		require.Equal(t, ident.Table{Schema: c.schema, Name: c.name}, got)
		require.Equal(t, c.sql, got.SQL())
		require.Equal(t, c.short, got.String())
	}
}

func TestParseTableRefuses(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		``:                             "empty",
		`.`:                            "empty",
		`a.`:                           "empty",
		`.a`:                           "empty",
		`a..b`:                         "more than schema and name",
		`a.b.c`:                        "more than schema and name",
		`""`:                           "empty",
		`"".a`:                         "empty",
		`"a`:                           "does not end",
		`"a""`:                         "does not end",
		`"a"b`:                         `unexpected "b" after a quoted name`,
		`a"b`:                          "a double quote inside",
		`a."b"-`:                       `unexpected "-" after a quoted name`,
		strings.Repeat("x", 64):        "64 bytes",
		"a." + "\xff":                  "UTF-8",
		"a\x00":                        "NUL",
		strings.Repeat("ü", 32) + `.a`: "64 bytes",
	} {
		_, err := ident.ParseTable(in)
		require.ErrorContains(t, err, want, "%q", in)
		require.ErrorContains(t, err, fmt.Sprintf("table %q", in))
	}
}

func TestDerive(t *testing.T) {
	t.Parallel()
	require.Equal(t, "full_name_stamp", ident.Derive("", "full_name", "_stamp"))
	require.Equal(t, strings.Repeat("x", 60)+"abc", ident.Derive("a", strings.Repeat("x", 60), "bc")[1:61]+"abc")
	seen := map[string]string{}
	for i := range 2000 {
		for _, base := range []string{strings.Repeat("x", 60) + fmt.Sprint(i), fmt.Sprint(i) + strings.Repeat("ü", 30), fmt.Sprint(i)} {
			got := ident.Derive("zz_", base, "_insert")
			require.LessOrEqual(t, len(got), ident.MaxBytes)
			require.True(t, strings.HasPrefix(got, "zz_") && strings.HasSuffix(got, "_insert"), got)
			require.Empty(t, seen[got], "%q and %q have one name", seen[got], base)
			seen[got] = base
		}
	}
}

// Every length of base and of the characters at the cut.
func TestDeriveCutsBetweenCharacters(t *testing.T) {
	t.Parallel()
	for _, letter := range []string{"x", "ü", "日", "😀"} {
		for shift := range 5 {
			for n := range 40 {
				got := ident.Derive("p_", strings.Repeat("a", shift)+strings.Repeat(letter, n), "_s")
				require.True(t, utf8.ValidString(got), got)
				require.NoError(t, ident.Check(got))
			}
		}
	}
}

func FuzzParseTable(f *testing.F) {
	for _, s := range []string{`users`, `app."Users"`, `"a""b"."c.d"`, `"a"b`, `.`, `a..b`, `"`, "\xff", `"a.b`, `a "b"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		table, err := ident.ParseTable(s)
		if err != nil {
			require.Equal(t, ident.Table{}, table)
			return
		}
		require.NoError(t, ident.Check(table.Schema))
		require.NoError(t, ident.Check(table.Name))
		for _, text := range []string{table.SQL(), table.String()} { // what is written is read back as the same table
			again, err := ident.ParseTable(text)
			require.NoError(t, err, text)
			require.Equal(t, table, again)
		}
	})
}

func FuzzDerive(f *testing.F) {
	f.Add("a", "b")
	f.Add(strings.Repeat("x", 60)+"1", strings.Repeat("x", 60)+"2")
	f.Fuzz(func(t *testing.T, a, b string) {
		one, two := ident.Derive("zz_tandem_", a, "_insert"), ident.Derive("zz_tandem_", b, "_insert")
		require.LessOrEqual(t, len(one), ident.MaxBytes)
		require.Equal(t, a == b, one == two)
		require.True(t, !utf8.ValidString(a) || utf8.ValidString(one), one)
	})
}
