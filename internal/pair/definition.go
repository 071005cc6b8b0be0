// Package pair holds the plain data of a pair: what the state schema stores, and what the guard, the gates and the backfill are
// built from. It knows names and SQL expressions and no Go types; package expand adds those.
package pair

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tandem-go/tandem/internal/fragment"
	"github.com/tandem-go/tandem/internal/ident"
)

// Definition says which columns become which, and how their values convert.
type Definition struct {
	Table    ident.Table `json:"table"`
	Key      []string    `json:"key"`                // the columns of the primary key, or of another that tells rows apart; NoKey: there is none
	Old      []string    `json:"old"`                // today's columns
	New      []string    `json:"new"`                // the columns that replace them
	Types    []string    `json:"types,omitempty"`    // SQL type of each new column; absent: the type and collation of old
	Stamp    string      `json:"stamp"`              // the column that says who wrote the pair of a row last
	Forward  []string    `json:"forward,omitempty"`  // SQL for each new column, with {old} placeholders; absent: only Go can
	Backward []string    `json:"backward,omitempty"` // SQL for each old column, with {new} placeholders; absent: only Go can
	NotNull  []string    `json:"not_null,omitempty"` // of a set: the new columns that become NOT NULL in Contract; of one column old says so
	OneWay   bool        `json:"one_way,omitempty"`  // nothing turns new into old, Go neither; no part of the fingerprint, as no program writes differently for it
	To       ident.Table `json:"to,omitzero"`        // the table of new and stamp; absent: Table
	ToKey    []string    `json:"to_key,omitempty"`   // the columns of To that hold Key; absent without To

	Into     ident.Table `json:"into,omitzero"`       // the table that replaces the whole of Table, see Replaces
	IntoKey  []string    `json:"into_key,omitempty"`  // its key
	KeepName bool        `json:"keep_name,omitempty"` // at the swap it takes the name of Table
}

// Name is the migration's name in the state schema, in errors and in the operator's commands: the table of new, and the first new column; of a replaced
// table the new one.
func (d Definition) Name() string {
	if d.Replaces() {
		return d.Into.String()
	}
	return d.There().Table.String() + "." + ident.Quote(d.New[0])
}

// StampName derives the stamp column's name from the first new column.
func StampName(column string) string { return ident.Derive("", column, "_stamp") }

// IsSet tells whether either side is more than one column: then nothing says which of old's indexes and constraints belong to which new column.
func (d Definition) IsSet() bool { return len(d.Old) > 1 || len(d.New) > 1 }

// Carries tells whether new takes over by itself what old has in the catalog: one column gives way to one of the same table.
func (d Definition) Carries() bool { return !d.IsSet() && !d.Moved() && !d.Replaces() }

// HasForward tells whether SQL can turn old into new.
func (d Definition) HasForward() bool { return len(d.Forward) > 0 }

// HasBackward tells whether SQL can turn new into old.
func (d Definition) HasBackward() bool { return len(d.Backward) > 0 }

// ForwardSQL returns an expression for each new column; prefix qualifies the old columns: `NEW.`, `t.` or nothing. A length in the type is
// left to the assignment, which refuses a value that is too long where a cast would cut it.
func (d Definition) ForwardSQL(prefix string) []string {
	out := expressions(d.Forward, prefix)
	for i := range min(len(out), len(d.Types)) { // where only Go converts there are types and no expressions
		out[i] = "CAST(" + out[i] + " AS " + unmodified(d.Types[i]) + ")"
	}
	return out
}

// StoredSQL is what the columns would hold, as expressions for a filter: ForwardSQL with the types' modifiers and collations, as an assignment has them.
func (d Definition) StoredSQL(prefix string) []string {
	out := expressions(d.Forward, prefix)
	for i := range min(len(out), len(d.Types)) {
		bare, collation := collated(d.Types[i])
		out[i] = "CAST(" + out[i] + " AS " + bare + ")" + collation
	}
	return out
}

// AssignedSQL is StoredSQL but for what is too long: an assignment refuses it, and a cast would cut it.
func (d Definition) AssignedSQL(prefix string) []string {
	out, free := d.StoredSQL(prefix), d.ForwardSQL(prefix)
	for i := range min(len(out), len(d.Types)) {
		switch base := strings.ToLower(strings.Join(strings.Fields(unmodified(d.Types[i])), " ")); base {
		case "varchar", "character varying", "bpchar", "varbit", "bit varying":
			out[i] = free[i]
		}
	}
	return out
}

// ForwardOf returns an expression for each new column in which other expressions stand for the old columns, in their order.
func (d Definition) ForwardOf(old []string) []string {
	d.Forward = slices.Clone(d.Forward)
	for i, e := range d.Forward {
		// Check has refused text that does not parse
		d.Forward[i], _ = fragment.Expand(e, func(name string) (string, error) { return "(" + old[slices.Index(d.Old, name)] + ")", nil })
	}
	return d.ForwardSQL("")
}

// BackwardSQL returns an expression for each old column; prefix qualifies the new columns.
func (d Definition) BackwardSQL(prefix string) []string { return expressions(d.Backward, prefix) }

// Identity tells whether forward is a plain copy, so that a value needs no conversion.
func (d Definition) Identity() bool {
	return len(d.Types) == 0 && len(d.Forward) == len(d.Old) && slices.Equal(d.ForwardSQL(""), ident.QuoteAll("", d.Old))
}

// Columns are old, new and stamp.
func (d Definition) Columns() []string { return slices.Concat(d.Old, d.New, []string{d.Stamp}) }

// Fingerprint tells two definitions of one name apart.
func (d Definition) Fingerprint() string {
	d.OneWay = false
	text, err := json.Marshal(d)
	if err != nil { // strings and slices of strings always marshal
		panic(err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// Differs says in words how the definition differs from the one that its migration was started with; "" if it does not.
func (d Definition) Differs(started Definition) string {
	var out []string
	for _, f := range []struct {
		word    string
		is, was []string
	}{{"table", []string{d.Table.String()}, []string{started.Table.String()}}, {"key", d.Key, started.Key}, {"key of new", d.ToKey, started.ToKey}, {"old", d.Old, started.Old}, {"new", d.New, started.New}, {"type", d.Types, started.Types},
		{"NOT NULL", d.NotNull, started.NotNull}, {"stamp", []string{d.Stamp}, []string{started.Stamp}}, {"forward SQL", d.Forward, started.Forward}, {"backward SQL", d.Backward, started.Backward},
		{"key of the new table", d.IntoKey, started.IntoKey}, {"KeepName", []string{fmt.Sprint(d.KeepName)}, []string{fmt.Sprint(started.KeepName)}}} {
		if !slices.Equal(f.is, f.was) {
			out = append(out, fmt.Sprintf("%s is %s and was %s", f.word, cmp.Or(strings.Join(f.is, ", "), "none"), cmp.Or(strings.Join(f.was, ", "), "none")))
		}
	}
	return strings.Join(out, "; ")
}

// Check finds what is wrong with the definition without asking a database.
func (d Definition) Check() error {
	if d.Replaces() {
		return d.checkReplace()
	}
	if len(d.Old) == 0 || len(d.New) == 0 || len(d.Key) == 0 {
		return fmt.Errorf("pair on %s: needs a key, an old and a new column", d.Table)
	}
	if err := errors.Join(d.checkMove(), d.checkKeyless()); err != nil {
		return err
	}
	here, there := map[string]string{}, map[string]string{}
	if !d.Moved() {
		there = here
	}
	for _, group := range []struct {
		word  string
		names []string
		seen  map[string]string
	}{{"key", d.Key, here}, {"key", d.ToKey, there}, {"old", d.Old, here}, {"new", d.New, there}, {"stamp", []string{d.Stamp}, there}} {
		seen := group.seen
		for _, name := range group.names {
			if err := ident.Check(name); err != nil {
				return fmt.Errorf("pair on %s: %s column: %w", d.Table, group.word, err)
			}
			if other, ok := seen[name]; ok {
				return fmt.Errorf("pair on %s: column %s is both %s and %s: name another", d.Table, ident.Quote(name), other, group.word)
			}
			seen[name] = group.word
		}
	}
	if d.IsSet() && len(d.Types) == 0 || slices.Contains(d.Types, "") {
		return fmt.Errorf("pair on %s: columns %s need their SQL types: set Type of each", d.Table, ident.List("", d.New))
	}
	if d.HasForward() && len(d.Types) == 0 && !d.Identity() {
		return fmt.Errorf("pair on %s: a forward expression that is more than {%s} needs the SQL type of new: set Type", d.Table, d.Old[0])
	}
	for _, name := range d.NotNull {
		if !d.IsSet() || !slices.Contains(d.New, name) {
			return fmt.Errorf("pair on %s: NotNull names %s: it is for the new columns of a set", d.Table, ident.Quote(name))
		}
	}
	return errors.Join(
		d.checkExpressions("forward", d.Forward, d.New, d.Old),
		d.checkExpressions("backward", d.Backward, d.Old, d.New),
		d.checkCount("type", len(d.Types), len(d.New)))
}

func (d Definition) checkCount(word string, got, want int) error {
	if got != 0 && got != want {
		return fmt.Errorf("pair on %s: %d %s entries for %d columns", d.Table, got, word, want)
	}
	return nil
}

func (d Definition) checkExpressions(word string, exprs, targets, sources []string) error {
	if err := d.checkCount(word, len(exprs), len(targets)); err != nil {
		return err
	}
	for _, e := range exprs {
		if strings.TrimSpace(e) == "" {
			return fmt.Errorf("pair on %s: a %s expression is empty", d.Table, word)
		}
		_, err := fragment.Expand(e, func(name string) (string, error) {
			if !slices.Contains(sources, name) {
				return "", fmt.Errorf("{%s} is not one of %s", name, ident.List("", sources))
			}
			return "", nil
		})
		if err != nil {
			return fmt.Errorf("pair on %s: %s expression: %w", d.Table, word, err)
		}
	}
	return nil
}

// expressions fills the placeholders; Check has refused text that does not parse.
func expressions(exprs []string, prefix string) []string {
	out := make([]string, len(exprs))
	for i, e := range exprs {
		text, err := fragment.Expand(e, func(name string) (string, error) { return prefix + ident.Quote(name), nil })
		if err != nil {
			text = e
		}
		out[i] = text
	}
	return out
}
