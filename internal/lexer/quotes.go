package lexer

import "strings"

// quoted is the length up to the end of the quoted name whose quote is at i.
func quoted(s string, i int) int { return closing(s, i, false) }

// literal is the length up to the end of the string whose quote is at i. A string goes on after a line break, with the escapes that it began with.
func literal(s string, i int, escapes bool) int {
	for {
		i = closing(s, i, escapes)
		again := continued(s[i:])
		if again < 0 {
			return i
		}
		i += again
	}
}

// closing is the place after the quote that ends what the one at i begins. A doubled quote is part of it.
func closing(s string, i int, escapes bool) int {
	for j := i + 1; j < len(s); j++ {
		switch {
		case escapes && s[j] == '\\':
			j++
		case s[j] != s[i]:
		case j+1 < len(s) && s[j+1] == s[i]:
			j++
		default:
			return j + 1
		}
	}
	return len(s)
}

// continued is the distance to the quote that continues a string, or -1: space with a line break in it, and comments that end with a line.
func continued(s string) int {
	broken := false
	for i := 0; i < len(s); {
		switch {
		case space(s[i]):
			broken = broken || s[i] == '\n' || s[i] == '\r'
			i++
		case strings.HasPrefix(s[i:], "--"):
			i += line(s[i:])
		case s[i] == '\'' && broken:
			return i
		default:
			return -1
		}
	}
	return -1
}

// line is the length of a comment up to the end of its line.
func line(s string) int {
	if n := strings.IndexAny(s, "\n\r"); n >= 0 {
		return n
	}
	return len(s)
}

// block is the length of a comment in /* */, which nest.
func block(s string) int {
	depth := 0
	for i := 0; i+1 < len(s); {
		switch s[i : i+2] {
		case "/*":
			depth++
			i += 2
		case "*/":
			depth--
			i += 2
			if depth == 0 {
				return i
			}
		default:
			i++
		}
	}
	return len(s)
}

// dollar is $1, $$ $$ or $tag$ $tag$.
func dollar(s string) (Kind, int) {
	if n := span(s[1:], digit); n > 0 {
		return Param, 1 + n
	}
	n := 1 + span(s[1:], func(c byte) bool { return letter(c) || digit(c) })
	if n == len(s) || s[n] != '$' {
		return Symbol, 1
	}
	tag := s[:n+1]
	end := strings.Index(s[n+1:], tag)
	if end < 0 {
		return String, len(s)
	}
	return String, n + 1 + end + len(tag)
}

// number is what begins with a digit, or with a point and a digit: 1, 1.5, .5, 1e-5, 0xff, 1_000.
func number(s string) int {
	n, pointed := 0, false
	for n < len(s) {
		switch c := s[n]; {
		case digit(c) || c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z':
		case c == '.' && !pointed && !strings.HasPrefix(s[n:], ".."):
			pointed = true
		case (c == '-' || c == '+') && exponent(s[:n]) && n+1 < len(s) && digit(s[n+1]):
		default:
			return n
		}
		n++
	}
	return n
}

// exponent tells whether a number is up to its e.
func exponent(s string) bool {
	if s == "" || lower(s[len(s)-1:]) != "e" {
		return false
	}
	return span(s, func(c byte) bool { return digit(c) || c == '.' || c == '_' }) == len(s)-1
}

// template is {column} as in the fragments of package expand, or {{...}} of text/template.
func template(s string) (Kind, int) {
	opening, ending := "{", "}"
	if strings.HasPrefix(s, "{{") {
		opening, ending = "{{", "}}"
	}
	n := strings.Index(s, ending)
	if n < 0 || strings.ContainsRune(s[:n], '\n') {
		return Symbol, 1
	}
	return Template, max(n, len(opening)) + len(ending)
}
