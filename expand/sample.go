package expand

import (
	"context"
	"errors"
	"fmt"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pair"
	"github.com/tandem-go/tandem/internal/pg"
)

// sample is how a pair's conversions do on some rows of the table, before anything is touched. PostgreSQL computes in a temporary table with the types of the pair,
// in a transaction that is rolled back.
type sample struct {
	tx       *sqlx.Tx
	t        *catalog.Table
	d        pair.Definition
	c        Conversion
	old, new string // quoted
	have     string // the column that holds what forward makes, as stored
	findings
}

// checkSample lets Go and PostgreSQL convert a sample of the rows. It returns what the operator should know before the start, such as how many would become bad
// rows; ErrConversion where the two forms disagree.
func checkSample(ctx context.Context, db *sqlx.DB, t *catalog.Table, p Any) (says string, err error) {
	if p.Definition().IsSet() {
		return checkSetSample(ctx, db, t, p)
	}
	s := &sample{t: t, d: p.Definition(), c: p.Conversion(), have: "tandem_go"}
	s.old, s.new = ident.Quote(s.d.Old[0]), ident.Quote(s.d.New[0])
	if s.d.HasForward() {
		s.have = s.new
	}
	check := s.compare
	if s.d.Identity() {
		check = s.read
	}
	err = pg.InTx(ctx, db, pg.Settings{StatementTimeout: sampleTime}, func(ctx context.Context, tx *sqlx.Tx) error {
		s.tx = tx
		pick, err := s.pickSQL(ctx)
		if err != nil {
			return err
		}
		if err := check(ctx, pick); err != nil {
			return err
		}
		return errParsed
	})
	if !errors.Is(err, errParsed) {
		return "", fmt.Errorf("sample of the rows: %w", err)
	}
	return s.String(), nil
}

// read looks whether the pair's Go type takes what is there. A rename needs no more, and no right to make a temporary table.
func (s *sample) read(ctx context.Context, pick string) error {
	if _, err := s.convert(ctx, "("+pick+")", sampleType{}); err != nil {
		return err
	}
	for _, o := range s.outcomes {
		s.note(o, o.err)
	}
	return s.illegible()
}

// compare fills the temporary table column by column: new by SQL, and again in a session of other settings; what Go makes; old by the way back.
func (s *sample) compare(ctx context.Context, pick string) error {
	types, err := s.create(ctx, pick)
	if err != nil {
		return err
	}
	if s.d.HasForward() {
		forward := s.d.ForwardSQL("t.")[0]
		if err := s.fill(ctx, s.new, forward); err != nil {
			return err
		}
		if err := s.elsewhere(ctx, func() error { return s.fill(ctx, "tandem_again", forward) }); err != nil {
			return err
		}
	}
	made, err := s.convert(ctx, "pg_temp.tandem_sample", types[1])
	if err != nil {
		return err
	}
	if err := s.put(ctx, "tandem_go", made); err != nil {
		return err
	}
	back, err := s.judge(ctx, types[0])
	if err != nil {
		return err
	}
	if err := s.illegible(); err != nil {
		return err
	}
	switch {
	case s.d.HasBackward():
		err = s.fill(ctx, "tandem_back", s.d.BackwardSQL("t.")[0])
	case s.c.Backward != nil:
		err = s.put(ctx, "tandem_back", back)
	default:
		return nil
	}
	if err != nil {
		return err
	}
	return s.judgeBack(ctx)
}
