package backfill

// batch are rows to be copied by their keys.
type batch struct {
	rows []*row
	bad  []badRow
	size int  // bytes that the rows take in memory, about
	cut  bool // there were more rows than there was room for

	accepted int // of the bad ones, those that an operator lives with; known once they are written
}

// row is one that was read, and for a conversion in Go what it became.
type row struct {
	key     []string
	sources []*string // as text
	targets []string  // as elements of an array
	place   place     // where it lay; only of rows that are read ahead
}

type badRow struct {
	key []string
	err error
}

func (b *batch) len() int { return len(b.rows) }

// slice are the rows from lo up to before hi; the bad ones go with the first.
func (b *batch) slice(lo, hi int) *batch {
	out := &batch{rows: b.rows[lo:hi]}
	if lo == 0 {
		out.bad = b.bad
	}
	return out
}

func (b *batch) key(i int) []string { return b.rows[i].key }

func (b *batch) badKeys() (keys [][]string) {
	for _, bad := range b.bad {
		keys = append(keys, bad.key)
	}
	return keys
}

// keys are the keys as keyArrays takes them: an array for each column.
func (b *batch) keys(columns int) []any { return keyArgs(len(b.rows), columns, b.key) }

// keyArgs are n keys as keyArrays takes them.
func keyArgs(n, columns int, key func(i int) []string) (args []any) {
	for c := range columns {
		args = append(args, arrayOf(n, func(out []byte, i int) []byte { return quoted(out, key(i)[c]) }))
	}
	return args
}

// values are the sources and the targets as writeBackSQL takes them.
func (b *batch) values(sources, targets int) (args []any) {
	for c := range sources {
		args = append(args, arrayOf(len(b.rows), func(out []byte, i int) []byte {
			if text := b.rows[i].sources[c]; text != nil {
				return quoted(out, *text)
			}
			return append(out, null...)
		}))
	}
	for c := range targets {
		args = append(args, arrayOf(len(b.rows), func(out []byte, i int) []byte { return append(out, b.rows[i].targets[c]...) }))
	}
	return args
}

// arrayOf is PostgreSQL's text for an array of n elements, which element appends.
func arrayOf(n int, element func(out []byte, i int) []byte) string {
	out := append(make([]byte, 0, 16*n+2), '{')
	for i := range n {
		if i > 0 {
			out = append(out, ',')
		}
		out = element(out, i)
	}
	return string(append(out, '}'))
}

const null = "NULL"

// quoted appends an element of an array with this text.
func quoted(out []byte, text string) []byte {
	out = append(out, '"')
	from := 0
	for i := range len(text) {
		if c := text[i]; c == '"' || c == '\\' {
			out = append(append(out, text[from:i]...), '\\')
			from = i
		}
	}
	return append(append(out, text[from:]...), '"')
}
