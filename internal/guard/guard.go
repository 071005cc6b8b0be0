// Package guard builds the triggers that keep rows right when somebody writes around the wrappers. It is pure: it returns SQL text.
//
// Repair is in force from Expand to Switch. A write of the pair without a new stamp (a stray) is brought into step in the
// same transaction where SQL can convert; where only Go can, the stamp becomes NULL and the key goes to tandem.dirty; and a stray
// that wrote only new is carried back to old, or refused with SQLSTATE TD002 if it would be lost.
//
// Reject is in force in Contract: every write of the pair needs a new stamp of phase Switch or Contract, else SQLSTATE TD001.
// Reverse is reject narrowed to Switch: the way back from Contract, until old is whole again.
//
// In both a write of new by a foreign key (ON DELETE SET NULL, ON UPDATE CASCADE) or by a trigger passes, where such a foreign key exists: in Contract
// it gets a stamp of Contract, on the way back it is carried to old.
//
// A column that moves to another table has a guard of its own kind, on both: see move.go.
// So has a replaced table: see Mirror.
//
// A write by the wrappers costs one WHEN clause up to Switch, and two from Contract on. Installing takes SHARE ROW EXCLUSIVE: it waits for writers and blocks no
// reader; ACCESS EXCLUSIVE where Repair follows another mode, whose triggers go.
package guard

import (
	"fmt"
	"slices"
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
	Triggered   bool            // BEFORE UPDATE too: the second write would run the application's own triggers again, as the guard's owner, and be a statement of its own to a deferrable constraint
	Acted       bool            // a foreign key may write the pair by itself
	Loose       map[string]bool // columns whose = may call two different values equal (numeric, float, json, citext, ...)
}

// Trigger is one trigger of the guard, and how it is recognised.
type Trigger struct {
	Table    ident.Table
	Name     string
	Function string   // in schema tandem
	Args     []string // of the function
	Event    string
	When     string
	Deferred bool // a constraint trigger that fires at the end of the transaction
	Whole    bool // FOR EACH STATEMENT
}

// The guard's triggers and functions, as indexes into Names and Functions.
const (
	onInsert = iota
	onUpdate
	onAction
	onWrite
)

// Functions are the names, inside schema tandem, of the functions made for a pair.
func Functions(d pair.Definition) []string {
	if d.Replaces() {
		return mirrorFunctions(d.Name())
	}
	if d.Moved() {
		return movedFunctions(d)
	}
	base := d.Table.SQL() + "." + ident.Quote(d.New[0]) // quoted, or a dot in a name would make two pairs one
	return []string{ident.Derive("guard ", base, " insert"), ident.Derive("guard ", base, " update"), ident.Derive("guard ", base, " action")}
}

// Names are those that triggers of the guard may have; the prefix makes them fire after the application's own. The one for foreign keys fires
// before those that judge updates, also where the name is cut.
func Names(d pair.Definition) []string {
	if d.Replaces() {
		return mirrorNames(d.Into.Name)
	}
	if d.Moved() {
		return movedNames(d)
	}
	update := ident.Derive("zz_tandem_", d.New[0], "_update")
	base := strings.TrimSuffix(update, "_update")
	return []string{ident.Derive("zz_tandem_", d.New[0], "_insert"), update, base + "_action", base + "_writes"}
}

// Triggers are those in force in a mode.
func Triggers(s Spec, mode Mode) []Trigger {
	if s.Definition.Moved() {
		return s.movedTriggers(mode)
	}
	out := []Trigger{s.insertTrigger(mode), s.updateTrigger(mode)}
	if mode != Repair {
		out = append(out, s.writeTrigger(mode))
	}
	if s.lets(mode) {
		out = append(out, s.actionTrigger(mode))
	}
	return out
}

// lets tells whether a mode that rejects lets foreign keys write. On the way back SQL must be able to carry what they write to old.
func (s Spec) lets(mode Mode) bool {
	return s.Acted && (mode == Reject || mode == Reverse && s.Definition.HasBackward())
}

// Install returns the statements that put mode in force, whichever was before. They belong in one transaction.
func Install(s Spec, mode Mode) []string {
	if s.Definition.Moved() {
		return s.movedInstall(mode)
	}
	var out []string
	triggers := Triggers(s, mode)
	switch {
	case mode == Repair:
		out = append(out, s.insertFunction(), s.updateFunction())
	case s.lets(mode):
		out = append(out, s.actionFunction(mode))
	}
	for _, t := range triggers {
		out = append(out, s.create(t))
	}
	for _, t := range triggers {
		// replica-role writers (logical replication) are writers like any other
		out = append(out, "ALTER TABLE "+s.table()+" ENABLE ALWAYS TRIGGER "+ident.Quote(t.Name))
	}
	if !s.lets(mode) { // the mode before may have
		out = append(out, s.drop(onAction))
	}
	if mode == Repair {
		out = append(out, s.drop(onWrite))
	}
	return out
}

// Remove returns the statements that take the guard away; DROP TRIGGER takes ACCESS EXCLUSIVE.
func Remove(d pair.Definition) []string {
	var out []string
	if d.Moved() {
		out = Spec{Definition: d}.movedDrops(func(string) bool { return true })
	} else {
		for i := range Names(d) {
			out = append(out, Spec{Definition: d}.drop(i))
		}
	}
	for _, name := range Functions(d) {
		out = append(out, "DROP FUNCTION IF EXISTS tandem."+ident.Quote(name)+"()")
	}
	return out
}

func (s Spec) drop(i int) string {
	return "DROP TRIGGER IF EXISTS " + ident.Quote(Names(s.Definition)[i]) + " ON " + s.table()
}

// before: and where no key finds the row again.
func (s Spec) before() bool { return s.Partitioned || s.Triggered || s.Definition.Keyless() }

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

// span is for stamps of phase from..to, after a stamp and perhaps NOT. Of a NULL stamp either is NULL.
func span(from, to phase.Phase) string {
	return fmt.Sprintf("BETWEEN %d AND %d", from.Floor(), (to+1).Floor()-1)
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

func (s Spec) insertTrigger(mode Mode) Trigger {
	from, to := mode.Admits()
	if mode != Repair && s.Partitioned {
		// A row that moves to another partition is inserted there with the stamp it has, perhaps an old one; stamped, it is right.
		from = phase.Expand
	}
	// IS NOT TRUE, because with NOT BETWEEN a NULL stamp slips through.
	when := fmt.Sprintf("(%s %s) IS NOT TRUE", s.stamp("NEW."), span(from, to))
	return s.trigger(onInsert, "BEFORE INSERT", when, mode)
}

func (s Spec) updateTrigger(mode Mode) Trigger {
	from, to := mode.Admits()
	d := s.Definition
	newStamp, oldStamp := s.stamp("NEW."), s.stamp("OLD.")
	bad := fmt.Sprintf("(%s %s) IS NOT TRUE", newStamp, span(from, to))
	if mode == Repair {
		bad = newStamp + " NOT " + span(from, to) // NULL hands the row to the reader's rule: it may be written
	}
	// PostgreSQL prepares a WHEN anew for each statement, and for one row that costs more than to evaluate it: what counts is how few comparisons
	// are in it. A good write of the pair brings a new stamp, and is done with the first branch.
	when := fmt.Sprintf("CASE WHEN %s IS DISTINCT FROM %s THEN %s ELSE %s OR %s END",
		newStamp, oldStamp, bad, s.differ(d.Old), s.differ(d.New))
	return s.trigger(onUpdate, map[bool]string{false: "AFTER UPDATE", true: "BEFORE UPDATE"}[s.before()], when, mode)
}

// writeTrigger judges by what a statement writes, where updateTrigger judges by what has changed: whoever writes to old the value that it has
// already, while new has another, would be told that his value is there. The stamp is what a write of the pair must bring.
func (s Spec) writeTrigger(mode Mode) Trigger {
	d := s.Definition
	event := "AFTER UPDATE OF "
	if s.Partitioned {
		event = "BEFORE UPDATE OF "
	}
	when := s.stamp("NEW.") + " IS NOT DISTINCT FROM " + s.stamp("OLD.")
	return s.trigger(onWrite, event+ident.List("", append(slices.Clone(d.Old), d.New...)), when, mode)
}

// actionTrigger lets pass what reject would refuse: inside another trigger, which a foreign key's action is, new changed and nothing else of the pair. It fires
// BEFORE, so the update trigger sees the stamp that it sets.
func (s Spec) actionTrigger(mode Mode) Trigger {
	d := s.Definition
	when := fmt.Sprintf("pg_trigger_depth() > 0 AND (%s) AND NOT (%s) AND %s IS NOT DISTINCT FROM %s",
		s.differ(d.New), s.differ(d.Old), s.stamp("NEW."), s.stamp("OLD."))
	t := s.trigger(onAction, "BEFORE UPDATE", when, mode)
	t.Function, t.Args = Functions(d)[onAction], nil
	return t
}

func (s Spec) trigger(i int, event, when string, mode Mode) Trigger {
	t := Trigger{Table: s.Definition.Table, Name: Names(s.Definition)[i], Event: event, When: when}
	if mode == Repair {
		t.Function = Functions(s.Definition)[i]
		return t
	}
	from, to := mode.Admits()
	t.Function, t.Args = "reject", []string{s.Definition.Name(), from.String(), to.String()}
	return t
}

func (s Spec) create(t Trigger) string {
	var args []string
	for _, a := range t.Args {
		args = append(args, ident.Literal(a))
	}
	when := ""
	if t.When != "" {
		when = "\n  WHEN (" + t.When + ")"
	}
	head, deferred := "CREATE OR REPLACE TRIGGER ", ""
	if t.Deferred {
		head, deferred = "CREATE CONSTRAINT TRIGGER ", " DEFERRABLE INITIALLY DEFERRED"
	}
	each := map[bool]string{false: "ROW", true: "STATEMENT"}[t.Whole]
	return fmt.Sprintf("%s%s %s ON %s%s FOR EACH %s%s\n  EXECUTE FUNCTION tandem.%s(%s)",
		head, ident.Quote(t.Name), t.Event, t.Table.SQL(), deferred, each, when, ident.Quote(t.Function), strings.Join(args, ", "))
}
