package history_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/contract"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/switchover"
)

// hurried are gates for an operator in a hurry: nobody is waited for, so that safety rests on the guard and the reader's rule alone.
var hurried = switchover.Options{Quiet: switchover.None, Soak: switchover.None, Lease: time.Nanosecond, Attempts: 100,
	Waive: map[string]string{"verify": "strays write all the time"}}

// operator walks a migration forth and back.
type operator struct {
	db   *sqlx.DB
	pair expand.Any
	h    *history
}

func (o *operator) to(p switchover.Phase) func(context.Context) error {
	return func(ctx context.Context) error { return switchover.Advance(ctx, o.db, o.pair.Name(), p, hurried) }
}

// begin goes to Switch with a share of the keys. Whatever reads see to differ there is a failure of the walk, for the fleet goes back by itself.
func (o *operator) begin(share float64) func(context.Context) error {
	begins := hurried
	begins.Canary = switchover.Canary{Share: share, Least: 1}
	return func(ctx context.Context) error {
		return switchover.Advance(ctx, o.db, o.pair.Name(), switchover.Switch, begins)
	}
}

func (o *operator) share(share float64) func(context.Context) error {
	return func(ctx context.Context) error {
		return switchover.SetCanary(ctx, o.db, o.pair.Name(), switchover.Canary{Share: share, Least: 1}, hurried)
	}
}

func (o *operator) back(p switchover.Phase) func(context.Context) error {
	return func(ctx context.Context) error { return switchover.Revert(ctx, o.db, o.pair.Name(), p, hurried) }
}

func (o *operator) stage(s contract.Stage) func(context.Context) error {
	return func(ctx context.Context) error {
		return contract.Apply(ctx, o.db, o.pair, s, contract.Options{Gates: hurried, Locks: expand.Options{Attempts: 100}})
	}
}

func (o *operator) run(ctx context.Context) error {
	_, err := backfill.Run(ctx, o.db, o.pair, backfill.Options{Batch: 50, Stripes: 1})
	return err
}

func (o *operator) reverse(ctx context.Context) error {
	_, err := backfill.Run(ctx, o.db, o.pair, backfill.Options{Batch: 50, Stripes: 1, Reverse: true})
	return err
}

func (o *operator) sweep(ctx context.Context) error {
	_, err := backfill.Sweep(ctx, o.db, o.pair)
	return err
}

func (o *operator) twins(ctx context.Context) error {
	return expand.ApplyTwins(ctx, o.db, o.pair, expand.Options{})
}

// round is once through all phases and back to Start.
func (o *operator) round() []func(context.Context) error {
	return []func(context.Context) error{
		o.to(switchover.Expand), o.back(switchover.Start), o.to(switchover.Expand),
		o.to(switchover.Migrate), o.back(switchover.Expand), o.to(switchover.Migrate), o.run, o.twins, o.sweep,
		o.begin(0.5), o.back(switchover.Migrate), o.run, o.sweep, o.to(switchover.Switch), o.share(0.3), o.share(1),
		o.stage(contract.Relax), o.sweep, o.to(switchover.Contract), o.stage(contract.Finish),
		o.back(switchover.Switch), o.reverse, o.stage(contract.Restore),
		o.back(switchover.Migrate), o.back(switchover.Expand), o.back(switchover.Start),
	}
}

// stuckTime is how long a round may take on the slowest machine; then the error tells which gate does not open.
const stuckTime = 5 * time.Minute

// walk goes round and round for the time of the flag; each step is taken as often as strays come between.
func (o *operator) walk(ctx context.Context) (steps int, err error) {
	for began := time.Now(); steps == 0 || time.Since(began) < *historyFor; {
		for i, step := range o.round() {
			for {
				err := step(ctx)
				if err == nil {
					break
				}
				var gates *switchover.GateError
				if !errors.As(err, &gates) || time.Since(began) > *historyFor+stuckTime {
					return steps, fmt.Errorf("step %d: %w", i, err)
				}
				o.h.refusals.Add(1)
				if err := o.sweep(ctx); err != nil && !errors.Is(err, backfill.ErrPhase) {
					return steps, err
				}
			}
			o.h.refusals.Store(0)
			steps++
			_ = pg.Sleep(ctx, 20*time.Millisecond)
		}
	}
	return steps, nil
}

// unguarded walks the phase alone: no guard is there, no gate is asked.
func (o *operator) unguarded(ctx context.Context) (steps int, err error) {
	for began := time.Now(); time.Since(began) < *historyFor; {
		for _, p := range []switchover.Phase{switchover.Contract, switchover.Switch, switchover.Migrate, switchover.Switch} {
			_, err := o.db.ExecContext(ctx, `UPDATE tandem.migration SET phase = $2, epoch = epoch + 1 WHERE name = $1`, o.pair.Name(), p)
			if err != nil {
				return steps, err
			}
			steps++
			_ = pg.Sleep(ctx, 50*time.Millisecond)
		}
	}
	return steps, nil
}
