package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/examples/internal/fresh"
	"github.com/tandem-go/tandem/switchover"
)

// stage is where the story plays: the services, the screen, and what has been found so far.
type stage struct {
	*screen
	*fleet
	phase       switchover.Phase
	dwell       time.Duration // least time from one step to the next; half of it belongs to the services alone
	stepTime    time.Duration
	verified    int // comparisons of all rows
	differences int64
	seen        int64 // rows whose columns a read found to differ
}

// stepTime bounds a step on a table of so many rows, so that a gate that never opens ends the program with the list of what is missing.
func stepTime(rows int64) time.Duration {
	return time.Minute + time.Duration(rows)*200*time.Microsecond
}

// play sets the stage, plays the story, and returns what it proved. The result is worth printing also with an error.
func play(ctx context.Context, o options, out *os.File) (res *result, err error) {
	screen := newScreen(out)
	res = &result{Rows: o.rows}
	database, err := fresh.Open(ctx, "rename", out)
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, database.Close(ctx)) }()
	db, err := sqlx.ConnectContext(ctx, "postgres", database.DSN("operator"))
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()

	screen.say("users: %s rows", thousands(o.rows))
	if err := createTables(ctx, db, o.rows); err != nil {
		return res, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	fleet, err := startFleet(ctx, database.DSN, o.rows, cancel)
	s := &stage{screen: screen, fleet: fleet, stepTime: stepTime(o.rows)}
	s.dwell = time.Duration(o.seconds) * time.Second / time.Duration(len(story))
	if err == nil {
		err = s.tellStory(ctx, db)
	}
	err = errors.Join(err, fleet.stopAll())
	res.take(s)
	if err == nil {
		err = res.prove(ctx, db, s)
	}
	return res, err
}

// tellStory takes the steps one after the other, and lets the services work for a while after each.
func (s *stage) tellStory(ctx context.Context, db *sqlx.DB) error {
	for i, step := range story {
		began := time.Now()
		s.say("%d. %s: %s", i+1, step.phase, step.title)
		stepCtx, cancel := context.WithTimeout(ctx, s.stepTime)
		err := step.do(stepCtx, db, s)
		cancel()
		if err != nil {
			return fmt.Errorf("step %d, to %s: %w", i+1, step.phase, err)
		}
		s.phase = step.phase
		s.tell(step.phase)
		took := time.Since(began)
		if err := s.wait(ctx, max(s.dwell-took, s.dwell/2)); err != nil {
			return err
		}
		operations, failed := s.counts()
		s.say("  done in %s; %s operations so far, %d errors", short(took), thousands(operations), failed)
	}
	return nil
}

// wait lets the services work, under a bar on a terminal.
func (s *stage) wait(ctx context.Context, d time.Duration) error {
	bar := s.bar("the services work")
	defer bar.end()
	until := time.Now().Add(d)
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for left := d; left > 0; left = time.Until(until) {
		operations, failed := s.counts()
		bar.move(int64(d-left), int64(d), fmt.Sprintf("%s operations, %d errors", thousands(operations), failed))
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
	return nil
}

// countDifferences counts the rows whose columns a read of a service found to differ.
func (s *stage) countDifferences(ctx context.Context, db *sqlx.DB) error {
	err := db.GetContext(ctx, &s.seen, `SELECT count(*) FROM tandem.mismatch WHERE migration = $1 AND source = 'read'`, FullName.Name())
	if err != nil {
		return fmt.Errorf("differences that reads saw: %w", err)
	}
	return nil
}

func short(d time.Duration) string {
	if d < 100*time.Millisecond {
		return d.Round(time.Millisecond / 10).String()
	}
	return d.Round(10 * time.Millisecond).String()
}

// shorten cuts a line for the screen.
func shorten(text string, limit int) string {
	text, _, _ = strings.Cut(text, "\n")
	runes := []rune(text)
	if len(runes) <= limit {
		return text
	}
	return string(runes[:limit-3]) + "..."
}
