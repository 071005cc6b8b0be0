package catalog

import (
	"context"
	"fmt"

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

// Guarded says what keeps the guard from being in force; empty when nothing does.
func Guarded(ctx context.Context, q sqlx.QueryerContext, t *Table, d pair.Definition) (string, error) {
	names := guard.Triggers(d)
	var always int
	err := sqlx.GetContext(ctx, q, &always, `SELECT count(*) FROM pg_trigger
		WHERE tgrelid = $1 AND tgname = ANY ($2) AND tgenabled = 'A'`, t.OID, pq.Array(names))
	if err != nil {
		return "", fmt.Errorf("guard of %s: %w", t, pg.Cause(ctx, err))
	}
	if always < len(names) {
		return fmt.Sprintf("%d of the guard's %d triggers are on %s and ENABLE ALWAYS: run expand.Apply", always, len(names), t), nil
	}
	return "", nil
}

// Analyzed tells whether the planner has statistics of all the columns.
func Analyzed(ctx context.Context, q sqlx.QueryerContext, t *Table, columns []string) (bool, error) {
	var n int
	err := sqlx.GetContext(ctx, q, &n, `SELECT count(DISTINCT staattnum) FROM (SELECT a.attnum AS staattnum FROM pg_stats s
		JOIN pg_attribute a ON a.attrelid = $1 AND a.attname = s.attname
		WHERE s.schemaname = $2 AND s.tablename = $3 AND s.attname = ANY ($4)) x`, t.OID, t.Schema, t.Name, pq.Array(columns))
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
