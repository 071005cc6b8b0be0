package pair

import "strings"

// unbounded are the types that without a modifier mean the length 1, and the ones that mean any length.
var unbounded = map[string]string{"char": "bpchar", "character": "bpchar", "bit": "varbit", "nchar": "bpchar", "national character": "bpchar", "national char": "bpchar"}

// unmodified is a type's SQL without its modifier: varchar(8) becomes varchar, numeric(10,2)[] numeric[].
func unmodified(typ string) string {
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
