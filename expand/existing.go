package expand

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pair"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/state"
)

// checkExisting looks at new and stamp columns that are there before Apply: made by a migration tool, or by an Apply of before.
func checkExisting(ctx context.Context, db *sqlx.DB, t *catalog.Table, d pair.Definition) error {
	want := make([]string, len(d.New))
	for i := range d.New {
		want[i] = newTypeSQL(t, d, i)
		if d.Types != nil {
			var err error
			if want[i], err = catalog.SpellType(ctx, db, d.Types[i]); err != nil {
				return err
			}
		}
	}
	for i, name := range append(slices.Clone(d.New), d.Stamp) {
		c := t.Column(name)
		if c == nil {
			continue
		}
		expected := catalog.StampType
		if i < len(want) {
			expected = want[i]
		}
		switch {
		case c.TypeSQL() != expected:
			return fmt.Errorf("table %s, column %s: %w: it is %s, the pair needs %s: drop it, or name another column",
				t, ident.Quote(name), ErrType, c.TypeSQL(), expected)
		case c.NotNull || c.Default != "" || c.Generated != "" || c.Identity != "":
			return fmt.Errorf("table %s, column %s: %w: until Contract it must be a plain nullable column without a default", t, ident.Quote(name), ErrType)
		}
	}
	return nil
}

// refuseFilled refuses to take over a new column that the application has filled: without a stamp the backfill would write over it.
func refuseFilled(ctx context.Context, db *sqlx.DB, t *catalog.Table, d pair.Definition) error {
	unstamped := ""
	if t.Column(d.Stamp) != nil {
		unstamped = " AND " + ident.Quote(d.Stamp) + " IS NULL"
	}
	for _, name := range d.New {
		if t.Column(name) == nil {
			continue
		}
		var filled bool
		// not IS NOT NULL, which is false for a composite value with a NULL in it
		query := fmt.Sprintf(`SELECT EXISTS (SELECT FROM %s WHERE num_nonnulls(%s) > 0%s)`, d.Table.SQL(), ident.Quote(name), unstamped)
		if err := db.GetContext(ctx, &filled, query); err != nil {
			return fmt.Errorf("table %s, column %s: %w", t, ident.Quote(name), pg.Cause(ctx, err))
		}
		if filled {
			return fmt.Errorf("table %s, column %s: %w: it holds values, and the backfill would write over them: set it to NULL, or name another column",
				t, ident.Quote(name), ErrRefused)
		}
	}
	return nil
}

// refuseOverlap is what Apply will ask once more under a lock, before anything waits for one.
func refuseOverlap(ctx context.Context, db *sqlx.DB, d pair.Definition) error {
	list, err := state.List(ctx, db)
	if errors.Is(err, state.ErrNoSchema) {
		return nil
	}
	if err != nil {
		return err
	}
	return state.Overlap(list, d)
}
