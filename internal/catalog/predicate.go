package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/fragment"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pg"
)

// errParsed ends a transaction that was only to parse something.
var errParsed = errors.New("rolled back on purpose")

// Predicate writes a condition with column names in braces, `{tenant} = 7`, as one on rows called t. It may depend on the row's own values alone, so that it is the same rows in every
// statement and to every process: PostgreSQL asks that of a generated column, and is asked to make one, of a temporary table whose columns have other names, for those outside braces
// mean nothing. Errors: ErrNoColumn, ErrRefused, or what PostgreSQL cannot parse.
func (t *Table) Predicate(ctx context.Context, db *sqlx.DB, text string) (string, error) {
	names := t.names()
	as := func(write func(i int) string) (string, error) {
		return fragment.Expand(text, func(name string) (string, error) {
			i := slices.Index(names, name)
			if i < 0 {
				return "", fmt.Errorf("column {%s}: %w in %s; it has %s", name, ErrNoColumn, t, ident.List("", names))
			}
			return write(i), nil
		})
	}
	out, err := as(func(i int) string { return "t." + ident.Quote(names[i]) })
	if err != nil {
		return "", err
	}
	apart, err := as(func(i int) string { return fmt.Sprintf("tandem_%d", i) })
	if err != nil {
		return "", err
	}
	err = pg.InTx(ctx, db, pg.Settings{}, func(ctx context.Context, tx *sqlx.Tx) error { return t.parse(ctx, tx, apart) })
	if !errors.Is(err, errParsed) {
		return "", err
	}
	return "(" + out + "\n)", nil // it may end in a comment
}

func (t *Table) parse(ctx context.Context, tx *sqlx.Tx, text string) error {
	columns := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		columns[i] = fmt.Sprintf("tandem_%d %s", i, c.TypeSQL())
	}
	for _, sql := range []string{`CREATE TEMPORARY TABLE tandem_scope (` + strings.Join(columns, ", ") + `) ON COMMIT DROP`, `SELECT set_config('search_path', 'pg_catalog, pg_temp', true)`} {
		if _, err := tx.ExecContext(ctx, sql); err != nil {
			return err
		}
	}
	// A prepared statement is one statement; without parentheses about it the text closes none that it has not opened.
	s, err := tx.PrepareContext(ctx, `SELECT FROM pg_temp.tandem_scope WHERE `+text)
	if err != nil {
		return fmt.Errorf("column names belong in braces: %w", err)
	}
	defer func() { _ = s.Close() }()
	_, err = tx.ExecContext(ctx, `ALTER TABLE pg_temp.tandem_scope ADD tandem_is boolean GENERATED ALWAYS AS (`+text+"\n) STORED")
	switch pg.SQLState(err) {
	case "":
		return errors.Join(err, errParsed)
	case "42P17":
		return fmt.Errorf("%w: it must be true of the same rows in every statement and every session, and PostgreSQL does not call it IMMUTABLE (now(), chance, text that depends on settings): %w", ErrRefused, err)
	case "0A000", "42803", "42P20": // a sub-select, a set; an aggregate; a window
		return fmt.Errorf("%w: it must depend on the row's values alone: %w", ErrRefused, err)
	}
	return err
}
