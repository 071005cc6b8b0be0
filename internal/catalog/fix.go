package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pair"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/phase"
)

// Fix is a piece of SQL for an operator to run, as a whole, once the migration is in a phase: Start is before expand.Apply, Migrate after the backfill, Switch before Relax, Complete after
// the drop.
type Fix struct {
	In  phase.Phase
	SQL string
}

func (f Fix) String() string { return "in " + f.In.String() + ": " + f.SQL + ";" }

// Fixes gives the dependents of the list that block the SQL that solves them, where PostgreSQL can tell it: it is asked to make the like of each on a temporary table in which old
// is called new, in a transaction that is rolled back. What cannot be told leaves the dependent without. So it takes a role that may make temporary tables, on a server that takes writes; the
// table is locked ACCESS SHARE for that moment.
func Fixes(ctx context.Context, db *sqlx.DB, t *Table, d pair.Definition, list []Dependent) error {
	if !d.Carries() || !slices.ContainsFunc(list, func(x Dependent) bool { return x.Blocks }) {
		return nil
	}
	err := pg.InTx(ctx, db, pg.Settings{LockTimeout: LockTimeout}, func(ctx context.Context, tx *sqlx.Tx) error {
		r := &rehearsal{tx: tx, t: t, d: d}
		if err := r.begin(ctx); err != nil {
			return err
		}
		acts := make([]*act, len(list))
		for i, x := range list {
			if known := actOf[x.Kind]; known != nil && x.Blocks && x.OID != 0 {
				a, err := known(ctx, r, x)
				if err != nil && !errors.Is(err, sql.ErrNoRows) { // it has gone meanwhile
					return err
				}
				acts[i] = a
			}
		}
		if err := r.play(ctx, acts); err != nil {
			return err
		}
		for i, a := range acts {
			if a != nil && a.told {
				list[i].Fixes = a.fixes(a.text)
			}
		}
		return errRollback
	})
	switch pg.SQLState(err) {
	case "25006", "42501", pg.LockNotAvailable: // read-only; no temporary tables for this role
		return nil
	}
	if errors.Is(err, errRollback) {
		return nil
	}
	return fmt.Errorf("what mends the dependents of %s: %w", t, pg.Cause(ctx, err))
}

// act is how PostgreSQL is asked to spell one dependent.
type act struct {
	make  string                    // makes it on the copy; the table is called by its qualified name, as its own definition does; "": nothing is to be made
	read  string                    // a query for its definition there
	fixes func(text []string) []Fix // of the definition with the new column
	text  []string                  // what was read
	told  bool
}

// rehearsal is the transaction with the copy.
type rehearsal struct {
	tx *sqlx.Tx
	t  *Table
	d  pair.Definition
}

// copyName is the copy's at the end: a name that stands for the table in all that PostgreSQL spells then.
const copyName = "tandem_copy_of_the_table"

// begin lets all names be spelled with their schemas, but for those of temporary tables.
func (r *rehearsal) begin(ctx context.Context) error {
	return execAll(ctx, r.tx, `SELECT set_config('search_path', '', true)`)
}

// play makes the copy and on it what the acts say, calls old new, and reads. An act that fails is left untold.
func (r *rehearsal) play(ctx context.Context, acts []*act) error {
	temp := "pg_temp." + ident.Quote(r.t.Name)
	err := execAll(ctx, r.tx, `CREATE TEMPORARY TABLE `+ident.Quote(r.t.Name)+` (LIKE `+r.t.SQL()+` INCLUDING GENERATED) ON COMMIT DROP`,
		`ALTER TABLE `+temp+` DROP COLUMN IF EXISTS `+ident.Quote(r.d.New[0])+` CASCADE`)
	if err != nil {
		return err
	}
	for _, a := range acts {
		if a != nil {
			if a.told = a.make == ""; a.told {
				continue
			}
			if a.told, err = r.attempt(ctx, func() error { return execAll(ctx, r.tx, onCopy(a.make, r.t.SQL(), temp)) }); err != nil {
				return err
			}
		}
	}
	err = execAll(ctx, r.tx, `ALTER TABLE `+temp+` RENAME COLUMN `+ident.Quote(r.d.Old[0])+` TO `+ident.Quote(r.d.New[0]), `ALTER TABLE `+temp+` RENAME TO `+copyName)
	if err != nil {
		return err
	}
	for _, a := range acts {
		if a == nil || !a.told || a.read == "" {
			continue
		}
		if a.told, err = r.attempt(ctx, func() error { return r.tx.SelectContext(ctx, &a.text, a.read) }); err != nil {
			return err
		}
		a.told = a.told && len(a.text) > 0
		for i := range a.text {
			a.text[i] = offCopy(a.text[i], r.t)
		}
	}
	return nil
}

// attempt runs fn under a savepoint.
func (r *rehearsal) attempt(ctx context.Context, fn func() error) (ok bool, err error) {
	if err := execAll(ctx, r.tx, `SAVEPOINT tandem_act`); err != nil {
		return false, err
	}
	if fn() == nil {
		return true, nil
	}
	return false, execAll(ctx, r.tx, `ROLLBACK TO SAVEPOINT tandem_act`)
}

// quotedSQL finds literals and quoted names, in which no name of a table stands.
const quotedSQL = `'(?:[^']|'')*'|"(?:[^"]|"")*"`

// nameEnd is what may follow a table's name.
const nameEnd = `[^\w$"\x{80}-\x{10ffff}]|$`

// onCopy lets a definition be of the copy. It is PostgreSQL's own, so a literal's quotes are doubled, never escaped.
func onCopy(text, table, temp string) string {
	before := ""
	if table[0] != '"' {
		before = `\b`
	}
	find := regexp.MustCompile(before + regexp.QuoteMeta(table) + `(?:` + nameEnd + `)|` + quotedSQL)
	return find.ReplaceAllStringFunc(text, func(s string) string {
		if rest, ok := strings.CutPrefix(s, table); ok {
			return temp + rest
		}
		return s
	})
}

// In what PostgreSQL spells last the copy stands where the table is read or named, as its own alias with a list of columns, and before a dot, where a column of it is meant.
var (
	copyAliased = regexp.MustCompile(`(?:pg_temp(?:_\d+)?\.)?` + copyName + ` ` + copyName + `\b`)
	copyDotted  = regexp.MustCompile(copyName + `\.`)
	copyNamed   = regexp.MustCompile(`(?:pg_temp(?:_\d+)?\.)?` + copyName + `\b`)
)

// offCopy is the way back.
func offCopy(text string, t *Table) string {
	name := ident.Quote(t.Name)
	text = copyAliased.ReplaceAllLiteralString(text, t.SQL()+" "+name)
	text = copyDotted.ReplaceAllLiteralString(text, name+".")
	return copyNamed.ReplaceAllLiteralString(text, t.SQL())
}
