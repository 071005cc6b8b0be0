package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/contract"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/switchover"
)

// The story of the migration, as the operator of a real one would write it. The services run all the time. Between two of its steps a
// real migration waits for days; here the phases last as long as -seconds says.
var story = []step{
	{"the old world: user_name alone, five services on it", switchover.Start, begin},
	{"add full_name, its stamp and the guard; from now on the services write both columns", switchover.Expand, toExpand},
	{"copy the old rows, build the twins of all indexes and checks, compare every row", switchover.Migrate, toMigrate},
	{"read full_name; still write both", switchover.Switch, toSwitch},
	{"suppose something is wrong: back to reading user_name, at once", switchover.Migrate, backToMigrate},
	{"all is well: read full_name again", switchover.Switch, toSwitch},
	{"stop the old binary, then stop writing user_name", switchover.Contract, toContract},
	{"give full_name its NOT NULL and its default", switchover.Contract, finish},
	{"drop user_name, the stamp and the guard", switchover.Complete, toComplete},
}

// step is one move of the operator and the phase that it leads to.
type step struct {
	title string
	phase switchover.Phase
	do    func(ctx context.Context, db *sqlx.DB, s *stage) error
}

// The gates ask for quiet and soak times; their defaults of a minute and ten are for real services.
const (
	quiet = 2 * time.Second
	soak  = time.Second
)

// begin does nothing yet; it only asks whether the migration will be able to end. What names user_name and does not move by itself
// (views, policies, functions) would be listed here.
func begin(ctx context.Context, db *sqlx.DB, s *stage) error {
	list, err := expand.Dependents(ctx, db, FullName)
	for _, d := range list {
		s.say("  depends on user_name: %s", d)
	}
	return err
}

// toExpand adds the column. Apply can be run again at any time; its one transaction takes a moment under a lock for which it never waits long.
func toExpand(ctx context.Context, db *sqlx.DB, s *stage) error {
	steps, err := expand.Plan(ctx, db, FullName)
	if err != nil {
		return err
	}
	for _, p := range steps {
		s.say("  plan: %s (lock: %s)", p.Name, p.Lock)
	}
	if err := expand.Apply(ctx, db, FullName, expand.Options{}); err != nil {
		return err
	}
	return switchover.Advance(ctx, db, FullName.Name(), switchover.Expand, switchover.Options{})
}

// toMigrate waits until every service is known to write both columns, and brings the rows of before up to date.
func toMigrate(ctx context.Context, db *sqlx.DB, s *stage) error {
	err := switchover.Advance(ctx, db, FullName.Name(), switchover.Migrate, switchover.Options{Wait: true})
	if err != nil {
		return err
	}
	if err := tooEarly(ctx, db, s); err != nil {
		return err
	}
	bar := s.bar("backfill")
	done, err := backfill.Run(ctx, db, FullName, backfill.Options{Progress: bar.rows})
	bar.end()
	if err != nil {
		return err
	}
	s.say("  backfill: %s rows copied in %s", thousands(done.Rows), short(done.Took))

	// Indexes come after the backfill: before, each copied row would have cost an entry in each of them.
	if err := expand.ApplyTwins(ctx, db, FullName, expand.Options{}); err != nil {
		return err
	}
	return compare(ctx, db, s)
}

// tooEarly tries the step that must not succeed yet: a gate refuses it, and says what is missing.
func tooEarly(ctx context.Context, db *sqlx.DB, s *stage) error {
	err := switchover.Advance(ctx, db, FullName.Name(), switchover.Switch, switchover.Options{})
	var refused *switchover.GateError
	if !errors.As(err, &refused) {
		return fmt.Errorf("the step to Switch before the backfill should have been refused, it ended with: %w", err)
	}
	s.say("  to Switch already? refused, %d things are missing, among them:", len(refused.Gates))
	named := map[string]bool{}
	for _, g := range refused.Gates {
		if !named[g.Name] {
			named[g.Name] = true
			s.say("    %s", shorten(g.String(), 120))
		}
	}
	return nil
}

// compare verifies that both columns of every row agree.
func compare(ctx context.Context, db *sqlx.DB, s *stage) error {
	bar := s.bar("verify")
	report, err := backfill.Verify(ctx, db, FullName, backfill.VerifyOptions{Progress: bar.rows})
	bar.end()
	s.verified++
	s.differences += report.Differences
	if err == nil {
		s.say("  verify: %s rows compared, %d differences", thousands(report.Rows), report.Differences)
	}
	return err
}

// toSwitch lets the services read full_name. The old binary still writes user_name alone. The gate would not have that, so the operator
// says why it may be: the reason stands in tandem.event for ever.
func toSwitch(ctx context.Context, db *sqlx.DB, s *stage) error {
	err := switchover.Advance(ctx, db, FullName.Name(), switchover.Switch, switchover.Options{
		Wait:  true,
		Waive: map[string]string{"strays": "the old binary runs until Contract; the guard repairs what it writes"},
	})
	if err != nil {
		return err
	}
	return compare(ctx, db, s)
}

// backToMigrate needs no gate: both columns are written, so it does not matter which one is read.
func backToMigrate(ctx context.Context, db *sqlx.DB, s *stage) error {
	if err := switchover.Revert(ctx, db, FullName.Name(), switchover.Migrate, switchover.Options{}); err != nil {
		return err
	}
	return compare(ctx, db, s)
}

// toContract is the swap. After it user_name is no longer written, so nobody who knows only user_name may be left: from now on the guard
// rejects such writes instead of repairing them.
func toContract(ctx context.Context, db *sqlx.DB, s *stage) error {
	if err := s.stop(oldBinary); err != nil {
		return err
	}
	if err := contract.Apply(ctx, db, FullName, contract.Relax, contract.Options{Gates: switchover.Options{Wait: true, Quiet: quiet}}); err != nil {
		return err
	}
	if err := compare(ctx, db, s); err != nil {
		return err
	}
	return switchover.Advance(ctx, db, FullName.Name(), switchover.Contract, switchover.Options{Wait: true, Quiet: quiet, Soak: soak})
}

// finish makes full_name what user_name was. Earlier, an INSERT of the old binary would have failed on it.
func finish(ctx context.Context, db *sqlx.DB, _ *stage) error {
	return contract.Apply(ctx, db, FullName, contract.Finish, contract.Options{})
}

// toComplete drops the old column. It is the one step that cannot be taken back.
func toComplete(ctx context.Context, db *sqlx.DB, s *stage) error {
	list, err := contract.Check(ctx, db, FullName)
	if err != nil {
		return err
	}
	for _, d := range list {
		s.say("  still depends on user_name: %s", d)
	}
	if err := s.countDifferences(ctx, db); err != nil { // that the services saw, while there was something to compare
		return err
	}
	return contract.Apply(ctx, db, FullName, contract.Drop, contract.Options{Gates: switchover.Options{Wait: true, Quiet: quiet, Soak: soak}})
}
