package backfill

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/state"
)

// Control is what is asked of all workers of a migration: those of copy, reverse and verify, in every process.
type Control = state.Control

// Settings are what Tune asks for. A zero field leaves it to the options of each call.
type Settings struct {
	Target  time.Duration // of a statement, 1 ms to 10 s
	Rate    float64       // rows a second, of all workers together
	Workers int           // of each process, 1 to 32
}

func (s Settings) check() error {
	switch {
	case s.Target != 0 && (s.Target < minTarget || s.Target > maxTarget):
		return fmt.Errorf("target %s: must lie between %s and %s", s.Target, minTarget, maxTarget)
	case s.Rate < 0:
		return fmt.Errorf("rate %g: must be positive", s.Rate)
	case s.Workers < 0 || s.Workers > maxWorkers:
		return fmt.Errorf("%d workers: must lie between 1 and %d", s.Workers, maxWorkers)
	}
	return nil
}

// Pause asks all workers to rest once their statements have ended, until Resume. Runners wait; one that begins waits too. It can be asked by any process, before a pass begins as well.
// Errors: switchover.ErrUnknown.
func Pause(ctx context.Context, db *sqlx.DB, migration string) error {
	return ask(ctx, db, migration, "pause", func(c *Control) { c.Paused = true })
}

// Resume lets workers go on after Pause, and new calls of Run after Cancel.
func Resume(ctx context.Context, db *sqlx.DB, migration string) error {
	return ask(ctx, db, migration, "resume", func(c *Control) { c.Paused, c.Cancelled = false, false })
}

// Cancel ends all calls of Run and Verify once their statements have ended, with ErrCancelled, and those that come later at once, until Resume. The position is kept.
func Cancel(ctx context.Context, db *sqlx.DB, migration string) error {
	return ask(ctx, db, migration, "cancel", func(c *Control) { c.Cancelled = true })
}

// Tune changes target, rate and workers while they run, each worker after its present statement. It replaces what was tuned before.
func Tune(ctx context.Context, db *sqlx.DB, migration string, s Settings) error {
	if err := s.check(); err != nil {
		return fmt.Errorf("tune %s: %w", migration, err)
	}
	return ask(ctx, db, migration, "tune", func(c *Control) { c.Target, c.Rate, c.Workers = s.Target, s.Rate, s.Workers })
}

// Asked reads what is asked of the workers of a migration.
func Asked(ctx context.Context, db *sqlx.DB, migration string) (Control, error) {
	return state.LoadControl(ctx, db, migration)
}

func ask(ctx context.Context, db *sqlx.DB, migration, what string, change func(*Control)) error {
	if err := state.SetControl(ctx, db, migration, what, change); err != nil {
		return fmt.Errorf("%s %s: %w", what, migration, err)
	}
	return nil
}

// errSuperfluous ends a worker when fewer are asked for.
var errSuperfluous = errors.New("fewer workers are asked for")

// errOver ends a worker that rests as Options.For is over.
var errOver = errors.New("its time is over")

func cancelled(c Control) error {
	return fmt.Errorf("%w by %s: backfill.Resume lets it go on", ErrCancelled, c.By)
}
