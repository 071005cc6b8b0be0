package catalog

import (
	"context"
	"fmt"
	"slices"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pair"
	"github.com/tandem-go/tandem/internal/pg"
)

// Key is an index that tells the rows of a table apart: its primary key, or a unique index of NOT NULL columns.
type Key struct {
	Index   string
	Primary bool
	Columns pq.StringArray
	Desc    pq.BoolArray // by column: from the highest value on
	Nulls   pq.BoolArray `db:"nulls_first"` // by column: where NULLs would be. None are, but who asks for another order gets no help of the index
}

// A partial index or one of expressions holds not every row, one that can be deferred not at every moment, and one with another collation or operator class than its column's
// compares by another =. The smallest comes first: fewest columns, then fewest bytes by their types, of unbounded ones 32, then by name: the same on every server.
const keysSQL = `
	SELECT c.relname AS index, i.indisprimary AS primary, array_agg(a.attname::text ORDER BY k.place) AS columns,
	       array_agg(i.indoption[k.place - 1] & 1 <> 0 ORDER BY k.place) AS desc, array_agg(i.indoption[k.place - 1] & 2 <> 0 ORDER BY k.place) AS nulls_first
	FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid CROSS JOIN unnest(i.indkey) WITH ORDINALITY k(attnum, place)
	LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum AND k.attnum <> 0
	LEFT JOIN pg_opclass o ON o.oid = i.indclass[k.place - 1]
	WHERE i.indrelid = $1 AND k.place <= i.indnkeyatts
	  AND (i.indisprimary OR i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL)
	GROUP BY i.indexrelid, c.relname, i.indisprimary
	HAVING i.indisprimary OR bool_and(a.attnotnull AND o.opcdefault AND i.indcollation[k.place - 1] IN (0, a.attcollation)
	  AND NOT EXISTS (SELECT FROM pg_constraint n WHERE n.conrelid = i.indrelid AND n.contype = 'n' AND NOT n.convalidated AND a.attnum = ANY (n.conkey)))
	ORDER BY i.indisprimary DESC, count(*), sum(CASE WHEN a.attlen > 0 THEN a.attlen ELSE 32 END), c.relname`

func readKeys(ctx context.Context, q sqlx.QueryerContext, t *Table) error {
	if err := sqlx.SelectContext(ctx, q, &t.Keys, keysSQL, t.OID); err != nil {
		return fmt.Errorf("keys of %s: %w", t, pg.Cause(ctx, err))
	}
	if len(t.Keys) > 0 && t.Keys[0].Primary {
		t.PrimaryKey = t.Keys[0].Columns
	}
	return nil
}

// KeyOf finds the index of exactly these columns, in whatever order; nil when there is none.
func (t *Table) KeyOf(columns []string) *Key {
	for i := range t.Keys {
		if sameSet(t.Keys[i].Columns, columns) {
			return &t.Keys[i]
		}
	}
	return nil
}

// fitsKey checks that the pair's key is one.
func (t *Table) fitsKey(d pair.Definition) error {
	switch {
	case d.Keyless() && len(t.Keys) > 0:
		return fmt.Errorf("table %s: %w: the pair is declared with NoKey, and %s: name it in the pair's Key", t, ErrKey, t.bestKey())
	case d.Keyless() || t.KeyOf(d.Key) != nil:
		return nil
	case len(t.Keys) == 0:
		return fmt.Errorf("table %s: %w: it has no primary key, and no unique index of NOT NULL columns that is neither partial, of expressions, deferrable nor of another collation than "+
			"its columns: add one (CREATE UNIQUE INDEX CONCURRENTLY, then ADD PRIMARY KEY USING INDEX), or declare the pair with expand.NoKey and read what that closes off", t, ErrKey)
	}
	return fmt.Errorf("table %s: %w: the pair is declared with key (%s), %s: name it in the pair's Key", t, ErrKey, ident.List("", d.Key), t.bestKey())
}

// bestKey tells the primary key, or the smallest of the others.
func (t *Table) bestKey() string {
	k, word := t.Keys[0], "the smallest unique index of NOT NULL columns"
	if k.Primary {
		word = "the primary key"
	}
	return word + " is (" + ident.List("", k.Columns) + ")"
}

// KeyTypes are the types of a pair's key columns; of a table without a key, of a row's place.
func (t *Table) KeyTypes(key []string) (out []string) {
	for _, name := range key {
		if name == pair.NoKey {
			out = append(out, "tid")
			continue
		}
		out = append(out, t.Column(name).Type)
	}
	return out
}

func sameSet(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}
