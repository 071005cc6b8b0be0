package ident

import (
	"fmt"
	"strings"
)

// DefaultSchema is the schema of a table declared without one. It is fixed, not taken from search_path, because a session
// setting means nothing behind a pooler.
const DefaultSchema = "public"

// Table is a table's full name.
type Table struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
}

// ParseTable reads `users`, `app.users`, `"my.table"` or `app."Users"`. Letters keep their case with or without quotes; a
// dot or a double quote inside a name needs the quotes, as in SQL.
func ParseTable(s string) (Table, error) {
	parts, err := splitDots(s)
	if err != nil {
		return Table{}, err
	}
	t := Table{Schema: DefaultSchema, Name: parts[len(parts)-1]}
	if len(parts) > 2 {
		return Table{}, fmt.Errorf("table %q: more than schema and name", s)
	}
	if len(parts) == 2 {
		t.Schema = parts[0]
	}
	for _, part := range parts {
		if err := Check(part); err != nil {
			return Table{}, fmt.Errorf("table %q: %w", s, err)
		}
	}
	return t, nil
}

// SQL writes the name with its schema.
func (t Table) SQL() string { return Quote(t.Schema) + "." + Quote(t.Name) }

// String is SQL without the default schema: what people call the table.
func (t Table) String() string {
	if t.Schema == DefaultSchema {
		return Quote(t.Name)
	}
	return t.SQL()
}

func splitDots(s string) ([]string, error) {
	var parts []string
	rest := s
	for {
		part, after, err := cutName(rest)
		if err != nil {
			return nil, fmt.Errorf("table %q: %w", s, err)
		}
		parts = append(parts, part)
		if after == "" {
			return parts, nil
		}
		if after[0] != '.' {
			return nil, fmt.Errorf("table %q: unexpected %q after a quoted name", s, after)
		}
		rest = after[1:]
	}
}

// cutName takes one name, quoted or not, off the front of s.
func cutName(s string) (name, rest string, err error) {
	if !strings.HasPrefix(s, `"`) {
		i := strings.IndexByte(s, '.')
		if i < 0 {
			i = len(s)
		}
		if strings.ContainsRune(s[:i], '"') {
			return "", "", fmt.Errorf("a double quote inside %q: put the whole name in quotes and double it", s[:i])
		}
		return s[:i], s[i:], nil
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		if s[i] != '"' {
			b.WriteByte(s[i])
			continue
		}
		if i+1 < len(s) && s[i+1] == '"' {
			b.WriteByte('"')
			i++
			continue
		}
		return b.String(), s[i+1:], nil
	}
	return "", "", fmt.Errorf("a quoted name does not end in %q", s)
}
