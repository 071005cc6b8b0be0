package trial

import (
	"context"
	"fmt"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/switchover"
)

// Stage is where a story is told: its databases, its listener, and what has come of it so far.
type Stage struct {
	Result

	Rows int64
	DB   map[string]*sqlx.DB // of each application
	Say  func(format string, args ...any)

	spoil string
}

// Step is one step of an operator O.
type Step[O any] struct {
	Title string
	Do    func(O, context.Context) error
}

// Tell takes the steps. Between two of them a real operator waits for days; here wait says for how long.
func Tell[O any](ctx context.Context, operator O, steps []Step[O], say func(format string, args ...any), wait func(context.Context) error) error {
	for i, step := range steps {
		say("%d. %s", i+1, step.Title)
		if err := step.Do(operator, ctx); err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
		if err := wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Status is what an operator looks at before every step: where the migrations stand, who takes part, who goes around, and what is missing.
func Status(ctx context.Context, db *sqlx.DB, gates switchover.Options, say func(format string, args ...any)) error {
	list, err := switchover.Status(ctx, db, gates)
	for _, migration := range list {
		say("%s", migration)
	}
	return err
}

// BadRow is a row whose value does not convert, and why.
type BadRow struct {
	ID    int64  `db:"id"`
	Error string `db:"error"`
}

// BadRows are those of a migration that the backfill has set aside.
func BadRows(ctx context.Context, db *sqlx.DB, migration string) (bad []BadRow, err error) {
	err = db.SelectContext(ctx, &bad, `SELECT key[1]::bigint AS id, error FROM tandem.bad_row WHERE migration = $1 ORDER BY id`, migration)
	return bad, err
}

// Prove compares the table when all is over; a test has then spoilt it.
func (s *Stage) Prove(ctx context.Context, db *sqlx.DB, compare func(context.Context) error) error {
	if s.spoil != "" {
		if _, err := db.ExecContext(ctx, s.spoil); err != nil {
			return err
		}
	}
	return compare(ctx)
}
