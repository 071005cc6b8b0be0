package lexer_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/tandem-go/tandem/internal/lexer"
)

var kinds = map[lexer.Kind]string{
	lexer.Comment: "comment", lexer.Name: "name", lexer.Quoted: "quoted", lexer.String: "string", lexer.Number: "number",
	lexer.Param: "param", lexer.Template: "template", lexer.Symbol: "symbol",
}

// Tokens in the text are separated by a bar.
func TestScan(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"SELECT|*|FROM|t":                        "name symbol name name",
		"a1_$|é|_|x":                             "name name name name",
		`"a""b"|"c`:                              "quoted quoted",
		`U&"d\0061t"|u&'d\0061'|u|&|x`:           "quoted string name symbol name",
		`'it''s'|'a\'|'b`:                        "string string string",
		`E'a\'b'|e'\\'|B'01'|x'1f'|N'a'`:         "string string string string string",
		"E'a'\n'b\\'c'|1":                        "string number",
		"'a' -- b\n\t'c\\'|d":                    "string name",
		"'a'|/* */|'b'":                          "string comment string",
		"$$ ' $$|$a$ $$ $b$ $a$|$1|$12|a$b$c":    "string string param param name",
		"$|$é$ x $é$|$a$ not ended":              "symbol string string",
		"-- a /*\n|1|--":                         "comment number comment",
		"/* a /* b */ c */|1|/* /* */":           "comment number comment",
		"1|1.5|.5|1e-5|1.e+3|0xff|1_000|1.|-|1e": "number number number number number number number number symbol number",
		"1|-|1|1|*|1e|-|x|a|.|b":                 "number symbol number number symbol number symbol name name symbol name",
		"a|?|:name|:a.b|@x|@|>|?":                "name param param param param symbol symbol param",
		"a|::|int|a|:=|b|[|1|:|2|]":              "name symbol name name symbol name symbol number symbol number symbol",
		"{a}|{{.T x}}|{|\n}|}":                   "template template symbol symbol symbol",
		"a\x00b|\x00|'\x00'":                     "name name string",
	} {
		var parts []string
		for _, part := range strings.Split(text, "|") {
			parts = append(parts, strings.TrimSpace(part))
		}
		var texts, names []string
		for _, token := range lexer.Scan(strings.ReplaceAll(text, "|", " ")) {
			if token.Kind != lexer.Space {
				texts, names = append(texts, token.Text), append(names, kinds[token.Kind])
			}
		}
		require.Equal(t, parts, texts)
		require.Equal(t, want, strings.Join(names, " "), "%q", text)
	}
}

// Without spaces between them.
func TestScanTight(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a*b,c.*":        "a * b , c . *",
		"*--c":           "* --c",
		"2*/*c*/*":       "2 * /*c*/ *",
		"a::text":        "a :: text",
		"(:a,:b)":        "( :a , :b )",
		"x=$1and":        "x = $1 and",
		"1..2":           "1 . .2",
		"f($1)->>'a'":    "f ( $1 ) - > > 'a'",
		`"a"."b"`:        `"a" . "b"`,
		"e'\\''*":        "e'\\'' *",
		"'a'|e'b'":       "'a' | e'b'",
		"a$1":            "a$1",
		"{a}{b}":         "{a} {b}",
		"t.{full_name}*": "t . {full_name} *",
	} {
		var texts []string
		for _, token := range lexer.Scan(text) {
			texts = append(texts, token.Text)
		}
		require.Equal(t, want, strings.Join(texts, " "))
	}
}

func TestIdentifier(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"Users": "users", `"Us""ers"`: `Us"ers`, "ÄB": "Äb", `U&"x"`: "x", `"`: "", `"a`: "a"} {
		require.Equal(t, want, lexer.Scan(text)[0].Identifier(), text)
	}
}

// Whatever the text: the tokens, none of them empty, are the text.
func TestScanAnything(t *testing.T) {
	t.Parallel()
	pieces := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{
		"'", `"`, "$", "$$", "$a$", "E'", "U&", `U&"`, "\\", "--", "/*", "*/", "\n", " ", ":", "::", "?", "@", "{", "{{", "}", "}}", "1", ".", "e", "-", "\x00", "\xff", "select", "*",
	}))
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOf(pieces).Draw(t, "pieces"), "")
		at := 0
		for _, token := range lexer.Scan(text) {
			require.Equal(t, at, token.Start)
			require.Greater(t, token.End, token.Start)
			require.Equal(t, text[token.Start:token.End], token.Text)
			_ = token.Identifier()
			at = token.End
		}
		require.Len(t, text, at)
	})
}
