package pair

import "strings"

// unbounded are the types that without a modifier mean the length 1, and the ones that mean any length.
var unbounded = map[string]string{"char": "bpchar", "character": "bpchar", "bit": "varbit", "nchar": "bpchar", "national character": "bpchar", "national char": "bpchar"}

// collated takes a type's SQL apart: `text COLLATE "C"` is a type and, with a blank before it, a clause.
func collated(typ string) (bare, clause string) {
	quoted := false
	for i, r := range typ {
		switch {
		case r == '"':
			quoted = !quoted
		case !quoted && i > 0 && strings.EqualFold(typ[i:min(i+8, len(typ))], "collate ") && strings.ContainsAny(typ[i-1:i], " \t\n)]"):
			return strings.TrimSpace(typ[:i]), " " + strings.TrimSpace(typ[i:])
		}
	}
	return strings.TrimSpace(typ), ""
}

// unmodified is a type's SQL without its modifier and collation: varchar(8) becomes varchar, numeric(10,2)[] numeric[].
func unmodified(typ string) string {
	typ, _ = collated(typ)
	var b strings.Builder
	depth, quoted := 0, false
	for _, r := range typ {
		switch {
		case r == '"':
			quoted = !quoted
		case quoted:
		case r == '(':
			depth++
			continue
		case r == ')':
			depth--
			continue
		}
		if depth == 0 {
			b.WriteRune(r)
		}
	}
	name, array := strings.TrimSpace(b.String()), ""
	if i := strings.IndexByte(name, '['); i >= 0 && !strings.Contains(name, `"`) {
		name, array = strings.TrimSpace(name[:i]), name[i:]
	}
	if free, ok := unbounded[strings.ToLower(strings.Join(strings.Fields(name), " "))]; ok {
		name = free
	}
	return name + array
}
