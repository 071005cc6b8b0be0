// Package ident holds names of PostgreSQL objects: checking, quoting and deriving them. All of it is pure.
package ident

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxBytes is NAMEDATALEN - 1: PostgreSQL silently cuts longer names.
const MaxBytes = 63

// Check reports why name cannot be the name of a column, table or schema.
func Check(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("name %q: empty", name)
	case len(name) > MaxBytes:
		return fmt.Errorf("name %q: %d bytes, PostgreSQL cuts names at %d", name, len(name), MaxBytes)
	case strings.ContainsRune(name, 0):
		return fmt.Errorf("name %q: contains a NUL byte", name)
	case !utf8.ValidString(name):
		return fmt.Errorf("name %q: not valid UTF-8", name)
	}
	return nil
}

// Quote writes a name as SQL: bare when that means the same, else in double quotes.
func Quote(name string) string {
	if bare(name) && !reserved[name] {
		return name
	}
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}

// QuoteAll quotes each name and puts prefix before it.
func QuoteAll(prefix string, names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = prefix + Quote(n)
	}
	return out
}

// List is QuoteAll with commas.
func List(prefix string, names []string) string { return strings.Join(QuoteAll(prefix, names), ", ") }

// Literal writes a string as an SQL literal, for the few places that take no parameter (DDL).
func Literal(s string) string {
	quoted := "'" + strings.ReplaceAll(s, "'", "''") + "'"
	if strings.Contains(s, `\`) {
		return " E" + strings.ReplaceAll(quoted, `\`, `\\`)
	}
	return quoted
}

func bare(name string) bool {
	for i := range len(name) {
		c := name[i]
		if c >= 'a' && c <= 'z' || c == '_' || i > 0 && c >= '0' && c <= '9' {
			continue
		}
		return false
	}
	return name != ""
}
