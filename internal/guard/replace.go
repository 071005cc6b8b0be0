package guard

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tandem-go/tandem/internal/fragment"
	"github.com/tandem-go/tandem/internal/ident"
)

// The guard of a replaced table mirrors: after each write of a row of one table its trigger makes the other table's row what that row says, in the writer's own
// transaction. Up to Switch the old table is written and the new one mirrors it, in Contract it is the other way round. Whoever else writes the mirror is refused with TD001.
//
// The trigger reads the row again by its key instead of taking NEW: a trigger of the application's own may have changed it since, and a statement that moves keys may have
// given the key to another row.

// Setting names the migration whose mirror the present transaction may write. The guard's function sets it for itself, the backfill for its transaction.
const Setting = "tandem.mirror"

// Map says how the rows of one table become those of another.
type Map struct {
	From, To ident.Table
	FromKey  []string // unique in From
	ToKey    []string // unique in To
	Columns  []string // of To, those of ToKey among them
	Exprs    []string // of each, with {column} of From in braces
	Types    []string // of each, with its modifier
	Fixed    []string // of Columns, those that an UPDATE cannot set: GENERATED ALWAYS AS IDENTITY
}

// Mirror is a guard: Map from the table that is written to the one that follows.
type Mirror struct {
	Map
	Migration string
	Into      string // name of the new table in the definition, by which the triggers are called
	Back      *Map   // on the way back: the way forward, which the values must survive; nil: this is the way forward
	Exact     bool   // values survive both ways by their types
	Closed    bool   // no mirror, only a table that nobody may write
	Acted     bool   // foreign keys write To by themselves, as they do From
}

func mirrorNames(into string) []string {
	mirror := ident.Derive("zz_tandem_", into, "_mirror")
	base := strings.TrimSuffix(mirror, "_mirror")
	return []string{mirror, base + "_mirror_truncate", base + "_only", base + "_only_truncate"}
}

func mirrorFunctions(migration string) []string {
	return []string{ident.Derive("mirror ", migration, ""), ident.Derive("only ", migration, "")}
}

// MirrorTrigger is a trigger of a mirror, and where it is.
type MirrorTrigger struct {
	Name     string
	On       ident.Table
	Function string
	sql      string
}

// Triggers are those that are in force.
func (m Mirror) Triggers() []MirrorTrigger {
	names, functions := mirrorNames(m.Into), mirrorFunctions(m.Migration)
	others := fmt.Sprintf("current_setting('%s', true) IS DISTINCT FROM %s", Setting, ident.Literal(m.Migration))
	truncates := others
	if m.Acted {
		others += " AND pg_trigger_depth() = 0" // what a foreign key does here it does to From too
	}
	var out []MirrorTrigger
	add := func(i, function int, on ident.Table, event, level string) {
		out = append(out, MirrorTrigger{Name: names[i], On: on, Function: functions[function],
			sql: fmt.Sprintf("CREATE OR REPLACE TRIGGER %s %s ON %s %s EXECUTE FUNCTION tandem.%s()", ident.Quote(names[i]), event, on.SQL(), level, ident.Quote(functions[function]))})
	}
	if !m.Closed {
		add(0, 0, m.From, "AFTER INSERT OR UPDATE OR DELETE", "FOR EACH ROW")
		add(1, 0, m.From, "AFTER TRUNCATE", "FOR EACH STATEMENT")
	}
	add(2, 1, m.To, "AFTER INSERT OR UPDATE OR DELETE", "FOR EACH ROW WHEN ("+others+")")
	add(3, 1, m.To, "BEFORE TRUNCATE", "FOR EACH STATEMENT WHEN ("+truncates+")")
	return out
}

// Install returns the statements that put the mirror in force. They take SHARE ROW EXCLUSIVE on both tables.
func (m Mirror) Install() []string {
	functions := mirrorFunctions(m.Migration)
	out := []string{function(functions[1], m.refusal())}
	if !m.Closed {
		out = append(out, function(functions[0], m.Body()))
	}
	for _, t := range m.Triggers() {
		out = append(out, t.sql, "ALTER TABLE "+t.On.SQL()+" ENABLE ALWAYS TRIGGER "+ident.Quote(t.Name))
	}
	return out
}

// RemoveTriggers takes the mirror out of force; it takes ACCESS EXCLUSIVE on both tables.
func (m Mirror) RemoveTriggers() (out []string) {
	for i, name := range mirrorNames(m.Into) {
		on := m.From
		if i > 1 {
			on = m.To
		}
		out = append(out, "DROP TRIGGER IF EXISTS "+ident.Quote(name)+" ON "+on.SQL())
	}
	return out
}

// RemoveFunctions takes the functions away, when no trigger calls them any more.
func (m Mirror) RemoveFunctions() (out []string) {
	for _, name := range mirrorFunctions(m.Migration) {
		out = append(out, "DROP FUNCTION IF EXISTS tandem."+ident.Quote(name)+"()")
	}
	return out
}

func (m Mirror) refusal() string {
	return fmt.Sprintf("BEGIN\n  RAISE EXCEPTION USING ERRCODE = 'TD001', MESSAGE = %s, HINT = %s;\nEND ",
		ident.Literal(fmt.Sprintf("%s: %s mirrors %s in this phase, and only the guard writes it", m.Migration, m.To, m.From)),
		ident.Literal("Write "+m.From.String()+", or read the phase again and retry."))
}

// Body is the text of the function that mirrors. It sets Setting by a call, and back again: a SET of its own takes a superuser to create. What an error leaves set, the rollback
// sets back.
func (m Mirror) Body() string {
	set := func(value string) string { return fmt.Sprintf("PERFORM set_config('%s', %s, true)", Setting, value) }
	leave := set("coalesce(tandem_was, '')") + ";\n    RETURN NULL;\n"
	var b strings.Builder
	fmt.Fprintf(&b, "DECLARE\n  tandem_was text := current_setting('%s', true);\nBEGIN\n  %s;\n", Setting, set(ident.Literal(m.Migration)))
	b.WriteString("  IF TG_OP = 'TRUNCATE' THEN\n    TRUNCATE " + m.To.SQL() + ";\n    " + leave + "  END IF;\n")
	fmt.Fprintf(&b, "  IF TG_OP = 'DELETE' OR TG_OP = 'UPDATE' AND ROW(%s)::record *<> ROW(%s)::record THEN\n    %s;\n", m.keysOf("OLD."), m.keysOf("NEW."), m.deleteSQL())
	if m.Back == nil {
		b.WriteString(m.deleteUnseen())
	}
	b.WriteString("  END IF;\n  IF TG_OP = 'DELETE' THEN\n    " + leave + "  END IF;\n")
	if m.Back == nil {
		fmt.Fprintf(&b, "  %s\n    WHERE %s\n    ON CONFLICT (%s) DO UPDATE SET %s;\n", m.InsertSQL(), m.sameFrom("NEW."), ident.List("", m.ToKey), m.excluded())
	} else {
		fmt.Fprintf(&b, "  %s;\n  IF NOT FOUND THEN\n    %s\n      WHERE %s;\n  END IF;\n", m.updateSQL(), m.InsertSQL(), m.sameFrom("NEW."))
		b.WriteString(m.refuseLossy())
	}
	b.WriteString("    " + leave + "END ")
	return b.String()
}

// InsertSQL is the INSERT of rows of From, called t, without its WHERE.
func (m Map) InsertSQL() string {
	return fmt.Sprintf("INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM %s AS t", m.To.SQL(), ident.List("", m.Columns), strings.Join(m.On("t."), ", "), m.From.SQL())
}

// deleteSQL takes the row of OLD away, unless a row of From has that key now.
func (m Mirror) deleteSQL() string {
	return fmt.Sprintf("DELETE FROM %s AS i WHERE %s AND NOT EXISTS (SELECT FROM %s AS t WHERE %s AND ROW(%s)::record *= ROW(%s)::record)",
		m.To.SQL(), m.SameTo("i.", "OLD."), m.From.SQL(), m.sameFrom("OLD."), m.keyOf("t."), m.keyOf("OLD."))
}

// deleteUnseen is for a transaction that sees the tables as they were when it began: the backfill may have copied the row since, and a DELETE does not find what it does not
// see. An INSERT does, and fails with 40001. What the table would not take as a row is not there either.
func (m Mirror) deleteUnseen() string {
	return fmt.Sprintf("    IF NOT FOUND AND current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN\n      BEGIN\n"+
		"        INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE VALUES (%s) ON CONFLICT (%s) DO NOTHING;\n        %s;\n"+
		"      EXCEPTION WHEN integrity_constraint_violation OR data_exception THEN\n        NULL;\n      END;\n    END IF;\n",
		m.To.SQL(), ident.List("", m.Columns), strings.Join(m.On("OLD."), ", "), ident.List("", m.ToKey), m.deleteSQL())
}

// updateSQL writes the row of To that is of NEW's row, and not one that only shares its key in To: of two rows of From that become one the second is refused (23505).
func (m Mirror) updateSQL() string {
	var sets []string
	for i, e := range m.On("t.") {
		if c := m.Columns[i]; !slices.Contains(m.ToKey, c) && !slices.Contains(m.Fixed, c) {
			sets = append(sets, ident.Quote(c)+" = "+e)
		}
	}
	return fmt.Sprintf("UPDATE %s AS i SET %s FROM %s AS t\n    WHERE %s AND %s AND ROW(%s)::record *= ROW(%s)::record", m.To.SQL(), strings.Join(sets, ", "), m.From.SQL(),
		m.sameFrom("NEW."), m.SameTo("i.", "t."), m.Back.keyOf("i."), ident.List("t.", m.FromKey))
}

// refuseLossy refuses a row of which To cannot hold all: on the way forward again it would become another.
func (m Mirror) refuseLossy() string {
	if m.Exact {
		return ""
	}
	return fmt.Sprintf("  IF EXISTS (SELECT FROM %s AS t, %s AS i WHERE %s AND %s AND %s) THEN\n"+
		"    RAISE EXCEPTION USING ERRCODE = 'TD002', MESSAGE = %s, HINT = 'Give Backward an expression from which the forward one leads back.';\n  END IF;\n",
		m.From.SQL(), m.To.SQL(), m.sameFrom("NEW."), m.SameTo("i.", "t."), m.Back.Differs("i.", "t."),
		ident.Literal(fmt.Sprintf("%s: %s cannot hold this row of %s, and the way back would lose it", m.Migration, m.To, m.From)))
}

func (m Map) excluded() string {
	var sets []string
	for _, c := range m.Columns {
		if !slices.Contains(m.ToKey, c) {
			sets = append(sets, ident.Quote(c)+" = EXCLUDED."+ident.Quote(c))
		}
	}
	return strings.Join(sets, ", ")
}

// On are the expressions of Columns on a row of From.
func (m Map) On(from string) []string {
	out := make([]string, len(m.Exprs))
	for i, e := range m.Exprs {
		// whoever made the map has refused text that does not parse
		out[i], _ = fragment.Expand(e, func(name string) (string, error) { return from + ident.Quote(name), nil })
	}
	return out
}

// cast are the same expressions in the types of the columns.
func (m Map) cast(from string, columns []string) (out []string) {
	exprs := m.On(from)
	for _, c := range columns {
		i := slices.Index(m.Columns, c)
		out = append(out, fmt.Sprintf("CAST(%s AS %s)", exprs[i], m.Types[i]))
	}
	return out
}

// keyOf is the key in To of a row of From.
func (m Map) keyOf(from string) string { return strings.Join(m.cast(from, m.ToKey), ", ") }

// keysOf is that key and the row's own.
func (m Map) keysOf(from string) string { return m.keyOf(from) + ", " + ident.List(from, m.FromKey) }

// SameTo says that a row of To is that of a row of From, by its key.
func (m Map) SameTo(to, from string) string {
	key := m.cast(from, m.ToKey)
	for i, c := range m.ToKey {
		key[i] = to + ident.Quote(c) + " = " + key[i]
	}
	return strings.Join(key, " AND ")
}

// sameFrom says that a row t of From is the one that a trigger is about, by its key.
func (m Map) sameFrom(row string) string {
	terms := make([]string, len(m.FromKey))
	for i, c := range m.FromKey {
		terms[i] = "t." + ident.Quote(c) + " = " + row + ident.Quote(c)
	}
	return strings.Join(terms, " AND ")
}

// Differs says that a row of To, by its stored image, is not what a row of From becomes.
func (m Map) Differs(from, to string) string {
	return fmt.Sprintf("ROW(%s)::record *<> ROW(%s)::record", ident.List(to, m.Columns), strings.Join(m.cast(from, m.Columns), ", "))
}

// function writes a function as Spec.function does.
func function(name, text string) string {
	tag := "$tandem$"
	for n := 1; strings.Contains(text, tag); n++ {
		tag = fmt.Sprintf("$tandem%d$", n)
	}
	return fmt.Sprintf("CREATE OR REPLACE FUNCTION tandem.%s() RETURNS trigger LANGUAGE plpgsql\nSECURITY DEFINER SET search_path = pg_catalog, pg_temp AS %s\n%s%s",
		ident.Quote(name), tag, text, tag)
}
