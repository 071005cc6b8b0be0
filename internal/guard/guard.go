// Package guard builds the triggers that keep rows right when somebody writes around the wrappers. It is pure: it returns SQL text.
//
// Repair is in force from Expand to Switch. A write of the pair without a new stamp (a stray) is brought into step in the
// same transaction where SQL can convert; where only Go can, the stamp becomes NULL and the key goes to tandem.dirty; and a stray
// that wrote only new is carried back to old, or refused with SQLSTATE TD002 if it would be lost.
//
// Reject is in force in Contract: every write of the pair needs a new stamp of phase Switch or Contract, else SQLSTATE TD001.
// Reverse is reject narrowed to Switch: the way back from Contract, until old is whole again.
//
// A write by the wrappers costs one WHEN clause. Installing takes SHARE ROW EXCLUSIVE: it waits for writers and blocks no reader.
package guard

import (
	"fmt"
	"strings"

	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pair"
	"github.com/tandem-go/tandem/internal/phase"
)

// Mode says which guard is installed.
type Mode string

// The modes.
const (
	None    Mode = "none"
	Repair  Mode = "repair"
	Reject  Mode = "reject"
	Reverse Mode = "reverse"
)

// Spec is what the text depends on besides the definition.
type Spec struct {
	Definition  pair.Definition
	Partitioned bool            // BEFORE UPDATE: an AFTER trigger does not fire when a row moves between partitions
	Triggered   bool            // BEFORE UPDATE too: the second write would run the application's own triggers again, as the guard's owner
	Loose       map[string]bool // columns whose = may call two different values equal (numeric, float, json, citext, ...)
}

// Functions are the names, inside schema tandem, of the repair functions.
func Functions(d pair.Definition) []string {
	base := d.Table.SQL() + "." + ident.Quote(d.New[0]) // quoted, or a dot in a name would make two pairs one
	return []string{ident.Derive("guard ", base, " insert"), ident.Derive("guard ", base, " update")}
}

// Triggers are the names of the two triggers; the prefix makes them fire after the application's own.
func Triggers(d pair.Definition) []string {
	return []string{ident.Derive("zz_tandem_", d.New[0], "_insert"), ident.Derive("zz_tandem_", d.New[0], "_update")}
}

// Install returns the statements that put mode in force, whichever was before. They belong in one transaction.
func Install(s Spec, mode Mode) []string {
	var out []string
	if mode == Repair {
		out = append(out, s.insertFunction(), s.updateFunction())
	}
	out = append(out, s.insertTrigger(mode), s.updateTrigger(mode))
	for _, name := range Triggers(s.Definition) {
		// replica-role writers (logical replication) are writers like any other
		out = append(out, "ALTER TABLE "+s.table()+" ENABLE ALWAYS TRIGGER "+ident.Quote(name))
	}
	return out
}

// Remove returns the statements that take the guard away; DROP TRIGGER takes ACCESS EXCLUSIVE.
func Remove(d pair.Definition) []string {
	var out []string
	for _, name := range Triggers(d) {
		out = append(out, "DROP TRIGGER IF EXISTS "+ident.Quote(name)+" ON "+d.Table.SQL())
	}
	for _, name := range Functions(d) {
		out = append(out, "DROP FUNCTION IF EXISTS tandem."+ident.Quote(name)+"()")
	}
	return out
}

func (s Spec) before() bool { return s.Partitioned || s.Triggered }

func (s Spec) table() string { return s.Definition.Table.SQL() }

func (s Spec) stamp(row string) string { return row + ident.Quote(s.Definition.Stamp) }

// differ says that the columns of NEW and OLD differ. For most types IS DISTINCT FROM is exact and cheap; where = is loose, the
// binary image of the values is compared (record_image_ne), which also works for types that have no = at all.
func (s Spec) differ(columns []string) string {
	var terms []string
	for _, c := range columns {
		terms = append(terms, s.distinct(c, "NEW."+ident.Quote(c), "OLD."+ident.Quote(c)))
	}
	return strings.Join(terms, " OR ")
}

func (s Spec) distinct(column, a, b string) string {
	if s.Loose[column] {
		// the cast keeps PostgreSQL from applying the operator to the columns one by one
		return fmt.Sprintf("ROW(%s)::record *<> ROW(%s)::record", a, b)
	}
	return fmt.Sprintf("%s IS DISTINCT FROM %s", a, b)
}

// between says that a stamp is of phase from..to. It is NULL for a NULL stamp.
func between(stamp string, from, to phase.Phase) string {
	return fmt.Sprintf("%s BETWEEN %d AND %d", stamp, from.Floor(), (to+1).Floor()-1)
}

// Admits is the range of stamp phases that a mode lets pass.
func (m Mode) Admits() (from, to phase.Phase) {
	switch m {
	case Reject:
		return phase.Switch, phase.Contract
	case Reverse:
		return phase.Switch, phase.Switch
	default:
		return phase.Expand, phase.Switch
	}
}

func (s Spec) insertTrigger(mode Mode) string {
	from, to := mode.Admits()
	if mode != Repair && s.Partitioned {
		// A row that moves to another partition is inserted there with the stamp it has, perhaps an old one; stamped, it is right.
		from = phase.Expand
	}
	// IS NOT TRUE, because with NOT BETWEEN a NULL stamp slips through.
	when := "(" + between(s.stamp("NEW."), from, to) + ") IS NOT TRUE"
	return s.trigger(0, "BEFORE INSERT", when, mode)
}

func (s Spec) updateTrigger(mode Mode) string {
	from, to := mode.Admits()
	d := s.Definition
	changed := s.differ(d.Old) + " OR " + s.differ(d.New)
	newStamp, oldStamp := s.stamp("NEW."), s.stamp("OLD.")
	bad := "(" + between(newStamp, from, to) + ") IS NOT TRUE"
	if mode == Repair {
		bad = newStamp + " IS NOT NULL AND " + bad // NULL hands the row to the reader's rule: it may be written
	}
	when := fmt.Sprintf("((%s) AND %s IS NOT DISTINCT FROM %s) OR (%s IS DISTINCT FROM %s AND %s)",
		changed, newStamp, oldStamp, newStamp, oldStamp, bad)
	return s.trigger(1, map[bool]string{false: "AFTER UPDATE", true: "BEFORE UPDATE"}[s.before()], when, mode)
}

func (s Spec) trigger(i int, event, when string, mode Mode) string {
	call := "tandem." + ident.Quote(Functions(s.Definition)[i]) + "()"
	if mode != Repair {
		from, to := mode.Admits()
		call = fmt.Sprintf("tandem.reject(%s, %s, %s)", ident.Literal(s.Definition.Name()), ident.Literal(from.String()), ident.Literal(to.String()))
	}
	return fmt.Sprintf("CREATE OR REPLACE TRIGGER %s %s ON %s FOR EACH ROW\n  WHEN (%s)\n  EXECUTE FUNCTION %s",
		ident.Quote(Triggers(s.Definition)[i]), event, s.table(), when, call)
}
