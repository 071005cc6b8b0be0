package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/contract"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/switchover"
)

// operator takes the steps and makes the deploys, while the clients go on.
type operator struct {
	*fleet
	db          *sqlx.DB
	load        *load
	say         func(format string, args ...any)
	copied      bool  // every row has a full_name
	compared    int   // how often all rows were
	differences int64 // that were found
	spoil       map[int]string
}

// story is the migration and its two deploys. After each of the middle phases the deploy is rolled back, as if the release had a bug, and
// made again: until Contract any release may run, alone or beside another.
var story = []struct {
	phase switchover.Phase
	title string
	do    func(*operator, context.Context) error
}{
	{switchover.Start, "deploy 1: the release with the pair; it writes and reads user_name as before", (*operator).deploy1},
	{switchover.Expand, "add full_name, its stamp and the guard; the release with the pair writes both columns", (*operator).addColumn},
	{switchover.Expand, "roll back, and deploy again", (*operator).backAndForth},
	{switchover.Migrate, "roll back; copy the old rows while only old backends run; deploy again, compare every row", (*operator).copyRows},
	{switchover.Switch, "read full_name; still write both", (*operator).readNew},
	{switchover.Switch, "roll back, and deploy again", (*operator).backAndForth},
	{switchover.Contract, "stop writing user_name", (*operator).stopWritingOld},
	{switchover.Complete, "drop user_name, the stamp and the guard", (*operator).dropOld},
	{switchover.Complete, "deploy 2: the release that knows full_name alone", (*operator).deploy2},
}

// gates wait until they open. The times are for an example; their defaults, a minute and ten, are for real services.
var gates = switchover.Options{Wait: true, Quiet: time.Second, Soak: time.Second}

// How many turns of the clients pass before the next step, and before the next backend of a rolling restart.
const (
	betweenSteps    = 200
	betweenBackends = 50
)

func (o *operator) tell(ctx context.Context) error {
	for i, step := range story {
		name := fmt.Sprintf("step %d, %s", i+1, step.phase)
		o.say("%d. %s: %s", i+1, step.phase, step.title)
		o.load.enter(name)
		err := step.do(o, ctx)
		if err == nil {
			_, err = o.db.ExecContext(ctx, o.spoil[i+1])
		}
		if err == nil {
			err = o.load.wait(ctx, betweenSteps)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		t, failures := o.load.now()
		o.say("  %d requests, the longest %.1f ms; %d errors so far", t.operations, milliseconds(t.stall), failures)
	}
	return nil
}

// deploy is a rolling restart under load.
func (o *operator) deploy(ctx context.Context, release string) error {
	return o.roll(ctx, release, func(ctx context.Context) error { return o.load.wait(ctx, betweenBackends) })
}

func (o *operator) deploy1(ctx context.Context) error { return o.deploy(ctx, paired) }

func (o *operator) deploy2(ctx context.Context) error { return o.deploy(ctx, after) }

// backAndForth needs no word to the library: the guard brings into step what the old release writes.
func (o *operator) backAndForth(ctx context.Context) error {
	if err := o.deploy(ctx, before); err != nil {
		return err
	}
	if err := o.deploy(ctx, paired); err != nil {
		return err
	}
	return o.compare(ctx)
}

func (o *operator) addColumn(ctx context.Context) error {
	if err := expand.Apply(ctx, o.db, FullName, expand.Options{}); err != nil {
		return err
	}
	return switchover.Advance(ctx, o.db, FullName.Name(), switchover.Expand, gates)
}

func (o *operator) copyRows(ctx context.Context) error {
	if err := switchover.Advance(ctx, o.db, FullName.Name(), switchover.Migrate, gates); err != nil {
		return err
	}
	if err := o.deploy(ctx, before); err != nil {
		return err
	}
	done, err := backfill.Run(ctx, o.db, FullName, backfill.Options{})
	if err != nil {
		return err
	}
	o.copied = true
	o.say("  %d rows copied", done.Rows)
	if err := expand.ApplyTwins(ctx, o.db, FullName, expand.Options{}); err != nil {
		return err
	}
	if err := o.deploy(ctx, paired); err != nil {
		return err
	}
	return o.compare(ctx)
}

// readNew waits until no old backend has written for the quiet time.
func (o *operator) readNew(ctx context.Context) error {
	return switchover.Advance(ctx, o.db, FullName.Name(), switchover.Switch, gates)
}

// stopWritingOld ends the time of rolling back: from here on the guard refuses whoever knows user_name alone.
func (o *operator) stopWritingOld(ctx context.Context) error {
	if err := contract.Apply(ctx, o.db, FullName, contract.Relax, contract.Options{Gates: gates}); err != nil {
		return err
	}
	if err := o.compare(ctx); err != nil {
		return err
	}
	return switchover.Advance(ctx, o.db, FullName.Name(), switchover.Contract, gates)
}

// dropOld is the one step that cannot be taken back.
func (o *operator) dropOld(ctx context.Context) error {
	if err := contract.Apply(ctx, o.db, FullName, contract.Finish, contract.Options{}); err != nil {
		return err
	}
	if err := o.compare(ctx); err != nil {
		return err
	}
	return contract.Apply(ctx, o.db, FullName, contract.Drop, contract.Options{Gates: gates})
}

// compare ends the story where the columns disagree: no gate should be passed then.
func (o *operator) compare(ctx context.Context) error {
	rows, err := compare(ctx, o.db, o.copied)
	o.compared++
	o.differences += rows
	if err == nil && rows > 0 {
		err = fmt.Errorf("user_name and full_name differ in %d rows", rows)
	}
	return err
}
