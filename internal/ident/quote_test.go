package ident_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var names = []string{
	"a", "A", "aB", "users", "user_name", "_", "_1", "1a", "a1", "a$b", "a b", " ", `"`, `""`, `a"b`, "a.b", "é", "日本", "ünï", "a-b", "%", "$1", "$tandem$",
	`\`, `a\b`, "'", "a'b", "\n", "\t", "{x}", ";", "--", "/*", "public", "Public", "zz_tandem_x", strings.Repeat("x", 63), strings.Repeat("ü", 31),
}

// What a name means must be what the server reads back; whether it is in quotes matters only to the eye.
func TestQuoteAgainstTheServer(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	var keywords []string
	require.NoError(t, db.Select(&keywords, `SELECT word FROM pg_get_keywords()`))
	require.Greater(t, len(keywords), 400)
	for _, name := range append(keywords, names...) {
		quoted := ident.Quote(name)
		var server string
		require.NoError(t, db.Get(&server, `SELECT quote_ident($1)`, name))
		if quoted != server { // a word that a later version has reserved: quotes do no harm
			require.Equal(t, `"`+server+`"`, quoted)
		}
		var read string
		require.NoError(t, db.Get(&read, `SELECT (parse_ident($1))[1]`, quoted), quoted)
		require.Equal(t, name, read)
	}
	// as column label, table alias and column of a table, all in one statement
	for _, word := range append(keywords, names...) {
		q := ident.Quote(word)
		_, err := db.Exec(`SELECT ` + q + `.` + q + ` FROM (SELECT 1 AS ` + q + `) AS ` + q + ` WHERE ` + q + ` IS NOT NULL ORDER BY ` + q)
		require.NoError(t, err, word)
	}
}

func TestLiteralAgainstTheServer(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	for _, setting := range []string{"on", "off"} {
		for _, s := range append(names, "", `\\`, `'\''`, `E'x'`, "it's\\n") {
			tx := db.MustBegin()
			tx.MustExec(`SELECT set_config('standard_conforming_strings', $1, true)`, setting)
			var got string
			require.NoError(t, tx.Get(&got, `SELECT `+ident.Literal(s)), s)
			require.Equal(t, s, got)
			require.NoError(t, tx.Rollback())
		}
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, name := range names {
		require.NoError(t, ident.Check(name))
	}
	for name, want := range map[string]string{
		"":                      "empty",
		strings.Repeat("x", 64): "64 bytes, PostgreSQL cuts names at 63",
		strings.Repeat("ü", 32): "64 bytes",
		"a\x00b":                "NUL",
		"a\xffb":                "UTF-8",
		strings.Repeat("日", 22): "66 bytes",
	} {
		require.ErrorContains(t, ident.Check(name), want)
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	require.Equal(t, `t.a, t."B", t."select"`, ident.List("t.", []string{"a", "B", "select"}))
	require.Empty(t, ident.List("t.", nil))
}

// readBack is the lexer of PostgreSQL for one name.
func readBack(quoted string) (string, bool) {
	if !strings.HasPrefix(quoted, `"`) {
		ok := quoted != "" && strings.Trim(quoted, "abcdefghijklmnopqrstuvwxyz0123456789_") == "" && (quoted[0] < '0' || quoted[0] > '9')
		return quoted, ok
	}
	if len(quoted) < 2 || !strings.HasSuffix(quoted, `"`) {
		return "", false
	}
	inner := quoted[1 : len(quoted)-1]
	return strings.ReplaceAll(inner, `""`, `"`), strings.Count(strings.ReplaceAll(inner, `""`, ``), `"`) == 0
}

func FuzzQuote(f *testing.F) {
	for _, name := range names {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		got, ok := readBack(ident.Quote(name))
		require.True(t, ok, "%q becomes %s", name, ident.Quote(name))
		require.Equal(t, name, got)
		literal := strings.TrimSpace(ident.Literal(name))
		require.Equal(t, strings.Contains(name, `\`), strings.HasPrefix(literal, "E"))
		require.Zero(t, strings.Count(strings.NewReplacer(`\\`, ``, `''`, ``).Replace(strings.TrimPrefix(literal, "E")), `\`))
	})
}
