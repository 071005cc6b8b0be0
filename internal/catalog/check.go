package catalog

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pair"
	"github.com/tandem-go/tandem/internal/pg"
)

// StampType is the type of the stamp column.
const StampType = "integer"

// Missing says, in words, what keeps the new and stamp columns from being what the definition needs; empty when nothing does.
func (t *Table) Missing(d pair.Definition) []string {
	var out []string
	for _, name := range append(append([]string{}, d.New...), d.Stamp) {
		c := t.Column(name)
		switch {
		case c == nil:
			out = append(out, fmt.Sprintf("column %s is not there: run expand.Apply", ident.Quote(name)))
		case name == d.Stamp && c.Type != StampType:
			out = append(out, fmt.Sprintf("column %s has type %s, needs %s", ident.Quote(name), c.Type, StampType))
		}
	}
	for i, name := range d.New {
		c, old := t.Column(name), t.Column(d.Old[min(i, len(d.Old)-1)])
		if c != nil && d.Types == nil && old != nil && c.TypeSQL() != old.TypeSQL() {
			out = append(out, fmt.Sprintf("column %s has type %s, needs %s", ident.Quote(name), c.TypeSQL(), old.TypeSQL()))
		}
	}
	return out
}

// Unguarded says what keeps the guard of a mode from being in force; empty when nothing does. A trigger counts that calls what the mode's calls, and is
// ENABLE ALWAYS; its WHEN is not compared.
func Unguarded(ctx context.Context, q sqlx.QueryerContext, t *Table, d pair.Definition, mode guard.Mode) (string, error) {
	var there []struct {
		Schema   string `db:"nspname"`
		Table    string `db:"relname"`
		Name     string `db:"tgname"`
		Function string `db:"proname"`
		Args     []byte `db:"tgargs"`
	}
	var schemas, tables []string
	for _, name := range d.Tables() {
		schemas, tables = append(schemas, name.Schema), append(tables, name.Name)
	}
	err := sqlx.SelectContext(ctx, q, &there, `SELECT n.nspname, c.relname, g.tgname, p.proname, g.tgargs FROM pg_trigger g JOIN pg_proc p ON p.oid = g.tgfoid
		JOIN pg_class c ON c.oid = g.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace JOIN unnest($1::text[], $2::text[]) t(schema, name) ON (n.nspname, c.relname) = (t.schema, t.name)
		WHERE g.tgenabled = 'A' AND p.pronamespace = to_regnamespace('tandem')`, pq.Array(schemas), pq.Array(tables))
	if err != nil {
		return "", fmt.Errorf("guard of %s: %w", t, pg.Cause(ctx, err))
	}
	want := guard.Triggers(t.Spec(d), mode)
	found := 0
	for _, w := range want {
		var args []byte
		for _, a := range w.Args {
			args = append(append(args, a...), 0) // as the catalog has them
		}
		for _, g := range there {
			if g.Schema == w.Table.Schema && g.Table == w.Table.Name && g.Name == w.Name && g.Function == w.Function && bytes.Equal(g.Args, args) {
				found++
			}
		}
	}
	if found < len(want) {
		var where []string
		for _, name := range d.Tables() {
			where = append(where, name.String())
		}
		return fmt.Sprintf("%d of the guard's %d triggers (%s) are on %s and ENABLE ALWAYS: run expand.Apply", found, len(want), mode, strings.Join(where, " and ")), nil
	}
	return "", nil
}

// Analyzed tells whether the planner has statistics of all the columns, or is not to have them (SET STATISTICS 0).
func Analyzed(ctx context.Context, q sqlx.QueryerContext, t *Table, columns []string) (bool, error) {
	var n int
	err := sqlx.GetContext(ctx, q, &n, `SELECT count(DISTINCT staattnum) FROM (SELECT a.attnum AS staattnum FROM pg_stats s
		JOIN pg_attribute a ON a.attrelid = $1 AND a.attname = s.attname
		WHERE s.schemaname = $2 AND s.tablename = $3 AND s.attname = ANY ($4)
		UNION ALL SELECT attnum FROM pg_attribute WHERE attrelid = $1 AND attname = ANY ($4) AND attstattarget = 0) x`, t.OID, t.Schema, t.Name, pq.Array(columns))
	if err != nil {
		return false, fmt.Errorf("statistics of %s: %w", t, pg.Cause(ctx, err))
	}
	if n == len(columns) {
		return true, nil
	}
	var empty bool // ANALYZE of an empty table leaves no statistics
	err = sqlx.GetContext(ctx, q, &empty, `SELECT NOT EXISTS (SELECT FROM `+t.SQL()+`)`)
	return empty, pg.Cause(ctx, err)
}
