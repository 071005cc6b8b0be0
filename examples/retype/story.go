package main

import (
	"context"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/contract"
	"github.com/tandem-go/tandem/examples/internal/trial"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/switchover"
)

// operator takes the steps, while the load goes on.
type operator struct {
	db          *sqlx.DB
	load        *load
	stopOld     func()
	say         func(format string, args ...any)
	differences int64 // that backfill.Verify found
}

// story is the migration. Between two of its steps a real one waits for days; here the load makes some operations.
var story = []trial.Step[*operator]{
	{Title: "add price_cents, its stamp and the guard; the shop writes both columns, the old binary goes on", Do: (*operator).addColumn},
	{Title: "copy the old rows, converted in Go", Do: (*operator).copyRows},
	{Title: "mend what does not convert", Do: (*operator).mend},
	{Title: "stop the old binary, convert its last writes, compare every row", Do: (*operator).retireOld},
	{Title: "read price_cents: of a tenth of the items, of a half, of all", Do: (*operator).readNew},
	{Title: "stop writing price", Do: (*operator).stopWritingOld},
	{Title: "drop price", Do: (*operator).dropOld},
}

// gates wait until they open. The times are for an example; their defaults, a minute and ten, are for real services.
var gates = switchover.Options{Wait: true, Quiet: time.Second, Soak: time.Second}

func (o *operator) tell(ctx context.Context) error {
	return trial.Tell(ctx, o, story, o.say, o.load.Wait)
}

func (o *operator) addColumn(ctx context.Context) error {
	if err := expand.Apply(ctx, o.db, PriceCents, expand.Options{}); err != nil {
		return err
	}
	return switchover.Advance(ctx, o.db, PriceCents.Name(), switchover.Expand, gates)
}

// copyRows copies, and tries the step that must not succeed yet: the error lists what is missing.
func (o *operator) copyRows(ctx context.Context) error {
	if err := switchover.Advance(ctx, o.db, PriceCents.Name(), switchover.Migrate, gates); err != nil {
		return err
	}
	done, err := backfill.Run(ctx, o.db, PriceCents, backfill.Options{})
	if err != nil {
		return err
	}
	o.say("  %d rows copied, %d do not convert", done.Rows, done.BadRows)
	o.say("%v", switchover.Advance(ctx, o.db, PriceCents.Name(), switchover.Switch, switchover.Options{}))
	return nil
}

// mend is a human's work: the library does not guess what a price of NaN should be. Until it is done the gate to Switch stays closed.
func (o *operator) mend(ctx context.Context) error {
	bad, err := trial.BadRows(ctx, o.db, PriceCents.Name())
	if err != nil {
		return err
	}
	for _, row := range bad {
		o.say("  item %d: %s", row.ID, row.Error)
		if _, err := o.db.ExecContext(ctx, `UPDATE items SET price = $1 WHERE id = $2`, float64(mended)/100, row.ID); err != nil {
			return err
		}
	}
	if err := o.sweep(ctx); err != nil { // the UPDATE went around the repository, too
		return err
	}
	done, err := backfill.Run(ctx, o.db, PriceCents, backfill.Options{})
	o.say("  mended; %d do not convert", done.BadRows)
	return err
}

// sweep converts what was written around the repository. For as long as that goes on, a real operator calls it again and again.
func (o *operator) sweep(ctx context.Context) error {
	swept, err := backfill.Sweep(ctx, o.db, PriceCents)
	o.say("  %d writes around the repository converted", swept)
	return err
}

// retireOld is the deploy that replaces the last old binary. Twins of the indexes come after the copying, which they would slow down.
func (o *operator) retireOld(ctx context.Context) error {
	if err := trial.Status(ctx, o.db, gates, o.say); err != nil { // it names who still writes price alone
		return err
	}
	o.stopOld()
	if err := o.sweep(ctx); err != nil {
		return err
	}
	if err := expand.ApplyTwins(ctx, o.db, PriceCents, expand.Options{}); err != nil {
		return err
	}
	return o.verify(ctx)
}

func (o *operator) verify(ctx context.Context) error {
	report, err := backfill.Verify(ctx, o.db, PriceCents, backfill.VerifyOptions{})
	o.differences += report.Differences
	o.say("  %d rows compared, %d differ", report.Rows, report.Differences)
	return err
}

// readNew widens the share of the items that are read from price_cents. Every read compares both columns; were more than 1 % of them to
// differ, the migration would go back to Migrate by itself.
func (o *operator) readNew(ctx context.Context) error {
	first := gates
	first.Canary = switchover.Canary{Share: 0.1}
	if err := switchover.Advance(ctx, o.db, PriceCents.Name(), switchover.Switch, first); err != nil {
		return err
	}
	for _, share := range []float64{0.5, 1} {
		if err := o.load.Wait(ctx); err != nil {
			return err
		}
		if err := switchover.SetCanary(ctx, o.db, PriceCents.Name(), switchover.Canary{Share: share}, gates); err != nil {
			return err
		}
	}
	return nil
}

// stopWritingOld takes NOT NULL from price, and then the writes. From here on the guard refuses whoever knows price alone.
func (o *operator) stopWritingOld(ctx context.Context) error {
	if err := contract.Apply(ctx, o.db, PriceCents, contract.Relax, contract.Options{Gates: gates}); err != nil {
		return err
	}
	if err := o.verify(ctx); err != nil {
		return err
	}
	return switchover.Advance(ctx, o.db, PriceCents.Name(), switchover.Contract, gates)
}

// dropOld is the one step that cannot be taken back.
func (o *operator) dropOld(ctx context.Context) error {
	if err := contract.Apply(ctx, o.db, PriceCents, contract.Finish, contract.Options{}); err != nil {
		return err
	}
	return contract.Apply(ctx, o.db, PriceCents, contract.Drop, contract.Options{Gates: gates})
}
