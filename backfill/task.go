package backfill

import (
	"fmt"
	"strings"
	"time"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/phase"
)

// task is one direction of copying, and the SQL for it. All its methods are pure.
type task struct {
	d      expand.Definition
	table  string // the rows lie in it: the pair's table or a partition, quoted
	kind   string // copy, reverse
	types  []string
	path   path // of windows by the key
	source []string
	target []string
	casts  []string // types of the target columns, without modifier
	bytes  []bool   // which target columns are bytea, or a domain of it

	columnTypes map[string]string // of every column of the table
	newType     string            // of new, which may be in another table
	todo        string            // which rows: a predicate on t
	group       []*task           // of several pairs that are copied at once; nil: of one
	scope       string            // and of them those of Options.Where: " AND ...", or nothing
	stamp       phase.Phase
	exprs       func(prefix string) []string // nil: only Go can convert
	convert     func(scanned any) ([]any, error)
	scan        func() any
	columns     func(scanned any) []any // its scan destinations
	timeout     time.Duration           // for one conversion

	mirror *guard.Map // of a replaced table: rows are inserted into another; else nil
	extra  string     // which rows of the table alone differ, a predicate on t; "" when rows are compared
}

// newTask prepares a direction; stampPhase is the phase that the copied rows' stamps carry. there is the table of new, mostly t.
func newTask(t, there *catalog.Table, p expand.Any, reverse bool, stampPhase phase.Phase) (*task, error) {
	d, c := p.Definition(), p.Conversion()
	k := &task{d: d, table: d.Table.SQL(), kind: "copy", source: d.Old, target: d.New, todo: d.Unstamped(),
		stamp: stampPhase, convert: c.Forward, scan: c.ScanOld, columns: c.Old}
	if c := there.Column(d.New[0]); c != nil {
		k.newType = c.Type
	}
	if d.HasForward() {
		k.exprs = d.ForwardSQL
	}
	if reverse {
		k.kind, k.source, k.target, k.exprs, k.convert, k.scan, k.columns = "reverse", d.New, d.Old, nil, c.Backward, c.ScanNew, c.New
		k.todo = d.Contracted()
		if d.HasBackward() && (d.HasForward() || k.convert == nil) { // without forward only Go can tell whether old holds the value
			k.exprs = d.BackwardSQL
		}
		if k.exprs == nil && k.convert == nil {
			return nil, fmt.Errorf("%s, new to old: %w: declare Backward", p.Name(), ErrDirection)
		}
		if k.exprs == nil && d.Moved() {
			return nil, fmt.Errorf("%s, new to old: %w: between two tables SQL converts: declare BackwardSQL", p.Name(), ErrDirection)
		}
		there = t
	}
	k.columnTypes = map[string]string{}
	for _, c := range t.Columns {
		k.columnTypes[c.Name] = c.Type
	}
	k.types, k.path = t.KeyTypes(d.Key), pathOf(t, d.Key)
	for _, name := range k.target {
		c := there.Column(name)
		if c == nil {
			return nil, fmt.Errorf("%s: column %s is not there: run expand.Apply", p.Name(), ident.Quote(name))
		}
		k.casts = append(k.casts, c.Base)
		k.bytes = append(k.bytes, c.Bytes)
	}
	return k, nil
}

func (k *task) from() string { return k.table + " AS t" }

// on is the task on one partition, or on what else has the table's columns.
func (k *task) on(relation string) *task {
	out := *k
	out.table = relation
	return &out
}

// keyText selects the key as text.
func (k *task) keyText() string {
	out := ident.QuoteAll("t.", k.d.Key)
	return strings.Join(out, "::text, ") + "::text"
}

func (k *task) orderBy() string { return " ORDER BY " + ident.List("t.", k.d.Key) }

// updateSQL copies rows inside the server. The expression is on the target row, so PostgreSQL evaluates it again when a
// concurrent write came first; the stamp then excludes the row.
func (k *task) updateSQL(where string) string {
	if k.mirror != nil {
		return k.mirrorSQL("", where)
	}
	if k.d.Moved() {
		return k.copySQL("", where)
	}
	return "UPDATE " + k.from() + " SET " + k.sets() + " WHERE " + where + " AND " + k.todo
}

// updateKeysSQL is updateSQL for rows that are named by their keys: an array for each key column.
func (k *task) updateKeysSQL() string {
	if k.d.Moved() {
		return k.copySQL(k.named())
	}
	arrays, names, same := k.keyArrays()
	if k.mirror != nil {
		return k.mirrorSQL(", unnest("+arrays+") AS v("+names+")", same)
	}
	return fmt.Sprintf("UPDATE %s SET %s FROM unnest(%s) AS v(%s) WHERE %s AND %s", k.from(), k.sets(), arrays, names, same, k.todo)
}

func (k *task) sets() string {
	if k.group != nil {
		return k.setsOfAll()
	}
	columns, exprs := k.assigned()
	for i, c := range columns {
		columns[i] = c + " = " + exprs[i]
	}
	return strings.Join(columns, ", ")
}

// assigned are the columns that the copy writes, the stamp last, and what it writes to them.
func (k *task) assigned() (columns, exprs []string) {
	stamp := fmt.Sprint(k.stamp.Stamp())
	if lossy := k.lossySQL(); lossy != "" { // an error of the row, found by halving like any other; the text is the only message that it can have
		stamp = fmt.Sprintf("CASE WHEN %s THEN ('old cannot hold the new value of key ' || concat_ws(', ', %s))::int ELSE %s END", lossy, ident.List("t.", k.d.Key), stamp)
	}
	return append(ident.QuoteAll("", k.target), ident.Quote(k.d.Stamp)), append(k.exprs("t."), stamp)
}

// lossySQL says that a new value of the way back does not come back from old: forward of it would be another; "" where that cannot be.
func (k *task) lossySQL() string {
	if k.kind != "reverse" || !k.d.HasForward() || k.d.Identity() {
		return ""
	}
	return strings.Join(k.returns(), " OR ")
}

// returns says of each new column that forward of backward of the row's new columns is another value in it.
func (k *task) returns() []string {
	back := k.d.BackwardSQL("t.")
	for i, name := range k.d.Old {
		back[i] = fmt.Sprintf("CAST(%s AS %s)", back[i], k.columnTypes[name])
	}
	var out []string
	for i, e := range k.d.ForwardOf(back) {
		out = append(out, k.differs(k.d.New[i], e))
	}
	return out
}

// differs compares a column with an expression by their stored images, so that nothing counts as equal that is not the same.
func (k *task) differs(column, expr string) string {
	return fmt.Sprintf("ROW(t.%s)::record *<> ROW(CAST(%s AS %s))::record", ident.Quote(column), expr, k.columnTypes[column])
}

// keyArrays joins the rows to arrays of keys: the parameters, the names of their columns in v, and the condition.
func (k *task) keyArrays() (arrays, names, same string) {
	var a, n, s []string
	for i, name := range k.d.Key {
		a = append(a, fmt.Sprintf("$%d::text[]", i+1))
		n = append(n, fmt.Sprintf("k%d", i))
		s = append(s, fmt.Sprintf("t.%s = v.k%d::%s", ident.Quote(name), i, k.types[i]))
	}
	return strings.Join(a, ", "), strings.Join(n, ", "), strings.Join(s, " AND ")
}

// readSQL reads rows for writeBack: key, and for a conversion in Go the source as text and as it is, and where the row lies.
func (k *task) readSQL(where string) string {
	return k.readColumns() + " FROM " + k.from() + " WHERE " + where + " AND " + k.todo
}

func (k *task) readColumns() string {
	if k.exprs != nil {
		return "SELECT " + k.keyText()
	}
	source := ident.QuoteAll("t.", k.source)
	return "SELECT " + k.keyText() + ", " + strings.Join(source, "::text, ") + "::text, " + strings.Join(source, ", ") + ", t.ctid"
}

// writeBackSQL writes converted values where the row is still as it was read: its source columns have the same text and it is still to be done. Parameters: an
// array for each key column, then one for each source column's texts, then one for each target.
func (k *task) writeBackSQL() string {
	arrays, names, same := k.keyArrays()
	n := len(k.d.Key)
	for i, source := range k.source {
		arrays += fmt.Sprintf(", $%d::text[]", n+1+i)
		names += fmt.Sprintf(", s%d", i)
		same += fmt.Sprintf(` AND t.%s::text COLLATE "C" IS NOT DISTINCT FROM v.s%d`, ident.Quote(source), i)
	}
	sets := make([]string, 0, len(k.target)+1)
	for i, target := range k.target {
		arrays += fmt.Sprintf(", $%d::text[]", n+len(k.source)+1+i)
		names += fmt.Sprintf(", v%d", i)
		sets = append(sets, fmt.Sprintf("%s = v.v%d::%s", ident.Quote(target), i, k.casts[i]))
	}
	sets = append(sets, fmt.Sprintf("%s = %d", ident.Quote(k.d.Stamp), k.stamp.Stamp()))
	return "UPDATE " + k.from() + " SET " + strings.Join(sets, ", ") + " FROM unnest(" + arrays + ") AS v(" + names + ") WHERE " + same + " AND " + k.todo
}

// todoSQL tells whether rows are still to be done. It reads the whole table.
func (k *task) todoSQL() string {
	return "SELECT EXISTS (SELECT FROM " + k.from() + " WHERE " + k.todo + k.scope + ")"
}

// leftSQL is todoSQL without the rows that another pass would not mend: those known not to convert, and those of strays, which are the sweeper's.
func (k *task) leftSQL() string {
	text := "SELECT EXISTS (SELECT FROM " + k.from() + " WHERE " + k.todo + k.scope
	for _, list := range []string{"bad_row", "dirty"} {
		text += " AND NOT EXISTS (SELECT FROM tandem." + list + " b WHERE b.migration = $1 AND " + k.keyIs("b.key") + ")"
	}
	return text + ")"
}

// keyIs joins a stored key, a text array, to the row.
func (k *task) keyIs(array string) string {
	var terms []string
	for i, name := range k.d.Key {
		terms = append(terms, fmt.Sprintf("t.%s = (%s)[%d]::%s", ident.Quote(name), array, i+1, k.types[i]))
	}
	return strings.Join(terms, " AND ")
}
