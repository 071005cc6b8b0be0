package expandtest

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pg"
)

// bench is a temporary table with one row of old and new.
type bench struct {
	tx       *sqlx.Tx
	d        expand.Definition
	c        expand.Conversion
	old, new string // quoted
	nullable bool   // old may be NULL in the real table
}

// errRefused is an old value that old's type does not take.
type errRefused struct{ error }

func refused(err error) bool { return errors.As(err, &errRefused{}) }

func newBench(ctx context.Context, db *sqlx.DB, p expand.Any) (*bench, error) {
	if err := p.Err(); err != nil {
		return nil, err
	}
	b := &bench{d: p.Definition().Apart(), c: p.Conversion()}
	b.old, b.new = ident.Quote(b.d.Old[0]), ident.Quote(b.d.New[0])
	t, err := catalog.Read(ctx, db, b.d.Table)
	if err != nil {
		return nil, err
	}
	if err := t.Fits(b.d); err != nil {
		return nil, err
	}
	column := t.Column(b.d.Old[0])
	b.nullable = !column.NotNull
	newType := column.TypeSQL()
	if b.d.Types != nil {
		newType = b.d.Types[0]
	}
	if b.tx, err = db.BeginTxx(ctx, nil); err != nil {
		return nil, err
	}
	for _, sql := range []string{
		`CREATE TEMPORARY TABLE tandem_check (` + b.old + ` ` + column.TypeSQL() + `, ` + b.new + ` ` + newType + `) ON COMMIT DROP`,
		`INSERT INTO tandem_check DEFAULT VALUES`,
		`SELECT set_config('search_path', 'pg_catalog, pg_temp', true)`, // as the guard has it
	} {
		if _, err := b.tx.ExecContext(ctx, sql); err != nil {
			b.close()
			return nil, err
		}
	}
	return b, nil
}

func (b *bench) close() { _ = b.tx.Rollback() }

// set computes a column of the row; the transaction outlives an error of it.
func (b *bench) set(ctx context.Context, column, expr string, args ...any) error {
	if _, err := b.tx.ExecContext(ctx, `SAVEPOINT tandem_check`); err != nil {
		return err
	}
	_, err := b.tx.ExecContext(ctx, `UPDATE pg_temp.tandem_check AS t SET `+column+` = `+expr, args...)
	if err != nil {
		_, lost := b.tx.ExecContext(ctx, `ROLLBACK TO SAVEPOINT tandem_check`)
		return errors.Join(pg.Cause(ctx, err), lost)
	}
	_, err = b.tx.ExecContext(ctx, `RELEASE SAVEPOINT tandem_check`) // else they pile up
	return err
}

// read scans a column, and as PostgreSQL shows it.
func (b *bench) read(ctx context.Context, column string, to any) (shown string, err error) {
	err = b.tx.QueryRowContext(ctx, `SELECT `+column+`, coalesce(`+column+`::text, 'NULL') FROM pg_temp.tandem_check`).Scan(to, &shown)
	return shown, err
}

// try says what is wrong with the conversions of one old value; "" when nothing is.
func (b *bench) try(ctx context.Context, value any) (says string, err error) {
	if err := b.set(ctx, b.old, `$1`, value); err != nil {
		if code := pg.SQLState(err); strings.HasPrefix(code, "22") || strings.HasPrefix(code, "23") { // it does not fit, or a domain says no
			err = errRefused{err}
		}
		return "", err
	}
	old := b.c.ScanOld()
	shown, err := b.read(ctx, b.old, old)
	if err != nil {
		return "", fmt.Errorf("old %v: %w", value, err)
	}
	made, err := b.c.Forward(old)
	if errors.Is(err, expand.ErrNull) {
		if !b.nullable {
			return "", nil
		}
		return fmt.Sprintf("old NULL: %v", err), nil
	}
	says, failed := b.sql(ctx, old, made, err)
	if says == "" && failed == nil && err == nil {
		says, failed = b.stored(ctx, old, made)
	}
	if says == "" && failed == nil && err == nil {
		says, failed = b.back(ctx)
	}
	if says != "" {
		says = "old " + shown + ": " + says
	}
	return says, failed
}

// equal tells whether new is forward of old; what Equal cannot compare is not.
func (b *bench) equal(old, have any) bool {
	same, err := b.c.Equal(old, have)
	return err == nil && same
}

// sql compares the two forms of forward.
func (b *bench) sql(ctx context.Context, old, made any, refusedByGo error) (string, error) {
	if !b.d.HasForward() {
		return "", nil
	}
	refusedBySQL := b.set(ctx, b.new, b.d.ForwardSQL("t.")[0])
	have := b.c.ScanNew()
	bySQL, err := b.read(ctx, b.new, have)
	switch {
	case err != nil:
		return "", fmt.Errorf("forward in SQL: %w", err)
	case refusedByGo != nil && refusedBySQL != nil:
		return "", nil //nolint:nilerr // both refuse it, as they should
	case refusedByGo != nil:
		return fmt.Sprintf("Go refuses it (%v), SQL makes %s", refusedByGo, bySQL), nil
	case refusedBySQL != nil:
		return fmt.Sprintf("Go makes %v, SQL refuses it (%v)", made, refusedBySQL), nil
	}
	if !b.equal(old, have) {
		byGo := fmt.Sprint(made)
		if b.set(ctx, b.new, `$1`, made) == nil {
			if text, err := b.read(ctx, b.new, b.c.ScanNew()); err == nil {
				byGo = text
			}
		}
		return fmt.Sprintf("Go makes %s, SQL makes %s", byGo, bySQL), nil
	}
	return "", nil
}

// stored compares what Go makes with what comes back of it.
func (b *bench) stored(ctx context.Context, old, made any) (string, error) {
	if err := b.set(ctx, b.new, `$1`, made); err != nil {
		return fmt.Sprintf("Go makes %v, and new does not take it: %v", made, err), nil
	}
	have := b.c.ScanNew()
	shown, err := b.read(ctx, b.new, have)
	if err != nil {
		return "", fmt.Errorf("new of Go: %w", err)
	}
	if !b.equal(old, have) {
		return fmt.Sprintf("Go makes %v, it is stored as %s, and forward once more is not equal to that: declare Equal if it is the same value, else forward must depend "+
			"on its argument alone", made, shown), nil
	}
	return "", nil
}

// back goes from new, which stored has left there, to old and forward again.
func (b *bench) back(ctx context.Context) (string, error) {
	made := b.c.ScanNew()
	shown, err := b.read(ctx, b.new, made)
	if err != nil {
		return "", err
	}
	if b.c.Backward != nil {
		old, err := b.c.Backward(made)
		if err != nil {
			return fmt.Sprintf("forward makes %s: %v", shown, err), nil
		}
		if says, err := b.leads(ctx, "Go", shown, made, `$1`, old); err != nil || says != "" {
			return says, err
		}
	}
	if !b.d.HasBackward() {
		return "", nil
	}
	return b.leads(ctx, "SQL", shown, made, b.d.BackwardSQL("t.")[0])
}

// leads computes old from new, and wants forward of it to be new.
func (b *bench) leads(ctx context.Context, form, shown string, made any, expr string, args ...any) (string, error) {
	if err := b.set(ctx, b.old, expr, args...); err != nil {
		return fmt.Sprintf("forward makes %s, and backward in %s is refused: %v", shown, form, err), nil
	}
	old := b.c.ScanOld()
	back, err := b.read(ctx, b.old, old)
	if err != nil {
		return "", err
	}
	if !b.equal(old, made) {
		return fmt.Sprintf("forward makes %s, backward in %s makes %s of that, and forward of that is another", shown, form, back), nil
	}
	return "", nil
}
