package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/tandem-go/tandem/internal/fragment"
	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pair"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/phase"
)

// ErrMapping says that the columns of one table cannot be made of those of the other.
var ErrMapping = errors.New("the columns do not fit")

// Replacement is a table that is being replaced, the one that replaces it, and how the rows of each become those of the other, as the catalog has them now.
type Replacement struct {
	Definition    pair.Definition
	Old, New      *Table
	forward, back guard.Map
	oneWay        error // why the rows of the new table cannot become those of the old one; nil: they can
	exact         bool  // each column is a plain copy into the same type
	acted         bool  // foreign keys act on the new table by themselves, as on the old one
	actedBack     bool  // and on the old one, as on the new
}

// ReadReplacement reads both tables as they are called in a phase. Errors: ErrNoTable, ErrRefused, ErrKey, ErrMapping.
func ReadReplacement(ctx context.Context, q sqlx.QueryerContext, d pair.Definition, p phase.Phase) (*Replacement, error) {
	old, fresh := d.Sides(p)
	r := &Replacement{Definition: d, exact: true}
	var err error
	if r.Old, err = Read(ctx, q, old); err != nil {
		return nil, err
	}
	if r.New, err = Read(ctx, q, fresh); err != nil {
		return nil, err
	}
	for _, t := range []*Table{r.Old, r.New} {
		if err := qualifyTypes(ctx, q, t); err != nil {
			return nil, err
		}
	}
	if r.forward, err = mapping(r.Old, r.New, d.Key, d.IntoKey, d.New, d.Forward); err != nil {
		return nil, err
	}
	if r.back, err = mapping(r.New, r.Old, d.IntoKey, d.Key, d.Old, d.Backward); err != nil {
		r.oneWay = err
	} else {
		r.oneWay = r.lost()
	}
	for i, c := range r.forward.Columns {
		from := r.Old.Column(c)
		r.exact = r.exact && from != nil && r.forward.Exprs[i] == fragment.Placeholder(c) && from.Type == r.forward.Types[i]
	}
	if err := r.held(ctx, q); err != nil {
		return nil, err
	}
	return r, r.actions(ctx, q)
}

// Mirror is the guard of a phase.
func (r *Replacement) Mirror(p phase.Phase) guard.Mirror {
	old, fresh := r.Definition.Sides(p)
	forward, back := r.forward, r.back
	forward.From, forward.To, back.From, back.To = old, fresh, fresh, old
	m := guard.Mirror{Map: forward, Migration: r.Definition.Name(), Into: r.Definition.Into.Name, Exact: r.exact, Acted: r.acted}
	if p >= phase.Contract {
		m.Map, m.Back, m.Closed = back, &forward, r.oneWay != nil
		m.Acted = r.actedBack
	}
	return m
}

// OneWay says why there is no way back from Contract; nil if there is.
func (r *Replacement) OneWay() error { return r.oneWay }

const qualifiedSQL = `
	SELECT a.attname, CASE WHEN t.typnamespace = 'pg_catalog'::regnamespace THEN format_type(a.atttypid, a.atttypmod)
	       ELSE quote_ident(n.nspname) || '.' || quote_ident(t.typname) || coalesce(substring(format_type(a.atttypid, a.atttypmod) FROM '\([^()]*\)$'), '') END
	FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid JOIN pg_namespace n ON n.oid = t.typnamespace WHERE a.attrelid = $1 AND a.attnum > 0`

// qualifyTypes spells the types so that they mean the same with the search_path of the guard.
func qualifyTypes(ctx context.Context, q sqlx.QueryerContext, t *Table) error {
	rows, err := q.QueryContext(ctx, qualifiedSQL, t.OID)
	if err != nil {
		return fmt.Errorf("types of %s: %w", t, pg.Cause(ctx, err))
	}
	defer rows.Close()
	for rows.Next() {
		var name, typ string
		if err := rows.Scan(&name, &typ); err != nil {
			return err
		}
		if c := t.Column(name); c != nil {
			c.Type = typ
		}
	}
	return pg.Cause(ctx, rows.Err())
}

// mapping says what each column of a table is made of: what the definition says, else the column of the same name.
func mapping(from, to *Table, fromKey, toKey, columns, exprs []string) (guard.Map, error) {
	m := guard.Map{From: from.Table, To: to.Table, FromKey: fromKey, ToKey: toKey}
	for _, name := range columns {
		if to.Column(name) == nil {
			return m, fmt.Errorf("table %s, column %s: %w; it has %s", to, ident.Quote(name), ErrNoColumn, ident.List("", to.names()))
		}
	}
	for i := range to.Columns {
		c := &to.Columns[i]
		expr := ""
		if n := slices.Index(columns, c.Name); n >= 0 {
			expr = exprs[n]
		} else if from.Column(c.Name) != nil && c.Generated == "" {
			expr = fragment.Placeholder(c.Name)
		}
		if expr == "" {
			continue
		}
		if c.Generated != "" {
			return m, fmt.Errorf("table %s, column %s: %w: a generated column cannot be written: leave it out", to, ident.Quote(c.Name), ErrMapping)
		}
		_, err := fragment.Expand(expr, func(name string) (string, error) {
			if from.Column(name) == nil {
				return "", fmt.Errorf("{%s} is not a column of %s, which has %s", name, from, ident.List("", from.names()))
			}
			return "", nil
		})
		if err != nil {
			return m, fmt.Errorf("table %s, column %s: %w: %w", to, ident.Quote(c.Name), ErrMapping, err)
		}
		m.Columns, m.Exprs, m.Types = append(m.Columns, c.Name), append(m.Exprs, expr), append(m.Types, c.Type)
		if c.Identity == "a" {
			m.Fixed = append(m.Fixed, c.Name)
		}
	}
	for _, k := range toKey {
		if !slices.Contains(m.Columns, k) {
			return m, fmt.Errorf("table %s, key column %s: %w: nothing in %s is called so: give it an expression", to, ident.Quote(k), ErrMapping, from)
		}
	}
	if len(m.Columns) == len(toKey) {
		return m, fmt.Errorf("table %s: %w: nothing but the key of it is made of %s", to, ErrMapping, from)
	}
	return m, nil
}

// lost says what the old table would miss on the way back.
func (r *Replacement) lost() error {
	read := map[string]bool{}
	for _, e := range r.forward.Exprs {
		// mapping has parsed it
		_, _ = fragment.Expand(e, func(name string) (string, error) { read[name] = true; return "", nil })
	}
	for _, c := range r.Old.Columns {
		switch {
		case slices.Contains(r.back.Columns, c.Name) || c.Generated != "":
		case read[c.Name]:
			return fmt.Errorf("column %s of %s is read on the way forward and not made of anything on the way back: name it in Backward", ident.Quote(c.Name), r.Definition.Table)
		case c.NotNull && c.Default == "" && c.Identity == "":
			return fmt.Errorf("column %s of %s is NOT NULL and not made of anything on the way back: name it in Backward", ident.Quote(c.Name), r.Definition.Table)
		}
	}
	return nil
}

// Whose columns are $2 and which can decide a conflict.
const uniqueKeySQL = `
	SELECT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
		AND (SELECT array_agg(a.attname::text ORDER BY a.attname::text) FROM pg_attribute a WHERE a.attrelid = $1 AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]))
		    = (SELECT array_agg(x ORDER BY x) FROM unnest($2::text[]) x))`

// held checks the keys: each is unique, NOT NULL, and a row of the new table says of which row of the old one it is.
func (r *Replacement) held(ctx context.Context, q sqlx.QueryerContext) error {
	for _, side := range []struct {
		t    *Table
		key  []string
		word string
	}{{r.Old, r.Definition.Key, "Key"}, {r.New, r.Definition.IntoKey, "IntoKey"}} {
		for _, k := range side.key {
			switch c := side.t.Column(k); {
			case c == nil:
				return fmt.Errorf("table %s, key column %s: %w; it has %s", side.t, ident.Quote(k), ErrNoColumn, ident.List("", side.t.names()))
			case !c.NotNull:
				return fmt.Errorf("table %s: %w: column %s of %s may be NULL: SET NOT NULL", side.t, ErrKey, ident.Quote(k), side.word)
			}
		}
		var ok bool
		if err := sqlx.GetContext(ctx, q, &ok, uniqueKeySQL, side.t.OID, pq.Array(side.key)); err != nil {
			return fmt.Errorf("key of %s: %w", side.t, pg.Cause(ctx, err))
		}
		if !ok {
			return fmt.Errorf("table %s: %w: no primary key and no unique index on exactly (%s), neither partial nor deferrable: make one, or name another in %s",
				side.t, ErrKey, ident.List("", side.key), side.word)
		}
	}
	for _, k := range r.Definition.Key {
		if !slices.ContainsFunc(r.Definition.IntoKey, func(c string) bool {
			return r.forward.Exprs[slices.Index(r.forward.Columns, c)] == fragment.Placeholder(k)
		}) {
			return fmt.Errorf("table %s: %w: the key (%s) must hold column %s of %s as it is, or two rows could become one",
				r.New, ErrKey, ident.List("", r.Definition.IntoKey), ident.Quote(k), r.Old)
		}
	}
	for _, c := range r.forward.Fixed {
		if !slices.Contains(r.Definition.IntoKey, c) {
			return fmt.Errorf("table %s, column %s: %w: GENERATED ALWAYS AS IDENTITY cannot follow a change: ALTER COLUMN ... SET GENERATED BY DEFAULT", r.New, ident.Quote(c), ErrMapping)
		}
	}
	return nil
}

// Foreign keys that write by themselves, each as what it points at and does.
const actionsSQL = `
	SELECT DISTINCT format('%s, ON DELETE %s, ON UPDATE %s', k.confrelid::regclass, k.confdeltype, k.confupdtype) FROM pg_constraint k
	WHERE k.conrelid = $1 AND k.contype = 'f' AND k.confrelid <> $1 AND (k.confdeltype IN ('c', 'n', 'd') OR k.confupdtype IN ('c', 'n', 'd')) ORDER BY 1`

// actions finds out whether foreign keys act on the tables by themselves. They must do the same on both, or the tables would come apart.
func (r *Replacement) actions(ctx context.Context, q sqlx.QueryerContext) error {
	var old, fresh []string
	if err := sqlx.SelectContext(ctx, q, &old, actionsSQL, r.Old.OID); err != nil {
		return fmt.Errorf("foreign keys of %s: %w", r.Old, pg.Cause(ctx, err))
	}
	if err := sqlx.SelectContext(ctx, q, &fresh, actionsSQL, r.New.OID); err != nil {
		return fmt.Errorf("foreign keys of %s: %w", r.New, pg.Cause(ctx, err))
	}
	for _, a := range fresh {
		if !slices.Contains(old, a) {
			return fmt.Errorf("table %s: %w: its foreign key to %s acts by itself and %s has none that does the same: make it NO ACTION until Complete", r.New, ErrRefused, a, r.Old)
		}
	}
	r.acted, r.actedBack = len(fresh) > 0, len(old) > 0
	for _, a := range old {
		if !slices.Contains(fresh, a) && r.oneWay == nil {
			r.oneWay = fmt.Errorf("the foreign key of %s to %s acts by itself and %s has none that does the same", r.Definition.Table, a, r.New)
		}
	}
	return nil
}

// Unmirrored says what keeps the guard of a phase from being in force; empty when nothing does.
func (r *Replacement) Unmirrored(ctx context.Context, q sqlx.QueryerContext, p phase.Phase) (string, error) {
	m := r.Mirror(p)
	var there []struct {
		Name     string `db:"tgname"`
		OID      int64  `db:"oid"`
		Function string `db:"proname"`
		Text     string `db:"prosrc"`
	}
	err := sqlx.SelectContext(ctx, q, &there, `SELECT g.tgname, g.tgrelid::bigint AS oid, p.proname, p.prosrc FROM pg_trigger g JOIN pg_proc p ON p.oid = g.tgfoid
		WHERE g.tgrelid IN ($1, $2) AND g.tgenabled = 'A' AND p.pronamespace = to_regnamespace('tandem')`, r.Old.OID, r.New.OID)
	if err != nil {
		return "", fmt.Errorf("guard of %s: %w", r.New, pg.Cause(ctx, err))
	}
	want, found := m.Triggers(), 0
	for i, w := range want {
		on := r.Old.OID
		if w.On == r.New.Table {
			on = r.New.OID
		}
		for _, g := range there {
			if g.Name != w.Name || g.OID != on || g.Function != w.Function {
				continue
			}
			found++
			if i == 0 && !m.Closed && g.Text != "\n"+m.Body() {
				return fmt.Sprintf("the guard mirrors other columns than %s and %s have now: run expand.Apply, and backfill.Verify again", r.Old, r.New), nil
			}
		}
	}
	if found < len(want) {
		return fmt.Sprintf("%d of the guard's %d triggers are on %s and %s and ENABLE ALWAYS: run expand.Apply", found, len(want), r.Old, r.New), nil
	}
	return "", nil
}
