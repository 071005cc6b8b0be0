package backfill

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/phase"
	"github.com/tandem-go/tandem/internal/state"
)

// SweepOptions of SweepUntil. The zero value is complete.
type SweepOptions struct {
	Poll   time.Duration // between two looks at the list, 10 ms to 1 minute, in the mean: each wait is between half of it and half as much again; defaults to 500 ms
	Report func(Swept)   // called after each sweep that took keys off the list, and each failure; defaults to none
	Log    *slog.Logger  // for the same, at levels Debug and Warn; defaults to slog.Default()
}

// Swept is what one sweep did.
type Swept struct {
	Keys   int64         // taken off tandem.dirty
	Rows   int64         // converted; of the other keys the row had gone, was stamped already, or does not convert
	Bad    int64         // set aside in tandem.bad_row
	Waited time.Duration // since the first of the strays wrote, by the database's clock
	Err    error         // why it is not complete: it is tried again
}

const (
	defaultPoll = 500 * time.Millisecond
	idlePoll    = 2 * time.Second // in a phase in which nothing can be swept, and until the migration is there
)

// sweepBackoff is for what stays wrong: a server that is away, a right that is missing.
var sweepBackoff = pg.Backoff{Base: 500 * time.Millisecond, Max: 10 * time.Second}

// SweepUntil is Sweep for as long as strays exist: start it beside the server of an application, in as many processes as you like. A stray's row is converted at the next look
// at the list, by default within a second of its commit. It returns nil when the migration is Complete, at once for a pair that SQL converts, of which nothing ever waits, and else the cause of the
// end of ctx. Errors besides: p's own, switchover.ErrRedeclare, options out of range. All others, such as lost connections, are reported, and it tries again with growing waits of up to 10 s.
//
// When the list is empty, a look is one query that reads one row of tandem.migration and one entry of an index. A row that somebody else has locked is left for the next look, and holds up no other.
// Before Migrate it waits.
func SweepUntil(ctx context.Context, db *sqlx.DB, p expand.Any, o SweepOptions) error {
	err := sweepUntil(ctx, db, p, o)
	if err != nil {
		return fmt.Errorf("sweep %s: %w", p.Name(), err)
	}
	return nil
}

func sweepUntil(ctx context.Context, db *sqlx.DB, p expand.Any, o SweepOptions) error {
	o, err := o.withDefaults()
	if err == nil {
		err = p.Err()
	}
	if d := p.Definition(); err != nil || d.HasForward() || d.Replaces() {
		return err
	}
	s := &sweeper{db: db, p: p, o: o}
	for {
		again, err := s.look(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err == nil && again == 0 || errors.Is(err, state.ErrRedeclare) {
			return err
		}
		if err != nil {
			again = s.failed(ctx, err)
		} else {
			s.failures = 0
		}
		if err := pg.Sleep(ctx, again/2+rand.N(again)); err != nil { // with jitter, so that a fleet that was deployed at once does not ask at once
			return err
		}
	}
}

func (o SweepOptions) withDefaults() (SweepOptions, error) {
	if o.Poll == 0 {
		o.Poll = defaultPoll
	}
	if o.Poll < 10*time.Millisecond || o.Poll > time.Minute {
		return o, fmt.Errorf("options: poll %s: must lie between 10ms and 1m", o.Poll)
	}
	if o.Report == nil {
		o.Report = func(Swept) {}
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return o, nil
}

type sweeper struct {
	db       *sqlx.DB
	p        expand.Any
	o        SweepOptions
	failures int // in a row
}

// lookSQL finds one entry of the index on (migration, id), or none: an index-only scan, or, while the list has no pages, none at all. After a large sweep the first look
// marks the dead entries (20,000: 3 ms), and those after it pass over them.
const lookSQL = `SELECT phase, fingerprint, EXISTS (SELECT FROM tandem.dirty WHERE migration = m.name) AS dirty FROM tandem.migration m WHERE name = $1`

// look sweeps if there is something to sweep, and says how long to wait then; 0: for ever, it is over.
func (s *sweeper) look(ctx context.Context) (again time.Duration, err error) {
	var now struct {
		Phase       phase.Phase `db:"phase"`
		Fingerprint string      `db:"fingerprint"`
		Dirty       bool        `db:"dirty"`
	}
	err = s.db.GetContext(ctx, &now, lookSQL, s.p.Name())
	switch code := pg.SQLState(err); {
	case errors.Is(err, sql.ErrNoRows), code == pg.UndefinedTable, code == pg.UndefinedSchema:
		return max(idlePoll, s.o.Poll), nil // expand.Apply comes yet, or expand.Undo was there
	case err != nil:
		return 0, pg.Cause(ctx, err)
	case now.Phase == phase.Complete:
		return 0, nil
	case now.Phase < phase.Migrate:
		return max(idlePoll, s.o.Poll), nil
	case now.Dirty || now.Fingerprint != s.p.Definition().Fingerprint(): // of the latter newRunner says more
		return s.o.Poll, s.sweep(ctx)
	}
	return s.o.Poll, nil
}

// sweep reports what it has done, also before an error.
func (s *sweeper) sweep(ctx context.Context) error {
	var done Swept
	r, err := newRunner(ctx, s.db, s.p, Options{})
	if errors.Is(err, ErrPhase) || errors.Is(err, state.ErrUnknown) {
		return nil // it moved since we looked
	}
	if err == nil {
		err = r.sweepAll(ctx, &done, pass)
	}
	if done.Keys > 0 {
		s.o.Log.DebugContext(ctx, "tandem: swept", "migration", s.p.Name(), "keys", done.Keys, "rows", done.Rows, "bad", done.Bad, "waited", done.Waited)
		s.o.Report(done)
	}
	return err
}

// failed reports an error, and says how long to wait.
func (s *sweeper) failed(ctx context.Context, err error) time.Duration {
	s.failures++
	s.o.Log.WarnContext(ctx, "tandem: sweeping failed, it is tried again", "migration", s.p.Name(), "failures", s.failures, "error", err)
	s.o.Report(Swept{Err: err})
	return min(max(sweepBackoff.Base<<min(s.failures-1, 10), s.o.Poll), max(sweepBackoff.Max, s.o.Poll))
}
