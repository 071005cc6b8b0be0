package state

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/pg"
)

// Control is what an operator asks of all workers of a migration. A zero field leaves it to each worker's own options.
type Control struct {
	Paused    bool          `json:"paused,omitempty"`
	Cancelled bool          `json:"cancelled,omitempty"`
	Target    time.Duration `json:"target,omitempty"`  // of a statement
	Rate      float64       `json:"rate,omitempty"`    // rows a second, of all workers together
	Workers   int           `json:"workers,omitempty"` // of each process
	By        string        `json:"by,omitempty"`      // who asked last
}

// Scan reads it from JSON.
func (c *Control) Scan(src any) error { return scanJSON(src, c) }

// Value stores it as JSON.
func (c Control) Value() (driver.Value, error) { return valueJSON(c) }

// LoadControl reads what is asked.
func LoadControl(ctx context.Context, q sqlx.QueryerContext, migration string) (c Control, err error) {
	err = sqlx.GetContext(ctx, q, &c, `SELECT control FROM tandem.control WHERE migration = $1`, migration)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return c, fmt.Errorf("control of %s: %w", migration, missing(pg.Cause(ctx, err)))
	}
	return c, nil
}

// SetControl changes what is asked, and notes who did, and what.
func SetControl(ctx context.Context, db *sqlx.DB, migration, what string, change func(*Control)) error {
	if _, err := Load(ctx, db, migration); err != nil {
		return err
	}
	return pg.InTx(ctx, db, pg.Settings{}, func(ctx context.Context, tx *sqlx.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO tandem.control (migration, control) VALUES ($1, '{}') ON CONFLICT DO NOTHING`, migration); err != nil {
			return fmt.Errorf("control of %s: %w", migration, err)
		}
		var c Control
		if err := tx.GetContext(ctx, &c, `SELECT control FROM tandem.control WHERE migration = $1 FOR UPDATE`, migration); err != nil {
			return fmt.Errorf("control of %s: %w", migration, err)
		}
		change(&c)
		c.By = Actor()
		if _, err := tx.ExecContext(ctx, `UPDATE tandem.control SET control = $2 WHERE migration = $1`, migration, c); err != nil {
			return fmt.Errorf("control of %s: %w", migration, err)
		}
		return Log(ctx, tx, Event{Migration: migration, Kind: "control", Detail: what})
	})
}
