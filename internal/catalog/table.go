// Package catalog reads what PostgreSQL knows about a table: columns, key, indexes, constraints, and what depends on a column. It
// changes nothing; where it asks PostgreSQL to spell a definition with another column, it does so on an empty copy in a
// transaction that is rolled back.
package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pair"
	"github.com/tandem-go/tandem/internal/pg"
)

// Errors that callers branch on.
var (
	ErrNoTable  = errors.New("no such table")
	ErrNoColumn = errors.New("no such column")
	ErrKey      = errors.New("the key does not fit")
	ErrRefused  = errors.New("not supported")
)

// Column is one column of a table.
type Column struct {
	Name      string `db:"name"`
	Number    int    `db:"number"`
	Type      string `db:"type"`      // with its modifier: numeric(10,2)
	Base      string `db:"base"`      // without it: an explicit cast to varchar(8) would cut a longer value where an assignment refuses it
	Collation string `db:"collation"` // quoted; empty: the type's default
	NotNull   bool   `db:"not_null"`
	Default   string `db:"default_expr"`
	Generated string `db:"generated"`
	Identity  string `db:"identity"`
	Loose     bool   `db:"loose"` // = may call two different values equal
	Bytes     bool   `db:"bytes"` // bytea, or a domain of it
	Acted     bool   `db:"acted"` // a foreign key may write it: ON DELETE SET NULL, ON UPDATE CASCADE
}

// TypeSQL is the column's type with its collation, as ADD COLUMN takes it.
func (c Column) TypeSQL() string {
	if c.Collation == "" {
		return c.Type
	}
	return c.Type + " COLLATE " + c.Collation
}

// Table is what a pair needs to know of its table.
type Table struct {
	ident.Table
	OID         int64
	Partitioned bool
	Triggered   bool // the application's own triggers, row security or a deferrable unique constraint act when a row is updated
	Columns     []Column
	PrimaryKey  []string
	Keys        []Key // the primary key first, then the smallest
	Pages, Rows int64 // the planner's estimate; -1 rows: never analysed
}

// Column finds a column by name, nil when there is none.
func (t *Table) Column(name string) *Column {
	for i := range t.Columns {
		if t.Columns[i].Name == name {
			return &t.Columns[i]
		}
	}
	return nil
}

const tableSQL = `
	SELECT c.oid::bigint AS oid, c.relkind::text AS kind, c.relpages AS pages, c.reltuples::bigint AS rows, c.reloftype <> 0 AS typed,
	       c.relforcerowsecurity OR EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal AND g.tgtype & 16 <> 0
	         AND NOT g.tgname LIKE 'zz\_tandem\_%') -- 16: on UPDATE
	       OR EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'u' AND k.condeferrable) AS triggered,
	       EXISTS (SELECT FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent
	               WHERE (i.inhrelid = c.oid OR i.inhparent = c.oid AND c.relkind <> 'p')) AS inherits,
	       coalesce((SELECT min(format('%I.%I', fn.nspname, f.relname)) FROM pg_partition_tree(c.oid) l JOIN pg_class f ON f.oid = l.relid JOIN pg_namespace fn ON fn.oid = f.relnamespace
	                 WHERE c.relkind = 'p' AND f.relkind = 'f'), '') AS foreign
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE n.nspname = $1 AND c.relname = $2`

// In exact types = means the same bytes: the rest (numeric 1.0 and 1.00, float -0, citext, json without =, ...) is loose.
const columnsSQL = `
	SELECT a.attname AS name, a.attnum AS number, format_type(a.atttypid, a.atttypmod) AS type, format_type(a.atttypid, -1) AS base,
	       CASE WHEN a.attcollation <> t.typcollation
	            THEN (SELECT quote_ident(cn.nspname) || '.' || quote_ident(co.collname) FROM pg_collation co
	                  JOIN pg_namespace cn ON cn.oid = co.collnamespace WHERE co.oid = a.attcollation) ELSE '' END AS collation,
	       a.attnotnull AS not_null, coalesce(pg_get_expr(d.adbin, d.adrelid), '') AS default_expr,
	       a.attgenerated::text AS generated, a.attidentity::text AS identity,
	       NOT (t.typtype = 'e' OR t.typname IN ('bool', 'int2', 'int4', 'int8', 'oid', 'uuid', 'bytea', 'date', 'timestamp', 'timestamptz')
	            OR t.typname IN ('text', 'varchar') AND coalesce((SELECT collisdeterministic FROM pg_collation WHERE oid = a.attcollation), false))
	         AS loose,
	       (WITH RECURSIVE chain AS (SELECT t.oid, t.typbasetype AS base UNION ALL SELECT b.oid, b.typbasetype FROM chain JOIN pg_type b ON b.oid = chain.base)
	        SELECT bool_or(oid = 'bytea'::regtype) FROM chain) AS bytes,
	       EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = a.attrelid AND k.contype = 'f' AND a.attnum = ANY (k.conkey)
	               AND (k.confdeltype IN ('n', 'd') OR k.confupdtype IN ('c', 'n', 'd'))) AS acted
	FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
	LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
	WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`

// Read reads a table. It refuses what a migration cannot work on: views, foreign tables, inheritance, typed tables, catalogs.
func Read(ctx context.Context, q sqlx.QueryerContext, name ident.Table) (*Table, error) {
	var row struct {
		OID         int64
		Kind        string
		Pages, Rows int64
		Typed       bool
		Triggered   bool
		Inherits    bool
		Foreign     string
	}
	t := &Table{Table: name}
	if name.Schema == "pg_catalog" || name.Schema == "information_schema" || strings.HasPrefix(name.Schema, "pg_toast") || name.Schema == "tandem" {
		return nil, fmt.Errorf("table %s: %w: a system schema", name, ErrRefused)
	}
	found := []string{}
	if err := sqlx.SelectContext(ctx, q, &found, `SELECT nspname FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid
		WHERE relname = $1 AND relkind IN ('r', 'p') ORDER BY 1`, name.Name); err != nil {
		return nil, fmt.Errorf("table %s: %w", name, pg.Cause(ctx, err))
	}
	if err := sqlx.GetContext(ctx, q, &row, tableSQL, name.Schema, name.Name); err != nil {
		if len(found) > 0 && !slices.Contains(found, name.Schema) {
			return nil, fmt.Errorf("table %s: %w in schema %s; there is one in %s: declare the pair with the schema", name, ErrNoTable, name.Schema, strings.Join(found, ", "))
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("table %s: %w: check the spelling, capitals and the database", name, ErrNoTable)
		}
		return nil, fmt.Errorf("table %s: %w", name, pg.Cause(ctx, err))
	}
	switch {
	case row.Kind != "r" && row.Kind != "p":
		return nil, fmt.Errorf("table %s: %w: its kind is %q; only tables and partitioned tables have columns to migrate", name, ErrRefused, row.Kind)
	case row.Inherits:
		return nil, fmt.Errorf("table %s: %w: it takes part in inheritance or is itself a partition; migrate the partitioned parent", name, ErrRefused)
	case row.Foreign != "":
		return nil, fmt.Errorf("table %s: %w: its partition %s is a foreign table, whose rows the guard cannot see written: detach it for the time of the migration", name, ErrRefused, row.Foreign)
	case row.Typed:
		return nil, fmt.Errorf("table %s: %w: it is a typed table (OF type); its columns belong to the type", name, ErrRefused)
	}
	t.OID, t.Partitioned, t.Pages, t.Rows = row.OID, row.Kind == "p", row.Pages, row.Rows
	t.Triggered = row.Triggered
	if err := sqlx.SelectContext(ctx, q, &t.Columns, columnsSQL, t.OID); err != nil {
		return nil, fmt.Errorf("columns of %s: %w", name, pg.Cause(ctx, err))
	}
	return t, readKeys(ctx, q, t)
}

// Fits checks a definition against the table: old and key columns are there, nothing is a generated column, and the key tells rows apart.
func (t *Table) Fits(d pair.Definition) error {
	for _, name := range slices.Concat(d.Key, d.Old) {
		c := t.Column(name)
		switch {
		case c == nil && name == pair.NoKey && d.Keyless():
		case c == nil:
			return fmt.Errorf("table %s, column %s: %w; it has %s", t, ident.Quote(name), ErrNoColumn, ident.List("", t.names()))
		case c.Generated != "":
			return fmt.Errorf("table %s, column %s: %w: a generated column cannot be written", t, ident.Quote(name), ErrRefused)
		}
	}
	for _, name := range d.Old {
		if slices.Contains(t.PrimaryKey, name) {
			return fmt.Errorf("table %s, column %s: %w: it is part of the primary key", t, ident.Quote(name), ErrRefused)
		}
		if t.Column(name).Identity != "" {
			return fmt.Errorf("table %s, column %s: %w: an identity column: make it a plain one first (ALTER COLUMN %s DROP IDENTITY, then SET DEFAULT nextval of a sequence that it owns), and one again at the end",
				t, ident.Quote(name), ErrRefused, ident.Quote(name))
		}
	}
	return t.fitsKey(d)
}

// Spec gathers what the guard's text depends on.
func (t *Table) Spec(d pair.Definition) guard.Spec {
	s := guard.Spec{Definition: d, Partitioned: t.Partitioned, Triggered: t.Triggered, Loose: map[string]bool{}}
	for i, name := range slices.Concat(d.Old, d.New) {
		c := t.Column(name)
		if c == nil && i >= len(d.Old) && d.Types == nil { // new is about to be added with old's type
			c = t.Column(d.Old[i-len(d.Old)])
		}
		s.Loose[name] = c == nil || c.Loose
		s.Acted = s.Acted || c != nil && c.Acted
	}
	if d.Moved() { // new is a column of another table, and may have the name of one of this; what is compared as it is stored is compared right
		s.Loose[d.New[0]] = s.Loose[d.Old[0]] || d.Types != nil
	}
	return s
}

func (t *Table) names() []string {
	var out []string
	for _, c := range t.Columns {
		out = append(out, c.Name)
	}
	return out
}
