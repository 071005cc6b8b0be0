// Package lexer cuts SQL as it stands in a program's source into tokens: PostgreSQL's, and what stands in the text until a library or a format has replaced it.
//
//	$1  ?  :name  @name  {column}  {{.Table}}
//
// Nothing is an error. What does not end, ends with the text, because a program may add the rest; a byte that begins nothing is a token of its own. The tokens,
// one after the other, are the text. String literals are read as with standard_conforming_strings, the default of PostgreSQL.
package lexer

import "strings"

// Kind is what a token is.
type Kind uint8

// The kinds. Symbol is one byte, or :: or :=, so that a * is a token of its own whatever stands beside it.
const (
	Space Kind = iota
	Comment
	Name   // a keyword, or a name without quotes
	Quoted // a name in quotes
	String // '', E'', B'', X'', N'', U&'', $$ $$
	Number
	Param    // $1, ?, :name, @name
	Template // {column}, {{.Table}}
	Symbol
)

// Hole stands in a text for what is known only when the program runs. It counts as a letter: by itself it is a name that nobody knows, and so is a name with one in it.
const Hole = '\x00'

// Token is Text[Start:End] of the text.
type Token struct {
	Kind  Kind
	Start int
	End   int
	Text  string
}

// Identifier is the name as PostgreSQL sees it: folded to lower case, or without its quotes.
func (t Token) Identifier() string {
	if t.Kind != Quoted {
		return lower(t.Text)
	}
	_, name, _ := strings.Cut(t.Text, `"`)
	return strings.ReplaceAll(strings.TrimSuffix(name, `"`), `""`, `"`)
}

// Open tells whether the name is not known, or not to its end.
func (t Token) Open() bool { return strings.IndexByte(t.Text, Hole) >= 0 }

// lower folds ASCII alone, as the server does in UTF-8.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

// Scan returns all tokens of the text.
func Scan(text string) []Token {
	var out []Token
	for i := 0; i < len(text); {
		kind, n := next(text[i:])
		out = append(out, Token{Kind: kind, Start: i, End: i + n, Text: text[i : i+n]})
		i += n
	}
	return out
}

// next is the token that s begins with, and its length, at least 1.
func next(s string) (Kind, int) {
	switch c := s[0]; {
	case space(c):
		return Space, span(s, space)
	case strings.HasPrefix(s, "--"):
		return Comment, line(s)
	case strings.HasPrefix(s, "/*"):
		return Comment, block(s)
	case c == '"':
		return Quoted, quoted(s, 0)
	case c == '\'':
		return String, literal(s, 0, false)
	case letter(c):
		return word(s)
	case digit(c), c == '.' && len(s) > 1 && digit(s[1]):
		return Number, number(s)
	case c == '$':
		return dollar(s)
	case c == '{':
		return template(s)
	}
	return symbol(s)
}

// word is a name, or what a prefix makes of the quotes behind it.
func word(s string) (Kind, int) {
	n := span(s, inWord)
	rest, prefix := s[n:], lower(s[:n])
	switch {
	case prefix == "u" && strings.HasPrefix(rest, "&'"):
		return String, literal(s, n+1, false)
	case prefix == "u" && strings.HasPrefix(rest, `&"`):
		return Quoted, quoted(s, n+1)
	case prefix == "e" && strings.HasPrefix(rest, "'"):
		return String, literal(s, n, true)
	case (prefix == "b" || prefix == "x" || prefix == "n") && strings.HasPrefix(rest, "'"):
		return String, literal(s, n, false)
	}
	return Name, n
}

// symbol keeps the colons of a cast together, so that its type is no parameter.
func symbol(s string) (Kind, int) {
	switch {
	case strings.HasPrefix(s, "::"), strings.HasPrefix(s, ":="):
		return Symbol, 2
	case s[0] == '?':
		return Param, 1
	case (s[0] == ':' || s[0] == '@') && len(s) > 1 && letter(s[1]):
		return Param, 1 + span(s[1:], func(c byte) bool { return inWord(c) || c == '.' })
	}
	return Symbol, 1
}

func span(s string, in func(byte) bool) int {
	n := 0
	for n < len(s) && in(s[n]) {
		n++
	}
	return n
}

func space(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }
func digit(c byte) bool { return '0' <= c && c <= '9' }

// letter begins a name: any byte of a rune beyond ASCII does.
func letter(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c >= 0x80 || c == Hole
}

func inWord(c byte) bool { return letter(c) || digit(c) || c == '$' }
