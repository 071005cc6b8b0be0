// Package fragment finds the {name} placeholders in SQL written by people. A brace inside a string, a quoted name, a comment or
// a dollar-quoted body is not a placeholder. The parser is pure and reads each byte once.
package fragment

import (
	"fmt"
	"strings"
)

// Expand replaces each {name} in sql by what column returns for it. An error of column is returned with the place.
func Expand(sql string, column func(name string) (string, error)) (string, error) {
	var b strings.Builder
	for i := 0; i < len(sql); {
		if sql[i] == '{' {
			name, n, err := placeholder(sql, i)
			if err != nil {
				return "", err
			}
			text, err := column(name)
			if err != nil {
				return "", fmt.Errorf("sql, byte %d: %w", i, err)
			}
			b.WriteString(text)
			i += n
			continue
		}
		n, err := token(sql, i)
		if err != nil {
			return "", err
		}
		b.WriteString(sql[i : i+n])
		i += n
	}
	return b.String(), nil
}

// Placeholder writes a name so that Expand finds it.
func Placeholder(name string) string {
	if strings.ContainsAny(name, `{}"`) {
		name = `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
	}
	return "{" + name + "}"
}

// placeholder returns the name in the braces that open at i, and the length of it all.
func placeholder(sql string, i int) (name string, n int, err error) {
	if !strings.HasPrefix(sql[i:], `{"`) {
		end := strings.IndexByte(sql[i:], '}')
		if end < 0 {
			return "", 0, fmt.Errorf("sql, byte %d: { without }", i)
		}
		return sql[i+1 : i+end], end + 1, nil
	}
	n, err = quoted(sql, i+1, '"', false)
	if err != nil {
		return "", 0, err
	}
	if i+1+n >= len(sql) || sql[i+1+n] != '}' {
		return "", 0, fmt.Errorf("sql, byte %d: { without } after the quoted name", i)
	}
	return strings.ReplaceAll(sql[i+2:i+n], `""`, `"`), n + 2, nil
}

// token returns the length of what begins at i and holds no placeholder: one quoted thing or one byte.
func token(sql string, i int) (int, error) {
	rest := sql[i:]
	switch {
	case rest[0] == '\'':
		return quoted(sql, i, '\'', escapes(sql, i))
	case rest[0] == '"':
		return quoted(sql, i, '"', false)
	case strings.HasPrefix(rest, "--"):
		if n := strings.IndexByte(rest, '\n'); n >= 0 {
			return n + 1, nil
		}
		return len(rest), nil
	case strings.HasPrefix(rest, "/*"):
		return comment(sql, i)
	case rest[0] == '$':
		return dollar(sql, i)
	}
	return word(rest), nil
}

// word is the length of the word that s begins with, else 1. The $ inside a name opens no dollar quote; after a number it does.
func word(s string) int {
	if !wordByte(s[0]) {
		return 1
	}
	number := s[0] >= '0' && s[0] <= '9'
	n := 1
	for n < len(s) && (wordByte(s[n]) || s[n] == '$' && !number) {
		n++
	}
	return n
}

// escapes tells whether the string that opens at i is an E'...' one, in which a backslash escapes.
func escapes(sql string, i int) bool {
	return i > 0 && (sql[i-1] == 'e' || sql[i-1] == 'E') && (i == 1 || !wordByte(sql[i-2]))
}

func quoted(sql string, i int, quote byte, backslash bool) (int, error) {
	for j := i + 1; j < len(sql); j++ {
		switch {
		case backslash && sql[j] == '\\':
			j++
		case sql[j] == quote && j+1 < len(sql) && sql[j+1] == quote:
			j++
		case sql[j] == quote:
			return j + 1 - i, nil
		}
	}
	return 0, fmt.Errorf("sql, byte %d: %c does not end", i, quote)
}

// comment handles /* */, which nest in PostgreSQL.
func comment(sql string, i int) (int, error) {
	depth := 0
	for j := i; j+1 < len(sql); j++ {
		switch sql[j : j+2] {
		case "/*":
			depth++
			j++
		case "*/":
			depth--
			j++
		}
		if depth == 0 {
			return j + 1 - i, nil
		}
	}
	return 0, fmt.Errorf("sql, byte %d: comment does not end", i)
}

// dollar handles $tag$ ... $tag$; a parameter such as $1 is one byte like any other.
func dollar(sql string, i int) (int, error) {
	j := i + 1
	for j < len(sql) && wordByte(sql[j]) {
		j++
	}
	if j == len(sql) || sql[j] != '$' || j > i+1 && sql[i+1] >= '0' && sql[i+1] <= '9' {
		return 1, nil
	}
	tag := sql[i : j+1]
	end := strings.Index(sql[j+1:], tag)
	if end < 0 {
		return 0, fmt.Errorf("sql, byte %d: %s does not end", i, tag)
	}
	return j + 1 + end + len(tag) - i, nil
}

func wordByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}
