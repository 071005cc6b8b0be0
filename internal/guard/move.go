package guard

import (
	"fmt"
	"strings"

	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pair"
	"github.com/tandem-go/tandem/internal/phase"
)

// The guard of a pair whose new column is in another table (To). Up to Switch everybody writes old alone, the wrappers too, and the triggers write new in the same
// transaction: to them wrapper and stray are one. From Contract on old is refused, and new wants a stamp.
//
// Two things hold at every commit. J: a row of To with a stamp of before Contract has forward of old. L: of a row of Table without a row of To, or with an unstamped one,
// old is the truth. A row of To is written only with the lock of its row of Table held, which is taken first; but for whoever comes by way of To.
//
// The row of To is made at the end of the transaction, so that an application which inserts both rows in one transaction goes on doing so. The triggers that
// do it are the same in all modes, because a constraint trigger cannot be replaced, and dropping one takes ACCESS EXCLUSIVE.

// The functions of a moved pair, as indexes into Functions.
const (
	onOld = iota // triggers of Table
	onNew        // triggers of To
	onRow        // makes the row of To
)

func movedFunctions(d pair.Definition) []string {
	base := d.To.SQL() + "." + ident.Quote(d.New[0])
	return []string{ident.Derive("guard ", base, " old"), ident.Derive("guard ", base, " new"), ident.Derive("guard ", base, " row")}
}

// Two pairs of a table may move to columns of one name: on Table the name of To is part of the trigger's.
func oldTrigger(d pair.Definition, suffix string) string {
	return ident.Derive("zz_tandem_", d.To.Name+"."+d.New[0], suffix)
}

func newTrigger(d pair.Definition, suffix string) string {
	return ident.Derive("zz_tandem_", d.New[0], suffix)
}

// movedNames are all names that its triggers may have.
func movedNames(d pair.Definition) []string {
	var out []string
	for _, suffix := range []string{"_insert", "_update", "_writes", "_delete", "_row", "_row_update"} {
		out = append(out, oldTrigger(d, suffix))
	}
	for _, suffix := range []string{"_insert", "_carry", "_update", "_writes", "_delete", "_truncate", "_row"} {
		out = append(out, newTrigger(d, suffix))
	}
	return out
}

// oldNames is how many of movedNames are on Table.
const oldNames = 6

// movedTriggers are those in force in a mode.
func (s Spec) movedTriggers(mode Mode) []Trigger {
	out := append(s.oldTriggers(mode), s.newTriggers(mode)...)
	from, to := mode.Admits()
	for i := range out {
		t := &out[i]
		switch {
		case t.Deferred:
			t.Function = Functions(s.Definition)[onRow]
		case t.Table == s.Definition.Table:
			t.Function, t.Args = Functions(s.Definition)[onOld], []string{string(mode)}
		default:
			t.Function, t.Args = Functions(s.Definition)[onNew], []string{string(mode), from.String(), to.String()}
		}
	}
	return append(out, s.rowTriggers()...)
}

// oldTriggers watch Table.
func (s Spec) oldTriggers(mode Mode) []Trigger {
	d := s.Definition
	on := func(suffix, event, when string) Trigger {
		return Trigger{Table: d.Table, Name: oldTrigger(d, suffix), Event: event, When: when}
	}
	insert := on("_insert", "AFTER INSERT", "")
	if mode == Reject {
		insert.When = "NEW." + ident.Quote(d.Old[0]) + " IS NOT NULL" // what leaves old out knows of new, or writes NULL to both
	}
	out := []Trigger{insert, on("_update", "AFTER UPDATE", s.differ(d.Old)+" OR "+distinctKey(d.Key)), on("_delete", "AFTER DELETE", "")}
	if mode != Repair { // old may be stale: whoever writes the value that it has already means it
		out = append(out, on("_writes", "AFTER UPDATE OF "+ident.List("", d.Old), "NOT ("+s.differ(d.Old)+")"))
	}
	return out
}

// newTriggers watch To.
func (s Spec) newTriggers(mode Mode) []Trigger {
	d := s.Definition
	on := func(suffix, event, when string) Trigger {
		return Trigger{Table: d.To, Name: newTrigger(d, suffix), Event: event, When: when}
	}
	from, to := mode.Admits()
	newStamp, oldStamp := s.stamp("NEW."), s.stamp("OLD.")
	unfit := fmt.Sprintf("(%s %s) IS NOT TRUE", newStamp, span(from, to))
	bad := unfit
	if mode == Repair {
		bad = newStamp + " NOT " + span(from, to) // NULL hands the row to the reader's rule
	}
	out := []Trigger{
		on("_insert", "BEFORE INSERT", unfit),
		on("_update", "AFTER UPDATE", fmt.Sprintf("CASE WHEN %s IS DISTINCT FROM %s THEN %s ELSE %s END OR %s",
			newStamp, oldStamp, bad, s.differ(d.New), distinctKey(d.ToKey))),
	}
	switch mode {
	case Repair:
		out = append(out, on("_carry", "AFTER INSERT", fmt.Sprintf("%s IS NULL AND NEW.%s IS NOT NULL", newStamp, ident.Quote(d.New[0]))))
	case Reject:
		out = append(out, on("_delete", "AFTER DELETE", ""))
	case Reverse: // of a row of before the swap, old is right
		out = append(out, on("_delete", "AFTER DELETE", fmt.Sprintf("%s >= %d", oldStamp, phase.Contract.Floor())))
	}
	if mode != Repair {
		truncate := on("_truncate", "AFTER TRUNCATE", "")
		truncate.Whole = true
		out = append(out, truncate, on("_writes", "AFTER UPDATE OF "+ident.List("", d.New), newStamp+" IS NOT DISTINCT FROM "+oldStamp))
	}
	return out
}

// rowTriggers make the row of To that lacks at the end of a transaction.
func (s Spec) rowTriggers() []Trigger {
	d := s.Definition
	f := Functions(d)[onRow]
	return []Trigger{
		{Table: d.Table, Name: oldTrigger(d, "_row"), Event: "AFTER INSERT", Deferred: true, Function: f},
		{Table: d.Table, Name: oldTrigger(d, "_row_update"), Event: "AFTER UPDATE", When: s.differ(d.Old), Deferred: true, Function: f},
		{Table: d.To, Name: newTrigger(d, "_row"), Event: "AFTER DELETE", Deferred: true, Function: f},
	}
}

// movedInstall is Install. Where Repair is installed, over whatever was before, it takes ACCESS EXCLUSIVE if there was something.
func (s Spec) movedInstall(mode Mode) []string {
	var out []string
	if mode == Repair {
		out = append(out, s.oldFunction(), s.newFunction(), s.rowFunction())
	}
	enable := []string{}
	in := map[string]bool{}
	for _, t := range Triggers(s, mode) {
		in[t.Name] = true
		if t.Deferred && mode != Repair {
			continue
		}
		if t.Deferred {
			out = append(out, "DROP TRIGGER IF EXISTS "+ident.Quote(t.Name)+" ON "+t.Table.SQL())
		}
		out = append(out, s.create(t))
		// replica-role writers (logical replication) are writers like any other
		enable = append(enable, "ALTER TABLE "+t.Table.SQL()+" ENABLE ALWAYS TRIGGER "+ident.Quote(t.Name))
	}
	out = append(out, enable...)
	if mode == Repair {
		out = append(out, s.movedDrops(func(name string) bool { return !in[name] })...)
	}
	return out
}

// movedDrops drops the triggers of the names that are asked for.
func (s Spec) movedDrops(which func(name string) bool) []string {
	var out []string
	for i, name := range movedNames(s.Definition) {
		table := s.Definition.Table
		if i >= oldNames {
			table = s.Definition.To
		}
		if which(name) {
			out = append(out, "DROP TRIGGER IF EXISTS "+ident.Quote(name)+" ON "+table.SQL())
		}
	}
	return out
}

// steady is a stamp of Switch, which every mode admits. It is never the one that the row of To, called p, has.
func (s Spec) steady() string {
	return fmt.Sprintf("%d + ((coalesce(%s, 0) + 1 + (random() * 16000000)::int4) & 16777215)", phase.Switch.Floor(), s.stamp("p."))
}

// oldFunction carries a write of old to the row of To, or refuses it.
func (s Spec) oldFunction() string {
	d := s.Definition
	to, n := d.To.SQL(), ident.Quote(d.New[0])
	var b strings.Builder
	fmt.Fprintf(&b, "  IF TG_OP = 'DELETE' THEN -- unstamped, what is left of it means nothing to the next row of that key\n"+
		"    UPDATE %s AS p SET %s = NULL, %s = NULL WHERE %s AND %s IS NOT NULL;\n    RETURN OLD;\n  END IF;\n",
		to, n, s.stamp(""), joined("p.", d.ToKey, "OLD.", d.Key), s.stamp("p."))
	fmt.Fprintf(&b, "  IF TG_OP = 'UPDATE' THEN\n    IF %s THEN\n      %s\n    END IF;\n  END IF;\n", distinctKey(d.Key), s.raiseKey())
	fmt.Fprintf(&b, "  IF TG_ARGV[0] = '%s' THEN\n    IF TG_OP = 'UPDATE' AND NEW.%s IS NULL AND pg_trigger_depth() > 1 AND NOT EXISTS (SELECT FROM %s AS p WHERE %s) THEN\n"+
		"      RETURN NEW; -- the row of To has been deleted\n    END IF;\n    %s\n  END IF;\n",
		Reject, ident.Quote(d.Old[0]), to, joined("p.", d.ToKey, "NEW.", d.Key), s.raiseOver())
	// from the row's present value: a trigger of the application may have written it again before this one fires
	fmt.Fprintf(&b, "  UPDATE %s AS p SET %s = %s, %s = %s FROM %s AS t WHERE %s AND %s;\n  RETURN NEW;\n",
		to, n, d.ForwardSQL("t.")[0], s.stamp(""), s.steady(), d.Table.SQL(), joined("t.", d.Key, "NEW.", d.Key), d.Joined("p.", "t."))
	return s.function(onOld, "", b.String())
}

// newFunction judges what is written to To by others than the guard and the backfill.
func (s Spec) newFunction() string {
	d := s.Definition
	n := ident.Quote(d.New[0])
	var b strings.Builder
	fmt.Fprintf(&b, "  IF TG_OP = 'TRUNCATE' THEN\n    UPDATE %s AS t SET %s = NULL WHERE t.%s IS NOT NULL;\n    RETURN NULL;\n  END IF;\n",
		d.Table.SQL(), ident.Quote(d.Old[0]), ident.Quote(d.Old[0]))
	fmt.Fprintf(&b, "  IF TG_OP = 'DELETE' THEN -- old is stale and would be the truth again\n"+
		"    UPDATE %s AS t SET %s = NULL WHERE %s AND %s IS NOT NULL;\n    RETURN OLD;\n  END IF;\n",
		d.Table.SQL(), ident.Quote(d.Old[0]), joined("t.", d.Key, "OLD.", d.ToKey), "t."+ident.Quote(d.Old[0]))
	fmt.Fprintf(&b, "  IF TG_OP = 'UPDATE' THEN\n    IF %s THEN\n      %s\n    END IF;\n", distinctKey(d.ToKey), s.raiseKey())
	fmt.Fprintf(&b, "    IF %s IS DISTINCT FROM %s THEN\n      IF %s IS NULL AND NOT EXISTS (SELECT FROM %s AS t WHERE %s) THEN\n        RETURN NEW; -- the row of Table has been deleted\n      END IF;\n      %s\n    END IF;\n  END IF;\n",
		s.stamp("NEW."), s.stamp("OLD."), s.stamp("NEW."), d.Table.SQL(), joined("t.", d.Key, "NEW.", d.ToKey), s.raiseStamp())
	fmt.Fprintf(&b, "  IF TG_OP = 'INSERT' AND TG_WHEN = 'BEFORE' THEN\n    IF %s IS NOT NULL THEN\n      %s\n    END IF;\n", s.stamp("NEW."), s.raiseStamp())
	fmt.Fprintf(&b, "    IF NEW.%s IS NULL THEN -- made by somebody who does not know the column\n"+
		"      SELECT %s, %s INTO NEW.%s, NEW.%s FROM %s AS t WHERE %s FOR SHARE;\n      RETURN NEW;\n    END IF;\n  END IF;\n",
		n, d.ForwardSQL("t.")[0], stampOf(phase.Switch), n, s.stamp(""), d.Table.SQL(), joined("t.", d.Key, "NEW.", d.ToKey))
	fmt.Fprintf(&b, "  IF TG_ARGV[0] <> '%s' THEN\n    %s\n  END IF;\n  PERFORM tandem.record_stray(%s, lower(TG_OP));\n", Repair, s.raiseStamp(), ident.Literal(d.Name()))
	// the row of Table is locked before there is a row of To
	fmt.Fprintf(&b, "  IF TG_OP = 'INSERT' AND TG_WHEN = 'BEFORE' THEN\n    SELECT %s INTO tandem_want FROM %s AS t WHERE %s FOR NO KEY UPDATE;\n"+
		"    IF FOUND AND NOT (%s) THEN\n      %s := %s;\n    END IF;\n    RETURN NEW;\n  END IF;\n",
		d.ForwardSQL("t.")[0], d.Table.SQL(), joined("t.", d.Key, "NEW.", d.ToKey), s.distinct(d.New[0], "NEW."+n, "tandem_want"), s.stamp("NEW."), stampOf(phase.Switch))
	b.WriteString(s.carry())
	b.WriteString("  RETURN NEW;\n")
	declare := fmt.Sprintf("DECLARE\n  tandem_want %s.%s.%s%%TYPE := NULL;\n  tandem_back %s.%s.%s%%TYPE := NULL;\n",
		quoted(d.To.Schema), quoted(d.To.Name), quoted(d.New[0]), quoted(d.Table.Schema), quoted(d.Table.Name), quoted(d.Old[0]))
	return s.function(onNew, declare, b.String())
}

// carry brings a new value to old, from where the guard of Table brings it to new again, with a stamp.
func (s Spec) carry() string {
	d := s.Definition
	if !d.HasBackward() {
		return "  " + s.raiseLoss("a program") + "\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "  tandem_back := %s;\n", d.BackwardSQL("NEW.")[0])
	if !d.Identity() {
		fmt.Fprintf(&b, "  tandem_want := %s;\n  IF %s THEN\n    %s\n  END IF;\n", d.ForwardOf([]string{"tandem_back"})[0],
			s.distinct(d.New[0], "NEW."+ident.Quote(d.New[0]), "tandem_want"), s.raiseLoss("a program"))
	}
	fmt.Fprintf(&b, "  UPDATE %s AS t SET %s = tandem_back WHERE %s;\n  IF NOT FOUND THEN\n    %s\n  END IF;\n",
		d.Table.SQL(), ident.Quote(d.Old[0]), joined("t.", d.Key, "NEW.", d.ToKey), s.raiseLoss("a program"))
	return b.String()
}

// rowFunction gives a row of Table its stamped row of To, if both are as they were at the end of the transaction. Under REPEATABLE READ a row of To that the
// transaction cannot see is a serialization failure: ON CONFLICT says so.
func (s Spec) rowFunction() string {
	d := s.Definition
	n := ident.Quote(d.New[0])
	insert := func(row string, key []string) string {
		return fmt.Sprintf("    IF NOT EXISTS (SELECT FROM %s AS p WHERE %s AND %s IS NOT NULL) THEN\n"+
			"      INSERT INTO %s AS p (%s, %s, %s) SELECT %s, %s, %s FROM %s AS t WHERE %s FOR SHARE\n"+
			"      ON CONFLICT (%s) DO UPDATE SET %s = EXCLUDED.%s, %s = EXCLUDED.%s WHERE %s IS NULL;\n    END IF;\n",
			d.To.SQL(), joined("p.", d.ToKey, row, key), s.stamp("p."),
			d.To.SQL(), ident.List("", d.ToKey), n, s.stamp(""), ident.List("t.", d.Key), d.ForwardSQL("t.")[0], stampOf(phase.Switch), d.Table.SQL(), joined("t.", d.Key, row, key),
			ident.List("", d.ToKey), n, n, s.stamp(""), s.stamp(""), s.stamp("p."))
	}
	body := "  IF TG_OP = 'DELETE' THEN\n" + insert("OLD.", d.ToKey) + "  ELSE\n" + insert("NEW.", d.Key) + "  END IF;\n  RETURN NULL;\n"
	return s.function(onRow, "", body)
}

// joined says that two lists of key columns are equal.
func joined(a string, left []string, b string, right []string) string {
	terms := make([]string, len(left))
	for i := range left {
		terms[i] = a + ident.Quote(left[i]) + " = " + b + ident.Quote(right[i])
	}
	return strings.Join(terms, " AND ")
}

func distinctKey(key []string) string {
	terms := make([]string, len(key))
	for i, k := range key {
		terms[i] = fmt.Sprintf("NEW.%s IS DISTINCT FROM OLD.%s", ident.Quote(k), ident.Quote(k))
	}
	return strings.Join(terms, " OR ")
}

func (s Spec) raiseKey() string {
	return s.raise("TD002", "the key of a row cannot change while a column moves to another table", "Change it before or after the migration.")
}

func (s Spec) raiseOver() string {
	d := s.Definition
	return s.raise("TD001", d.Table.String()+"."+ident.Quote(d.Old[0])+" is not written any more", "Read the phase again and retry; a program that does not use the wrappers must be changed or stopped.")
}

// raiseStamp says which stamps the mode of the trigger admits.
func (s Spec) raiseStamp() string {
	return fmt.Sprintf("RAISE EXCEPTION USING ERRCODE = 'TD001', MESSAGE = format(%s, TG_ARGV[1], TG_ARGV[2]), HINT = %s;",
		ident.Literal(strings.ReplaceAll(s.Definition.Name(), "%", "%%")+": the migration admits only writes with a new stamp of phase %s to %s"),
		ident.Literal("Read the phase again and retry; a program that does not use the wrappers must be changed or stopped."))
}
