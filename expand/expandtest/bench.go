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
	old, new []string // columns
	nullable bool     // all of old may be NULL in the real table
}

// errRefused is an old value that old's type does not take.
type errRefused struct{ error }

func refused(err error) bool { return errors.As(err, &errRefused{}) }

func newBench(ctx context.Context, db *sqlx.DB, p expand.Any) (*bench, error) {
	if err := p.Err(); err != nil {
		return nil, err
	}
	d := p.Definition().Apart()
	b := &bench{d: d, c: p.Conversion(), old: d.Old, new: d.New, nullable: true}
	t, err := catalog.Read(ctx, db, b.d.Table)
	if err != nil {
		return nil, err
	}
	if err := t.Fits(b.d); err != nil {
		return nil, err
	}
	var columns []string
	for _, name := range b.old {
		columns = append(columns, ident.Quote(name)+" "+t.Column(name).TypeSQL())
		b.nullable = b.nullable && !t.Column(name).NotNull
	}
	for i, name := range b.new {
		typeSQL := t.Column(b.old[0]).TypeSQL()
		if b.d.Types != nil {
			typeSQL = b.d.Types[i]
		}
		columns = append(columns, ident.Quote(name)+" "+typeSQL)
	}
	if b.tx, err = db.BeginTxx(ctx, nil); err != nil {
		return nil, err
	}
	for _, sql := range []string{
		`CREATE TEMPORARY TABLE tandem_check (` + strings.Join(columns, ", ") + `) ON COMMIT DROP`,
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

// set computes columns of the row; the transaction outlives an error of it.
func (b *bench) set(ctx context.Context, columns, exprs []string, args ...any) error {
	if _, err := b.tx.ExecContext(ctx, `SAVEPOINT tandem_check`); err != nil {
		return err
	}
	sets := ident.QuoteAll("", columns)
	for i, e := range exprs {
		sets[i] += " = " + e
	}
	_, err := b.tx.ExecContext(ctx, `UPDATE pg_temp.tandem_check AS t SET `+strings.Join(sets, ", "), args...)
	if err != nil {
		_, lost := b.tx.ExecContext(ctx, `ROLLBACK TO SAVEPOINT tandem_check`)
		return errors.Join(pg.Cause(ctx, err), lost)
	}
	_, err = b.tx.ExecContext(ctx, `RELEASE SAVEPOINT tandem_check`) // else they pile up
	return err
}

// put is set with values.
func (b *bench) put(ctx context.Context, columns []string, values []any) error {
	exprs := make([]string, len(columns))
	for i := range exprs {
		exprs[i] = fmt.Sprintf("$%d", i+1)
	}
	return b.set(ctx, columns, exprs, values...)
}

// read scans columns, and as PostgreSQL shows them.
func (b *bench) read(ctx context.Context, columns []string, to []any) (shown string, err error) {
	list := ident.List("", columns)
	text := "coalesce(" + list + "::text, 'NULL')"
	if len(columns) > 1 {
		text = "ROW(" + list + ")::text"
	}
	err = b.tx.QueryRowContext(ctx, `SELECT `+list+`, `+text+` FROM pg_temp.tandem_check`).Scan(append(to, &shown)...)
	return shown, err
}

// readOld and readNew read one side.
func (b *bench) readOld(ctx context.Context) (old any, shown string, err error) {
	old = b.c.ScanOld()
	shown, err = b.read(ctx, b.old, b.c.Old(old))
	return old, shown, err
}

func (b *bench) readNew(ctx context.Context) (new any, shown string, err error) {
	new = b.c.ScanNew()
	shown, err = b.read(ctx, b.new, b.c.New(new))
	return new, shown, err
}

// try says what is wrong with the conversions of one old value; "" when nothing is.
func (b *bench) try(ctx context.Context, values []any) (says string, err error) {
	if err := b.put(ctx, b.old, values); err != nil {
		if code := pg.SQLState(err); strings.HasPrefix(code, "22") || strings.HasPrefix(code, "23") { // it does not fit, or a domain says no
			err = errRefused{err}
		}
		return "", err
	}
	old, shown, err := b.readOld(ctx)
	if err != nil {
		return "", fmt.Errorf("old %v: %w", values, err)
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
func (b *bench) sql(ctx context.Context, old any, made []any, refusedByGo error) (string, error) {
	if !b.d.HasForward() {
		return "", nil
	}
	refusedBySQL := b.set(ctx, b.new, b.d.ForwardSQL("t."))
	have, bySQL, err := b.readNew(ctx)
	switch {
	case err != nil:
		return "", fmt.Errorf("forward in SQL: %w", err)
	case refusedByGo != nil && refusedBySQL != nil:
		return "", nil //nolint:nilerr // both refuse it, as they should
	case refusedByGo != nil:
		return fmt.Sprintf("Go refuses it (%v), SQL makes %s", refusedByGo, bySQL), nil
	case refusedBySQL != nil:
		return fmt.Sprintf("Go makes %v, SQL refuses it (%v)", listed(made), refusedBySQL), nil
	}
	if !b.equal(old, have) {
		byGo := listed(made)
		if b.put(ctx, b.new, made) == nil {
			if _, text, err := b.readNew(ctx); err == nil {
				byGo = text
			}
		}
		return fmt.Sprintf("Go makes %s, SQL makes %s", byGo, bySQL), nil
	}
	return "", nil
}

// stored compares what Go makes with what comes back of it.
func (b *bench) stored(ctx context.Context, old any, made []any) (string, error) {
	if err := b.put(ctx, b.new, made); err != nil {
		return fmt.Sprintf("Go makes %v, and new does not take it: %v", listed(made), err), nil
	}
	have, shown, err := b.readNew(ctx)
	if err != nil {
		return "", fmt.Errorf("new of Go: %w", err)
	}
	if !b.equal(old, have) {
		return fmt.Sprintf("Go makes %v, it is stored as %s, and forward once more is not equal to that: declare Equal if it is the same value, else forward must depend "+
			"on its argument alone", listed(made), shown), nil
	}
	return "", nil
}

// back goes from new, which stored has left there, to old and forward again.
func (b *bench) back(ctx context.Context) (string, error) {
	made, shown, err := b.readNew(ctx)
	if err != nil {
		return "", err
	}
	if b.c.Backward != nil {
		old, err := b.c.Backward(made)
		if err != nil {
			return fmt.Sprintf("forward makes %s: %v", shown, err), nil
		}
		if says, err := b.leads(ctx, "Go", shown, made, b.put(ctx, b.old, old)); err != nil || says != "" {
			return says, err
		}
	}
	if !b.d.HasBackward() {
		return "", nil
	}
	return b.leads(ctx, "SQL", shown, made, b.set(ctx, b.old, b.d.BackwardSQL("t.")))
}

// leads judges an old that was made of new, and that the server may have refused: forward of it must be new.
func (b *bench) leads(ctx context.Context, form, shown string, made any, refused error) (string, error) {
	if refused != nil {
		return fmt.Sprintf("forward makes %s, and backward in %s is refused: %v", shown, form, refused), nil
	}
	old, back, err := b.readOld(ctx)
	if err != nil {
		return "", err
	}
	if !b.equal(old, made) {
		return fmt.Sprintf("forward makes %s, backward in %s makes %s of that, and forward of that is another", shown, form, back), nil
	}
	return "", nil
}

// listed is one value as it is, several in brackets.
func listed(values []any) string {
	if len(values) == 1 {
		return fmt.Sprint(values[0])
	}
	return fmt.Sprint(values)
}
