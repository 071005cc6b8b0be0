package catalog

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pair"
	"github.com/tandem-go/tandem/internal/pg"
)

// There reads the table of new and stamp: t itself, unless the pair moves to another.
func There(ctx context.Context, q sqlx.QueryerContext, t *Table, d pair.Definition) (*Table, error) {
	if !d.Moved() {
		return t, nil
	}
	return Read(ctx, q, d.To)
}

// Typed is the definition as the table of new sees it, with the type of new spelled out: old's, unless the pair has its own.
func (t *Table) Typed(d pair.Definition) pair.Definition {
	there := d.There()
	if old := t.Column(d.Old[0]); d.Moved() && d.Types == nil && old != nil {
		there.Types = []string{old.TypeSQL()}
	}
	return there
}

// MissingThere is Missing for the table that new is in, of a pair whose old is in t.
func (t *Table) MissingThere(to *Table, d pair.Definition) []string {
	out := to.Missing(t.Typed(d))
	old, c := t.Column(d.Old[0]), to.Column(d.New[0])
	if d.Moved() && d.Types == nil && old != nil && c != nil && c.TypeSQL() != old.TypeSQL() {
		out = append(out, fmt.Sprintf("column %s of %s has type %s, needs %s", ident.Quote(c.Name), to, c.TypeSQL(), old.TypeSQL()))
	}
	return out
}

const arbiterSQL = `
	SELECT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = $1 AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
	  AND (SELECT array_agg(a.attname::text ORDER BY a.attname::text) FROM unnest(i.indkey) WITH ORDINALITY k(num, place)
	       JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.num WHERE k.place <= i.indnkeyatts) = (SELECT array_agg(x ORDER BY x) FROM unnest($2::text[]) x))`

// a foreign key from To's key that would keep a row of Table from being deleted
const holdingSQL = `
	SELECT k.conname FROM pg_constraint k WHERE k.contype = 'f' AND k.conrelid = $1 AND k.confrelid = $2 AND k.confdeltype <> 'c'
	  AND k.conkey && (SELECT array_agg(attnum) FROM pg_attribute WHERE attrelid = $1 AND attname = ANY ($3)) ORDER BY 1 LIMIT 1`

// FitsThere checks that the guard can write one row of to for each row of t, besides what Fits checks.
func (t *Table) FitsThere(ctx context.Context, q sqlx.QueryerContext, to *Table, d pair.Definition) error {
	if !d.Moved() {
		return nil
	}
	for _, x := range []*Table{t, to} {
		var forced bool
		if err := sqlx.GetContext(ctx, q, &forced, `SELECT relforcerowsecurity FROM pg_class WHERE oid = $1`, x.OID); err != nil {
			return fmt.Errorf("table %s: %w", x, pg.Cause(ctx, err))
		}
		switch {
		case x.Partitioned:
			return fmt.Errorf("table %s: %w: a column moves from and to plain tables only, and it is partitioned", x, ErrRefused)
		case forced:
			return fmt.Errorf("table %s: %w: its row security binds the owner too (FORCE), who writes one table for the other", x, ErrRefused)
		}
	}
	for i, name := range d.ToKey {
		c, k := to.Column(name), t.Column(d.Key[i])
		switch {
		case c == nil:
			return fmt.Errorf("table %s, column %s: %w; it has %s", to, ident.Quote(name), ErrNoColumn, ident.List("", to.names()))
		case c.TypeSQL() != k.TypeSQL():
			return fmt.Errorf("table %s, column %s: %w: it is %s, and %s.%s is %s", to, ident.Quote(name), ErrKey, c.TypeSQL(), t, ident.Quote(k.Name), k.TypeSQL())
		case c.Generated != "" || c.Identity == "a":
			return fmt.Errorf("table %s, column %s: %w: a generated column cannot be written", to, ident.Quote(name), ErrRefused)
		}
	}
	var unique bool
	if err := sqlx.GetContext(ctx, q, &unique, arbiterSQL, to.OID, pq.Array(d.ToKey)); err != nil {
		return fmt.Errorf("table %s: %w", to, pg.Cause(ctx, err))
	}
	if !unique {
		return fmt.Errorf("table %s: %w: no primary key or plain unique index on (%s): one row of %s belongs to one of %s", to, ErrKey, ident.List("", d.ToKey), to, t)
	}
	for _, c := range to.Columns {
		if c.NotNull && c.Default == "" && c.Identity == "" && c.Generated == "" && !slices.Contains(d.ToKey, c.Name) && !slices.Contains(d.New, c.Name) {
			return fmt.Errorf("table %s, column %s: %w: it is NOT NULL without a default, and the guard makes rows that leave it out: give it a default", to, ident.Quote(c.Name), ErrRefused)
		}
	}
	var holding []string
	if err := sqlx.SelectContext(ctx, q, &holding, holdingSQL, to.OID, t.OID, pq.Array(d.ToKey)); err != nil {
		return fmt.Errorf("table %s: %w", to, pg.Cause(ctx, err))
	}
	if len(holding) > 0 {
		return fmt.Errorf("table %s, foreign key %s: %w: every row of %s gets a row of %s, which would keep it from being deleted: make it ON DELETE CASCADE",
			to, ident.Quote(holding[0]), ErrRefused, t, to)
	}
	return nil
}

// movedTwins lists the indexes, checks and foreign keys of old. Only an index on old alone has a twin that can be made here: what names other columns of t cannot
// be had in another table, and the rest is for whoever knows what it means there.
func movedTwins(ctx context.Context, tx *sqlx.Tx, t *Table, d pair.Definition) ([]Twin, error) {
	to, err := Read(ctx, tx, d.To)
	if err != nil {
		return nil, err
	}
	var indexes, there []index
	if err := tx.SelectContext(ctx, &indexes, indexesSQL, t.OID, pq.Array(t.numbers(d.Old))); err != nil {
		return nil, err
	}
	if err := tx.SelectContext(ctx, &there, indexesSQL, to.OID, pq.Array(to.numbers(d.New))); err != nil {
		return nil, err
	}
	var out []Twin
	for _, x := range indexes {
		if !x.Mentions || x.Constraint == "x" {
			continue
		}
		text, plain := movedBody(d, x.Body)
		spelled := body{Body: text}
		if plain && x.Constraint == "" {
			w := indexTwin(d.There(), x, spelled, there)
			w.Finish = w.Finish[:1] // the rest is of old's table
			if !w.Ready && slices.ContainsFunc(there, func(o index) bool { return o.Valid && o.Unique == x.Unique && o.Body == text }) {
				w.Ready, w.Finish = true, nil // made by hand, by another name
			}
			out = append(out, w)
			continue
		}
		out = append(out, Twin{Kind: "index", Of: x.Name})
	}
	rules, err := Rules(ctx, tx, t, d)
	for _, r := range rules {
		out = append(out, Twin{Kind: r.Kind, Of: r.Name})
	}
	return out, err
}

// movedBody is the body of an index on old alone, with new for it.
func movedBody(d pair.Definition, body string) (string, bool) {
	method, list, ok := strings.Cut(body, " (")
	if !ok || strings.ContainsAny(list, ",(") || strings.Count(list, ")") != 1 || !strings.HasSuffix(list, ")") {
		return "", false
	}
	old := ident.Quote(d.Old[0])
	rest, ok := strings.CutPrefix(list, old)
	if !ok || rest[0] != ')' && rest[0] != ' ' {
		return "", false
	}
	return method + " (" + ident.Quote(d.New[0]) + rest, true
}
