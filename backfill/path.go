package backfill

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/ident"
)

// path is the order in which windows go through a key: that of an index on it, from one end to the other, so that each window begins where the index is entered. A pair may name the
// columns of its key in another order than the index has them, and the index may descend in some.
type path []pathColumn

type pathColumn struct {
	name, typ string
	desc      bool
	nulls     bool // first: there are none, but an index with NULLs at the other end does not serve
}

// pathOf is the path along the index of a key.
func pathOf(t *catalog.Table, key []string) path {
	types := t.KeyTypes(key)
	index := t.KeyOf(key)
	var out path
	for i, name := range key {
		c := pathColumn{name: name, typ: types[i]}
		if index != nil { // else there is no key
			name = index.Columns[i]
			c = pathColumn{name, types[slices.Index(key, name)], index.Desc[i], index.Nulls[i]}
		}
		out = append(out, c)
	}
	return out
}

// back is the path from its other end.
func (p path) back() path {
	out := slices.Clone(p)
	for i := range out {
		out[i].desc, out[i].nulls = !out[i].desc, !out[i].nulls
	}
	return out
}

// words are the path as a pass keeps it.
func (p path) words() (out []string) {
	for _, c := range p {
		out = append(out, map[bool]string{false: "+", true: "-"}[c.desc]+c.name)
	}
	return out
}

// along is the path by which a pass was begun: its positions mean nothing by another.
func (p path) along(words []string) path {
	switch {
	case len(words) != len(p) || slices.Equal(words, p.words()):
		return p
	case slices.Equal(words, p.back().words()):
		return p.back()
	}
	var out path // the index was made anew since: right, if not by it
	for _, w := range words {
		i := slices.IndexFunc(p, func(c pathColumn) bool { return c.name == w[1:] })
		if i < 0 {
			return p
		}
		out = append(out, pathColumn{p[i].name, p[i].typ, w[0] == '-', w[0] == '-'})
	}
	return out
}

// order is the ORDER BY list.
func (p path) order() string {
	out := make([]string, len(p))
	for i, c := range p {
		out[i] = "t." + ident.Quote(c.name) + map[bool]string{false: " ASC", true: " DESC"}[c.desc] + map[bool]string{false: " NULLS LAST", true: " NULLS FIRST"}[c.nulls]
	}
	return strings.Join(out, ", ")
}

// texts selects the key as text, in the path's order.
func (p path) texts() string {
	out := make([]string, len(p))
	for i, c := range p {
		out[i] = "t." + ident.Quote(c.name) + "::text"
	}
	return "ARRAY[" + strings.Join(out, ", ") + "]"
}

// parameter is the value of column i, of those that begin with $first.
func (p path) parameter(first, i int) string { return fmt.Sprintf("$%d::%s", first+i, p[i].typ) }

// mixed tells whether some columns go up and others down. Then a window is found only by all rows that have its first column's value: blocks are better.
func (p path) mixed() bool {
	return slices.ContainsFunc(p, func(c pathColumn) bool { return c.desc != p[0].desc })
}

func (p path) sides(first int) (names, values []string) {
	for i, c := range p {
		names, values = append(names, "t."+ident.Quote(c.name)), append(values, p.parameter(first, i))
	}
	return names, values
}

// beyond says that a row lies on the path behind the key in the parameters from $first on. Columns of one direction compare as row values, which an index serves; of more, the first
// column says where to enter it.
func (p path) beyond(first int) string {
	names, values := p.sides(first)
	if !p.mixed() {
		return fmt.Sprintf("(%s) %s (%s)", strings.Join(names, ", "), comes(p[0].desc), strings.Join(values, ", "))
	}
	out := fmt.Sprintf("%s %s= %s AND (", names[0], comes(p[0].desc), values[0])
	for i, c := range p {
		if i > 0 {
			out += " OR "
		}
		for same := range i {
			out += names[same] + " = " + values[same] + " AND "
		}
		out += names[i] + " " + comes(c.desc) + " " + values[i]
	}
	return "(" + out + "))"
}

func comes(desc bool) string { return map[bool]string{false: ">", true: "<"}[desc] }

// upTo says that a row lies on the path before the key in the parameters, or is it.
func (p path) upTo(first int) string {
	names, values := p.sides(first)
	if !p.mixed() {
		return fmt.Sprintf("(%s) %s= (%s)", strings.Join(names, ", "), comes(!p[0].desc), strings.Join(values, ", "))
	}
	return fmt.Sprintf("(%s %s= %s AND NOT %s)", names[0], comes(!p[0].desc), values[0], p.beyond(first))
}

// between says that a row lies in (low, high] on the task's path; without low from its beginning. The parameters are high, then low.
func (k *task) between(low bool) string {
	out := k.path.upTo(1)
	if low {
		out += " AND " + k.path.beyond(1+len(k.path))
	}
	return out
}

// lastKeySQL finds where the pass ends; max() does not exist for every type of key.
func (k *task) lastKeySQL() string {
	return "SELECT " + k.path.texts() + " FROM " + k.from() + " ORDER BY " + k.path.back().order() + " LIMIT 1"
}

// windowSQL finds the last key of the next window: the row that is size rows on. Its last parameter is size - 1.
func (k *task) windowSQL(low bool) string {
	n := len(k.path)
	if low {
		n *= 2
	}
	return "SELECT " + k.path.texts() + " FROM " + k.from() + " WHERE " + k.between(low) + " ORDER BY " + k.path.order() + fmt.Sprintf(" OFFSET $%d LIMIT 1", n+1)
}
