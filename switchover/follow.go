package switchover

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"
	"unicode"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/state"
)

// FollowOptions say how Follow moves a migration. The zero value is complete.
type FollowOptions struct {
	// Options of each step. Actor defaults to "flag via user@host", so that the event log shows that no person took the step. No gate is waived
	// but those that Waive names. Wait and Within belong to a single step and are refused.
	Options

	Poll time.Duration // how often the source is asked, give or take a fifth; defaults to 5 s
	Log  *slog.Logger  // steps, and what keeps the proposed one from being taken, once each time it changes; defaults to slog.Default()

	// Contract lets the source take the step from Switch to Contract, and the one back. Defaults to false: from Contract the way back is not instant, for old is whole again
	// only after backfill.Run with Reverse and contract.Apply with Restore, and a flag that still says Switch would at once undo the step of an operator.
	Contract bool
}

// Follow moves a migration towards the phase that the source proposes, until ctx ends, and returns ctx's cause. Other errors, all of them at once: options that make no
// sense. Whatever goes wrong later, such as a migration that is not there yet, is logged and tried again.
//
// The database admits, the source proposes: Follow takes the steps that an operator would take with Advance and Revert, with the same gates and locks and the
// same rights. A forward step is taken when its gates are open, at most one a poll; steps back follow one another at once. An error of the source, or what is no phase, keeps the
// phase. A flag moves a migration between Start and Switch, with FollowOptions.Contract up to Contract, and never to Complete, which takes contract.Apply with Drop.
//
// After the database has fallen back from Switch to Migrate a source that still proposes Switch is not obeyed, until it has been seen to propose Migrate or
// less, or until an operator has moved the migration; a new Follow asks to see that again. Otherwise a phase set by hand is only where Follow goes on from: to move a migration by hand, end Follow or set the flag.
//
// Every instance of a service may follow at once: of those who take the same step one does. They must be told the same phase, or they move it to and fro. One follower is
// enough, and spares the database the questions of the gates.
func Follow(ctx context.Context, db *sqlx.DB, migration string, source Source, o FollowOptions) error {
	o, err := o.withDefaults()
	if err != nil {
		return fmt.Errorf("follow %s: %w", migration, err)
	}
	f := follower{db: db, migration: migration, source: source, o: o}
	for {
		if err := pg.Sleep(ctx, f.round(ctx)); err != nil {
			return fmt.Errorf("follow %s: %w", migration, err)
		}
	}
}

func (o FollowOptions) withDefaults() (FollowOptions, error) {
	if o.Poll < 0 {
		return o, fmt.Errorf("options: a negative poll %s", o.Poll)
	}
	if o.Wait || o.Within != nil {
		return o, errors.New("options: Wait and Within are of a single step")
	}
	// Only to check them: each step fills them in again, and None filled in is zero.
	if _, _, err := o.Options.withDefaults(); err != nil {
		return o, err
	}
	if o.Actor == "" {
		o.Actor = "flag via " + state.Actor()
	}
	if o.Poll == 0 {
		o.Poll = 5 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return o, nil
}

// follower is one Follow. It belongs to one goroutine.
type follower struct {
	db        *sqlx.DB
	migration string
	source    Source
	o         FollowOptions

	released int64  // the fallback since which the source has proposed no more than what is admitted
	said     string // in the last round, without its digits
}

// place is where the migration stands, and what brought it there.
type place struct {
	phase Phase
	last  state.Step
}

// round takes at most one step, and returns the time to the next one.
func (f *follower) round(ctx context.Context) time.Duration {
	poll := f.o.Poll*4/5 + rand.N(f.o.Poll*2/5+1)
	// Before the source is asked: what it says then is newer than any fallback that is seen here.
	at, err := f.place(ctx)
	if err != nil {
		f.say(ctx, slog.LevelWarn, "phase not read", "error", err)
		return poll
	}
	proposed, err := f.propose(ctx)
	if err != nil {
		level := slog.LevelWarn
		if errors.Is(err, ErrNoProposal) {
			level = slog.LevelInfo
		}
		f.say(ctx, level, "nothing proposed, keeping the admitted phase", "phase", at.phase, "error", err)
		return poll
	}
	to, why := f.next(at, proposed)
	switch {
	case why != "":
		f.say(ctx, slog.LevelWarn, "proposed phase not taken", "phase", at.phase, "proposed", proposed, "reason", why)
	case to == at.phase:
		f.said = ""
	case f.step(ctx, at, to, proposed) && to < at.phase:
		return 0 // whoever goes back is in a hurry
	}
	return poll
}

func (f *follower) place(ctx context.Context) (place, error) {
	ctx, cancel := context.WithTimeout(ctx, pingTime)
	defer cancel()
	// The step first: if somebody moves the migration now, ours is not taken.
	last, err := state.LastStep(ctx, f.db, f.migration)
	if err != nil {
		return place{}, err
	}
	m, err := state.Load(ctx, f.db, f.migration)
	if err != nil {
		return place{}, err
	}
	return place{phase: m.Phase, last: last}, nil
}

func (f *follower) propose(ctx context.Context) (Phase, error) {
	ctx, cancel := context.WithTimeout(ctx, pingTime)
	defer cancel()
	p, err := f.source.Propose(ctx, f.migration)
	if err == nil && !p.Valid() {
		err = fmt.Errorf("%v is not a phase", p)
	}
	return p, err
}

// next is the phase one step towards the proposed one. If a flag may not go there, it says why.
func (f *follower) next(at place, proposed Phase) (to Phase, why string) {
	fallen := at.last.Kind == state.Fallback
	if fallen && proposed <= at.phase {
		f.released = at.last.ID
	}
	switch {
	case proposed == at.phase:
		return proposed, ""
	case proposed > at.phase && fallen && f.released != at.last.ID:
		return 0, "the database has fallen back: propose " + at.phase.String() + " first, then more again"
	case proposed < at.phase:
		to = at.phase - 1
	default:
		to = at.phase + 1
	}
	switch {
	case to == Complete:
		return 0, "to Complete only by contract.Apply with Drop"
	case !f.o.Contract && max(to, at.phase) == Contract:
		return 0, "to and from Contract by an operator, or with FollowOptions.Contract"
	}
	return to, ""
}

// step takes the migration to a neighbour of the phase where it was, if nobody has moved it since.
func (f *follower) step(ctx context.Context, at place, to, proposed Phase) bool {
	take := Advance
	if to < at.phase {
		take = Revert
	}
	o := f.o.Options
	o.Within = func(ctx context.Context, tx *sqlx.Tx) error {
		// The phase alone would not do: it may have gone forth and, by a fallback, back.
		last, err := state.LastStep(ctx, tx, f.migration)
		if err == nil && last != at.last {
			err = fmt.Errorf("somebody else has moved it meanwhile: %w", ErrStep)
		}
		return err
	}
	err := take(ctx, f.db, f.migration, to, o)
	if err == nil {
		f.said = ""
		f.o.Log.InfoContext(ctx, "tandem: moved by proposal", "migration", f.migration, "from", at.phase, "to", to, "proposed", proposed)
		return true
	}
	if now, placeErr := f.place(ctx); errors.Is(err, ErrStep) && placeErr == nil && now != at {
		f.o.Log.DebugContext(ctx, "tandem: another has moved it", "migration", f.migration, "phase", now.phase, "error", err)
		return false
	}
	level := slog.LevelWarn
	var refused *GateError
	if errors.As(err, &refused) {
		level = slog.LevelInfo
	}
	f.say(ctx, level, "proposed step not taken", "phase", at.phase, "proposed", proposed, "error", err)
	return false
}

// say logs what was not said in the round before. Digits do not count: a gate tells for how long it has been closed.
func (f *follower) say(ctx context.Context, level slog.Level, message string, args ...any) {
	words := strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) {
			return -1
		}
		return r
	}, fmt.Sprintln(message, args))
	if ctx.Err() != nil || words == f.said {
		return
	}
	f.said = words
	f.o.Log.Log(ctx, level, "tandem: "+message, append([]any{"migration", f.migration}, args...)...)
}
