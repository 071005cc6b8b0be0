package expand

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/switchover"
)

// elsewhere are the pairs of a model whose new columns are in one other table.
type elsewhere struct {
	to    ident.Table
	key   []string
	pairs []int // indexes into model.pairs
}

// moves tells whether a pair of the model moves to another table.
func (m *model) moves() bool {
	return slices.ContainsFunc(m.pairs, func(b bound) bool { return b.def.Moved() })
}

// there are the tables, and the pairs of the columns in each, that the phases write besides the model's own: from Contract on, when the guard does it no more.
func (m *model) there(p phases, columns []string) []elsewhere {
	var out []elsewhere
	for i, b := range m.pairs {
		if !b.def.Moved() || p.write(i).WritesOld() || !slices.Contains(columns, b.def.New[0]) {
			continue
		}
		at := slices.IndexFunc(out, func(e elsewhere) bool { return e.to == b.def.To && slices.Equal(e.key, b.def.ToKey) })
		if at < 0 {
			at = len(out)
			out = append(out, elsewhere{to: b.def.To, key: b.def.ToKey})
		}
		out[at].pairs = append(out[at].pairs, i)
	}
	return out
}

// valuesThere appends the arguments for the other tables' columns.
func (m *model) valuesThere(p phases, v reflect.Value, there []elsewhere, args []any) []any {
	for _, e := range there {
		for _, i := range e.pairs {
			ph := p.write(i)
			args = m.pairs[i].writeThere(ph, address(v, m.field(m.pairs[i].def.New[0])), ph.Stamp(), args)
		}
	}
	return args
}

func (p *Pair[O, N]) writeThere(ph switchover.Phase, field any, stamp int32, args []any) []any {
	args = append(args, argument(*field.(*N))) //nolint:errcheck // bind has checked the field's type
	if ph.Stamps() {
		args = append(args, int64(stamp))
	}
	return args
}

// thereSQL is the rest of a statement that begins WITH o AS (a write of the model's table RETURNING its key): the rows of the other tables. Its parameters
// are first, first+1, ... One statement is one transaction, also outside of any; and it locks the model's row first, as the guard does.
func (m *model) thereSQL(p phases, there []elsewhere, first int) string {
	var b strings.Builder
	for n, e := range there {
		columns, values := ident.QuoteAll("", e.key), ident.QuoteAll("o.", m.key)
		var set []string
		for _, i := range e.pairs {
			names := slices.Clone(m.pairs[i].def.New)
			if p.write(i).Stamps() {
				names = append(names, m.pairs[i].def.Stamp)
			}
			for _, name := range names {
				columns, set = append(columns, ident.Quote(name)), append(set, name)
				values = append(values, "$"+strconv.Itoa(first))
				first++
			}
		}
		fmt.Fprintf(&b, ", p%d AS (INSERT INTO %s (%s) SELECT %s FROM o ON CONFLICT (%s) DO UPDATE SET %s)",
			n, e.to.SQL(), strings.Join(columns, ", "), strings.Join(values, ", "), ident.List("", e.key), excluded(set))
	}
	return b.String()
}

// updateThereSQL is an UPDATE of the model's table and the others. Where nothing of the model's table changes its row is only locked.
func (m *model) updateThereSQL(p phases, columns []string, there []elsewhere) string {
	own := m.written(p, columns)
	n := len(own)
	head := "UPDATE " + m.table.SQL() + " SET " + assignments(own, 1) + m.whereKey(n+1) + " RETURNING " + ident.List("", m.key)
	if n == 0 {
		head = "SELECT " + ident.List("", m.key) + " FROM " + m.table.SQL() + m.whereKey(1) + " FOR NO KEY UPDATE"
	}
	return "WITH o AS (" + head + ")" + m.thereSQL(p, there, n+len(m.key)+1) + " SELECT 1 FROM o"
}

// insertThereSQL is insertSQL of one row, and its rows in the other tables.
func (m *model) insertThereSQL(p phases, zeros []uint64, returned uint64, tail string, there []elsewhere) string {
	back := m.returned(returned)
	text := "WITH o AS (" + m.insertSQL(p, zeros, 0, tail) + " RETURNING " + ident.List("", append(without(m.key, back), back...)) + ")"
	n := len(m.written(p, without(m.columns, back)))
	if len(back) == 0 {
		return text + m.thereSQL(p, there, n+1) + " SELECT 1 FROM o"
	}
	return text + m.thereSQL(p, there, n+1) + " SELECT " + ident.List("", back) + " FROM o"
}

// joins are the other tables that the phases read. Of each only the pair's columns are to be seen, by names that nobody else has: in a clause a bare name means the
// model's table in every phase.
func (m *model) joins(p phases) string {
	var b strings.Builder
	for i, pair := range m.pairs {
		d, ph := pair.def, p.read(i)
		if !d.Moved() || ph == switchover.Start {
			continue
		}
		columns := []string{ident.Quote(d.New[0]) + ` AS "tandem new"`}
		if ph != switchover.Complete {
			columns = append(columns, ident.Quote(d.Stamp)+` AS "tandem stamp"`)
		}
		on := make([]string, len(d.Key))
		for k, name := range d.ToKey {
			columns = append(columns, fmt.Sprintf(`%s AS "tandem key %d"`, ident.Quote(name), k))
			on[k] = joinedColumn(i, "key "+strconv.Itoa(k)) + " = " + ident.Quote(m.table.Name) + "." + ident.Quote(d.Key[k])
		}
		fmt.Fprintf(&b, ` LEFT JOIN (SELECT %s FROM %s) AS "tandem %d" ON %s`, strings.Join(columns, ", "), d.To.SQL(), i, strings.Join(on, " AND "))
	}
	return b.String()
}

// joinedColumn is a column of the i-th pair's other table.
func joinedColumn(i int, name string) string { return fmt.Sprintf(`"tandem %d"."tandem %s"`, i, name) }

// storedThere are storedColumns of a pair in two tables.
func (m *model) storedThere(i int, ph switchover.Phase) []string {
	old := ident.QuoteAll(ident.Quote(m.table.Name)+".", m.pairs[i].def.Old)
	switch ph {
	case switchover.Start:
		return old
	case switchover.Complete:
		return []string{joinedColumn(i, "new")}
	default:
		return append(old, joinedColumn(i, "new"), joinedColumn(i, "stamp"))
	}
}
