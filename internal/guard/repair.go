package guard

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/phase"
)

// fresh is a stamp of repair in SQL. Expand: of all phases that repair admits it says least about who may read what.
func fresh() string { return stampOf(phase.Expand) }

func stampOf(p phase.Phase) string {
	return fmt.Sprintf("%d + (random() * 16777215)::int4", p.Floor())
}

// insertFunction repairs an INSERT without a stamp. It runs BEFORE, so it sets the row itself.
func (s Spec) insertFunction() string {
	d := s.Definition
	var declare, b strings.Builder
	fmt.Fprintf(&b, "  IF %s IS NOT NULL THEN\n    %s\n  END IF;\n", s.stamp("NEW."), s.raiseStale())
	fmt.Fprintf(&b, "  PERFORM tandem.record_stray(%s, 'insert');\n", ident.Literal(d.Name()))
	stamped := s.stamp("NEW.") + " := " + fresh() + ";"
	fmt.Fprintf(&b, "  IF %s THEN\n", allNull("NEW.", d.New))
	if d.HasForward() {
		fmt.Fprintf(&b, "    %s %s\n", assign(d.New, d.ForwardSQL("NEW.")), stamped)
	} else {
		fmt.Fprintf(&b, "    %s\n", s.insertDirty())
	}
	b.WriteString("    RETURN NEW;\n  END IF;\n")
	if d.HasForward() {
		declare.WriteString(s.variables("want", d.New))
		fmt.Fprintf(&b, "  %s\n  IF NOT (%s) THEN\n    %s\n    RETURN NEW;\n  END IF;\n", s.setWant(), s.newDiffers(), stamped)
	}
	if d.HasBackward() {
		declare.WriteString(s.variables("omitted", d.Old))
		fmt.Fprintf(&b, "%s  IF %s THEN\n    %s %s\n%s    RETURN NEW;\n  END IF;\n",
			s.setOmitted(), s.oldOmitted(), assign(d.Old, d.BackwardSQL("NEW.")), stamped, s.refuseLossy("INSERT"))
	}
	fmt.Fprintf(&b, "  %s\n", s.raiseLoss("INSERT"))
	text := declare.String()
	if text != "" {
		text = "DECLARE\n" + text
	}
	return s.function(onInsert, text, b.String())
}

// updateFunction repairs an UPDATE of the pair that left the stamp alone. On a plain table it runs AFTER and writes the row once more,
// from the row's present values; on a partitioned table and beside triggers of the application BEFORE.
func (s Spec) updateFunction() string {
	d := s.Definition
	var b strings.Builder
	fmt.Fprintf(&b, "  IF %s IS DISTINCT FROM %s THEN\n    %s\n  END IF;\n", s.stamp("NEW."), s.stamp("OLD."), s.raiseStale())
	fmt.Fprintf(&b, "  PERFORM tandem.record_stray(%s, 'update');\n", ident.Literal(d.Name()))
	declare := fmt.Sprintf("DECLARE\n  old_changed boolean := %s;\n  new_changed boolean := %s;\n",
		s.differ(d.Old), s.differ(d.New))
	// both written and not in step: which one was meant cannot be known
	b.WriteString("  IF old_changed AND new_changed THEN\n")
	if d.HasForward() {
		declare += s.variables("want", d.New)
		fmt.Fprintf(&b, "    %s\n    IF %s THEN\n      %s\n    END IF;\n", s.setWant(), s.newDiffers(), s.raiseLoss("UPDATE"))
	} else {
		fmt.Fprintf(&b, "    %s\n", s.raiseLoss("UPDATE"))
	}
	b.WriteString("  END IF;\n  IF old_changed THEN\n")
	if d.HasForward() {
		fmt.Fprintf(&b, "    %s\n", s.rewrite(d.New, d.ForwardSQL))
	} else {
		fmt.Fprintf(&b, "    %s\n    %s\n", s.unstamp(), s.insertDirty())
	}
	b.WriteString("  ELSE\n")
	if d.HasBackward() {
		if d.IsSet() {
			fmt.Fprintf(&b, "    IF %s IS NULL THEN\n      %s\n    END IF;\n", s.stamp("OLD."), s.refuseHalf())
		}
		if text := s.refuseLossy("UPDATE"); text != "" {
			fmt.Fprintf(&b, "    %s\n%s", assign(d.Old, d.BackwardSQL("NEW.")), text)
		}
		fmt.Fprintf(&b, "    %s\n", s.rewrite(d.Old, d.BackwardSQL))
	} else {
		fmt.Fprintf(&b, "    %s\n", s.raiseLoss("UPDATE"))
	}
	b.WriteString("  END IF;\n  RETURN NEW;\n")
	return s.function(onUpdate, declare, b.String())
}

// actionFunction brings the row of a foreign key's action into a state that the mode admits. In Contract new is the truth, and old may be stale.
func (s Spec) actionFunction(mode Mode) string {
	d := s.Definition
	_, to := mode.Admits()
	body := "  " + s.stamp("NEW.") + " := " + stampOf(to) + ";\n"
	if mode == Reverse {
		body = "  " + assign(d.Old, d.BackwardSQL("NEW.")) + "\n" + body
	}
	return s.function(onAction, "", body+"  RETURN NEW;\n")
}

// refuseLossy raises where forward does not lead back to the new value: old, which NEW has been given, cannot hold it.
func (s Spec) refuseLossy(operation string) string {
	if s.Definition.Identity() || !s.Definition.HasForward() {
		return ""
	}
	return fmt.Sprintf("    %s\n    IF %s THEN\n      %s\n    END IF;\n", s.setWant(), s.newDiffers(), s.raiseLoss(operation))
}

// refuseHalf raises where a stray has written some columns of a row that has no stamp: what the others are only old knows, and it would be made of them.
func (s Spec) refuseHalf() string {
	var terms []string
	for i, c := range s.Definition.New {
		unchanged := "NOT (" + s.differ([]string{c}) + ")"
		if s.Definition.HasForward() {
			unchanged += " AND (" + s.distinct(c, "NEW."+ident.Quote(c), fmt.Sprintf("want_%d", i+1)) + ")"
		}
		terms = append(terms, unchanged)
	}
	text := fmt.Sprintf("IF %s THEN\n        %s\n      END IF;", strings.Join(terms, " OR "), s.raiseLoss("UPDATE"))
	if s.Definition.HasForward() {
		text = s.setWant() + "\n      " + text
	}
	return text
}

// rewrite sets the target columns from the others, with a fresh stamp.
func (s Spec) rewrite(targets []string, expr func(prefix string) []string) string {
	if s.before() {
		return assign(targets, expr("NEW.")) + " " + s.stamp("NEW.") + " := " + fresh() + ";"
	}
	sets := make([]string, 0, len(targets)+1)
	for i, e := range expr("t.") {
		sets = append(sets, ident.Quote(targets[i])+" = "+e)
	}
	sets = append(sets, s.stamp("")+" = "+fresh())
	// not found: row security that binds the function's owner too
	return fmt.Sprintf("UPDATE %s AS t SET %s WHERE %s;\n    IF NOT FOUND THEN\n      %s\n    END IF;",
		s.table(), strings.Join(sets, ", "), s.sameKey(), s.raiseLoss("UPDATE"))
}

func (s Spec) unstamp() string {
	// NULL in new too: whoever then writes just the outdated value to new is seen, and if the row moves, the insert trigger of its next partition
	// does not take it for a stray's
	if s.before() {
		return assign(s.Definition.New, slices.Repeat([]string{"NULL"}, len(s.Definition.New))) + " " + s.stamp("NEW.") + " := NULL;"
	}
	return fmt.Sprintf("UPDATE %s AS t SET %s = NULL WHERE %s AND %s IS NOT NULL;", s.table(),
		strings.Join(append(ident.QuoteAll("", s.Definition.New), s.stamp("")), " = NULL, "), s.sameKey(), s.stamp("t."))
}

func (s Spec) sameKey() string {
	var terms []string
	for _, k := range s.Definition.Key {
		terms = append(terms, "t."+ident.Quote(k)+" = NEW."+ident.Quote(k))
	}
	return strings.Join(terms, " AND ")
}

func (s Spec) insertDirty() string {
	d := s.Definition
	var key []string
	for _, k := range d.Key {
		key = append(key, "NEW."+ident.Quote(k)+"::text")
	}
	return fmt.Sprintf("INSERT INTO tandem.dirty (migration, key) VALUES (%s, ARRAY[%s]);", ident.Literal(d.Name()), strings.Join(key, ", "))
}

// variables declares word_1, word_2, ... of the columns' own types: an expression that is assigned to one is converted as it is when stored,
// and only then can the images be compared. They begin with the row's values, because a domain may refuse NULL.
func (s Spec) variables(word string, columns []string) string {
	var b strings.Builder
	for i, c := range columns {
		fmt.Fprintf(&b, "  %s_%d %s.%s.%s%%TYPE := NEW.%s;\n", word, i+1,
			quoted(s.Definition.Table.Schema), quoted(s.Definition.Table.Name), quoted(c), ident.Quote(c))
	}
	return b.String()
}

// quoted is for the place where PL/pgSQL has keywords of its own.
func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// setWant computes what the new columns of the row should be.
func (s Spec) setWant() string {
	var out []string
	for i, e := range s.Definition.ForwardSQL("NEW.") {
		out = append(out, fmt.Sprintf("want_%d := %s;", i+1, e))
	}
	return strings.Join(out, " ")
}

// newDiffers says that the new columns of the row are not forward of its old ones.
func (s Spec) newDiffers() string {
	var terms []string
	for i, c := range s.Definition.New {
		terms = append(terms, s.distinct(c, "NEW."+ident.Quote(c), fmt.Sprintf("want_%d", i+1)))
	}
	return strings.Join(terms, " OR ")
}

// setOmitted computes what an INSERT that leaves the old columns out gets. It asks for today's default, and inside the function,
// whose search_path makes PostgreSQL spell types and functions of the application with their schema.
func (s Spec) setOmitted() string {
	var b strings.Builder
	for i, c := range s.Definition.Old {
		fmt.Fprintf(&b, "  EXECUTE 'SELECT ' || coalesce((SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d JOIN pg_attribute a\n"+
			"    ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE d.adrelid = TG_RELID AND a.attname = %s), 'NULL') INTO omitted_%d;\n",
			ident.Literal(c), i+1)
	}
	return b.String()
}

// oldOmitted says that an INSERT seems to have left old out: it is NULL or its default.
func (s Spec) oldOmitted() string {
	var terms []string
	for i, c := range s.Definition.Old {
		row := "NEW." + ident.Quote(c)
		terms = append(terms, fmt.Sprintf("(%s IS NULL OR NOT (%s))", row, s.distinct(c, row, fmt.Sprintf("omitted_%d", i+1))))
	}
	return strings.Join(terms, " AND ")
}

func (s Spec) raiseStale() string {
	from, to := Repair.Admits()
	return s.raise("TD001", fmt.Sprintf("the migration admits stamps of phase %s to %s only", from, to),
		"Read the phase again and retry.")
}

func (s Spec) raiseLoss(operation string) string {
	return s.raise("TD002", operation+" wrote the pair without a stamp in a way that would lose a value",
		"Write through the wrappers, or write only "+ident.List("", s.Definition.Old)+".")
}

func (s Spec) raise(code, message, hint string) string {
	return fmt.Sprintf("RAISE EXCEPTION USING ERRCODE = '%s', MESSAGE = %s, HINT = %s;", code,
		ident.Literal(s.Definition.Name()+": "+message), ident.Literal(hint))
}

// function writes a SECURITY DEFINER function: the writer's role needs no right on schema tandem. The fixed search_path is
// what makes that safe; expressions of a pair therefore name the schema of the functions they call.
func (s Spec) function(i int, declare, body string) string {
	text := declare + "BEGIN\n" + body + "END "
	tag := "$tandem$"
	for n := 1; strings.Contains(text, tag); n++ { // a name may contain anything
		tag = fmt.Sprintf("$tandem%d$", n)
	}
	settings := ""
	if !s.Definition.HasForward() { // a key goes to tandem.dirty as text, which a writer may have in an order of days and months that the sweeper reads as another
		settings = " SET DateStyle = ISO"
	}
	if s.Definition.Moved() {
		// A session keeps the plan that it made while the other table was small: a scan of it for each row. By key is always right.
		settings = " SET enable_seqscan = off"
	}
	return fmt.Sprintf("CREATE OR REPLACE FUNCTION tandem.%s() RETURNS trigger LANGUAGE plpgsql\n"+
		"SECURITY DEFINER SET search_path = pg_catalog, pg_temp%s AS %s\n%s%s",
		ident.Quote(Functions(s.Definition)[i]), settings, tag, text, tag)
}

func assign(columns, exprs []string) string {
	var b strings.Builder
	for i, c := range columns {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "NEW.%s := %s;", ident.Quote(c), exprs[i])
	}
	return b.String()
}

func allNull(row string, columns []string) string {
	var terms []string
	for _, c := range columns {
		terms = append(terms, row+ident.Quote(c)+" IS NULL")
	}
	return strings.Join(terms, " AND ")
}
