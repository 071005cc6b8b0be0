package expand

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pg"
)

// checkSetSample is checkSample for a column set, whose columns convert together: Go against SQL, and forward of backward of what Go makes. What SQL refuses, or
// what another session makes of it, is not tried here.
func checkSetSample(ctx context.Context, db *sqlx.DB, t *catalog.Table, p Any) (says string, err error) {
	var f findings
	err = pg.InTx(ctx, db, pg.Settings{StatementTimeout: sampleTime}, func(ctx context.Context, tx *sqlx.Tx) error {
		for _, bySQL := range []bool{true, false} {
			if bySQL && !p.Definition().HasForward() {
				continue
			}
			if _, err := tx.ExecContext(ctx, `SAVEPOINT tandem_sample`); err != nil {
				return err
			}
			f = findings{}
			err := f.readSet(ctx, tx, t, p, bySQL)
			if !bySQL || err == nil || errors.Is(err, ErrConversion) || pg.SQLState(err) == "" {
				return err
			}
			if _, err := tx.ExecContext(ctx, `ROLLBACK TO SAVEPOINT tandem_sample`); err != nil { // SQL refuses some row: judge by Go alone
				return err
			}
		}
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("sample of the rows: %w", err)
	}
	return f.String(), nil
}

// readSet reads old, and what SQL makes of it, and lets the pair judge.
func (f *findings) readSet(ctx context.Context, tx *sqlx.Tx, t *catalog.Table, p Any, bySQL bool) error {
	d, c := p.Definition(), p.Conversion()
	columns := ident.QuoteAll("t.", d.Old)
	if bySQL {
		columns = append(columns, d.AssignedSQL("t.")...)
	}
	rows, err := tx.QueryContext(ctx, fmt.Sprintf(`SELECT ARRAY[%s], ROW(%s)::text, %s FROM %s AS t ORDER BY %s LIMIT %d`, strings.Join(ident.QuoteAll("t.", d.Key), "::text, ")+"::text",
		ident.List("t.", d.Old), strings.Join(columns, ", "), t.SQL(), ident.List("t.", d.Key), sampleRows))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		o := &outcome{}
		f.outcomes = append(f.outcomes, o)
		old, made := c.ScanOld(), c.ScanNew()
		to := append([]any{pq.Array(&o.key), &o.old}, c.Old(old)...)
		if bySQL {
			to = append(to, c.New(made)...)
		}
		if err := rows.Scan(to...); err != nil {
			return err
		}
		if err := f.judgeSet(o, c, old, made, bySQL); err != nil {
			return fmt.Errorf("%s: %w: %w", o.at(), ErrConversion, err)
		}
	}
	return rows.Err()
}

// judgeSet is nil for a row that converts, and for one that Go does not convert, which is counted.
func (f *findings) judgeSet(o *outcome, c Conversion, old, made any, bySQL bool) error {
	byGo, err := unpanicked(func() ([]any, error) { return c.Forward(old) })
	if f.note(o, err) || !bySQL {
		return nil
	}
	same, err := unpanicked(func() (bool, error) { return c.Equal(old, made) })
	if !same || err != nil {
		return errors.Join(fmt.Errorf("forward in Go makes %v, and in SQL something else", shownAll(byGo)), err)
	}
	if c.Backward == nil {
		return nil
	}
	if _, err := unpanicked(func() ([]any, error) { return c.Backward(made) }); err != nil {
		return fmt.Errorf("the way back of what forward makes is none: %w", err)
	}
	return nil
}

func shownAll(values []any) []any {
	out := make([]any, len(values))
	for i, v := range values {
		out[i] = shown(v)
	}
	return out
}
