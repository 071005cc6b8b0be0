package switchover

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pair"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/state"
)

// The questions, in the order of the phases. Each adds the gates that it finds closed.

func (a *asker) columns(context.Context) error {
	for _, line := range a.table.MissingThere(a.there, a.m.Definition) {
		a.add(false, "columns", "%s", line)
	}
	for _, name := range append(a.m.Definition.New, a.m.Definition.Stamp) {
		if c := a.there.Column(name); c != nil && c.NotNull {
			a.add(false, "columns", "column %s is NOT NULL: an old binary's INSERT would fail; ALTER COLUMN ... DROP NOT NULL", ident.Quote(name))
		}
	}
	return nil
}

func (a *asker) guard(ctx context.Context) error {
	missing, err := catalog.Unguarded(ctx, a.db, a.table, a.m.Definition, a.m.Guard)
	if missing != "" {
		a.add(false, "guard", "%s", missing)
	}
	return err
}

func (a *asker) members(ctx context.Context) error {
	list, err := state.Members(ctx, a.db)
	if err != nil {
		return err
	}
	for _, m := range list {
		silent := time.Duration(m.Silent * float64(time.Second))
		if silent < a.o.Lease && m.Epochs[a.m.Name] != a.m.Epoch {
			a.add(true, "members", "%s has not acknowledged %s (seen %s ago): an operation of an earlier phase may still run there", m, a.m.Phase, silent.Round(time.Second))
		}
	}
	return nil
}

func (a *asker) passes(ctx context.Context) error {
	passes, err := state.Passes(ctx, a.db, a.m.Name)
	if err != nil {
		return err
	}
	expected, err := a.expected(ctx)
	if err != nil {
		return err
	}
	backfilled, verified := passes["copy"], passes["verify"]
	switch {
	case backfilled.Kind == "":
		a.add(false, "backfill", "not started: run backfill.Run")
	case backfilled.FinishedAt == nil:
		a.add(false, "backfill", "%d of about %d rows, last heard of at %s: let backfill.Run finish", backfilled.Rows, backfilled.Total, backfilled.UpdatedAt.Format(time.TimeOnly))
	}
	switch {
	case verified.FinishedAt == nil:
		a.add(true, "verify", "not done: run backfill.Verify")
	case verified.Differences > expected:
		a.add(true, "verify", "%d rows differ, listed in tandem.mismatch: repair them and run backfill.Verify again", verified.Differences-expected)
	case !verified.Verifies(backfilled):
		a.add(true, "verify", "older than the backfill: run backfill.Verify again")
	}
	return nil
}

func (a *asker) dirty(context.Context) error {
	if a.count.Dirty > 0 {
		a.add(false, "dirty", "%d rows of strays wait for conversion: run backfill.Sweep", a.count.Dirty)
	}
	return nil
}

// keyed refuses a canary where nothing is to be shared out.
func (a *asker) keyed(context.Context) error {
	if a.o.Canary.Share < 1 && a.m.Definition.Keyless() {
		a.add(false, "canary", "the table has no key, so there are no keys to share out: leave out the share")
	}
	return nil
}

func (a *asker) strays(context.Context) error {
	if s := a.count.StraySilent; s != nil && a.o.Quiet > 0 && time.Duration(*s*float64(time.Second)) < a.o.Quiet {
		ago := time.Duration(*s * float64(time.Second)).Round(100 * time.Millisecond)
		a.add(true, "strays", "%s wrote around the wrappers %s ago; quiet time is %s: deploy it with the wrappers or stop it", a.count.LastStray, ago, a.o.Quiet)
	}
	return nil
}

func (a *asker) twins(ctx context.Context) error {
	twins, err := catalog.Twins(ctx, a.db, a.table, a.m.Definition)
	for _, w := range twins {
		switch {
		case w.Ready:
		case a.m.Definition.IsSet():
			a.add(true, "twins", "nothing stands for %s %s on %s: make what does under the name %s, or waive it if nothing needs to: contract.Apply then drops it with old",
				w.Kind, ident.Quote(w.Of), ident.List("", a.m.Definition.New), ident.Quote(w.Name))
		case len(w.Create) == 0:
			a.add(true, "twins", "%s %s of %s: if %s needs its like, make it there by hand, then waive", w.Kind, ident.Quote(w.Of), a.table, a.there)
		default:
			a.add(true, "twins", "%s %s has no valid twin on %s: run expand.ApplyTwins", w.Kind, ident.Quote(w.Of), ident.List("", a.m.Definition.New))
		}
	}
	if err != nil {
		return err
	}
	return a.attributes(ctx)
}

// attributes asks for what new has not like old besides: a grant that is missing is an error to whoever reads it in Switch.
func (a *asker) attributes(ctx context.Context) error {
	d := a.m.Definition
	if d.IsSet() || d.Moved() || d.Replaces() {
		return nil
	}
	missing, err := catalog.Attributes(ctx, a.db, a.table, d.Old[0], d.New[0])
	for _, sql := range missing {
		a.add(true, "twins", "%s has not all that %s has: run expand.ApplyTwins, or %s", ident.Quote(d.New[0]), ident.Quote(d.Old[0]), sql)
	}
	return err
}

// stands asks the twins of a column set once more: what has come to old since Switch nobody else would see go.
func (a *asker) stands(ctx context.Context) error {
	if !a.m.Definition.IsSet() {
		return nil
	}
	return a.twins(ctx)
}

// nulls asks whether the new columns of a set can become what their declaration says. It reads the whole table, under ACCESS SHARE.
func (a *asker) nulls(ctx context.Context) error {
	for _, name := range a.m.Definition.NotNull {
		var n int64
		err := a.db.GetContext(ctx, &n, `SELECT count(*) FROM (SELECT FROM `+a.table.SQL()+` WHERE `+ident.Quote(name)+` IS NULL LIMIT 1000) x`)
		if err != nil {
			return fmt.Errorf("NULLs of %s: %w", ident.Quote(name), pg.Cause(ctx, err))
		}
		if n > 0 {
			a.add(false, "not-null", "%d rows (counted to 1000) have no %s, which is declared NOT NULL: mend them", n, ident.Quote(name))
		}
	}
	return nil
}

func (a *asker) statistics(ctx context.Context) error {
	ok, err := catalog.Analyzed(ctx, a.db, a.there, a.m.Definition.New)
	if err == nil && !ok {
		a.add(true, "statistics", "the planner knows nothing of %s: run ANALYZE %s (expand.ApplyTwins does)", ident.List("", a.m.Definition.New), a.there)
	}
	return err
}

func (a *asker) reversed(context.Context) error {
	if a.m.Guard == "reverse" {
		a.add(false, "reversed", "the way back from Contract is not finished: run backfill.Run with Reverse, then contract.Apply with Restore")
	}
	return nil
}

func (a *asker) soak(context.Context) error {
	settled := time.Duration(a.m.Settled * float64(time.Second))
	if a.o.Soak <= 0 || settled >= a.o.Soak { // negative where the clock was set back
		return nil
	}
	where := a.m.Phase.String()
	if a.m.Settled < a.m.Since {
		where += " with all keys read from new"
	}
	a.add(true, "soak", "in %s for %s, soak time is %s: wait", where, settled.Round(100*time.Millisecond), a.o.Soak)
	return nil
}

func (a *asker) canary(context.Context) error {
	if a.m.Share < 1 {
		a.add(false, "canary", "only %v %% of the keys are read from new: give all of them a soak time by switchover.SetCanary", percent(a.m.Share))
	}
	return nil
}

func (a *asker) differences(context.Context) error {
	if a.count.Mismatches > 0 {
		a.add(true, "differences", "reads saw %d rows differ in this phase, listed in tandem.mismatch: find out why", a.count.Mismatches)
	}
	return nil
}

// relaxed lists what old still has and may not keep once it is not written any more: a default that nobody meant, rules and unique values that are of yesterday.
func (a *asker) relaxed(ctx context.Context) error {
	var kept []string
	for _, name := range a.m.Definition.Old {
		c := a.table.Column(name)
		if c != nil && c.NotNull {
			kept = append(kept, "NOT NULL")
		}
		if c != nil && c.Default != "" {
			kept = append(kept, "its default")
		}
	}
	for _, list := range []func(context.Context, sqlx.QueryerContext, *catalog.Table, pair.Definition) ([]catalog.Taken, error){catalog.Rules, catalog.Uniques} {
		taken, err := list(ctx, a.db, a.table, a.m.Definition)
		if err != nil {
			return err
		}
		for _, t := range taken {
			kept = append(kept, ident.Quote(t.Name))
		}
	}
	if len(kept) > 0 {
		a.add(false, "relaxed", "%s still has %s, which would refuse or mislead writes that leave it out: run contract.Apply with Relax",
			ident.List("", a.m.Definition.Old), strings.Join(kept, ", "))
	}
	return nil
}

// defaulted asks after a default that nobody could convert: contract.Apply with Finish does so only where there is a SQL forward.
func (a *asker) defaulted(context.Context) error {
	if a.m.Definition.IsSet() {
		return a.defaultOfSet()
	}
	for _, name := range a.m.Definition.New {
		if c := a.there.Column(name); !a.m.Definition.Moved() && a.m.Relaxed.Default != "" && c != nil && c.Default == "" {
			a.add(true, "default", "old had DEFAULT %s, new has none: run contract.Apply with Finish, or, where only Go converts, ALTER TABLE %s ALTER COLUMN %s SET DEFAULT ...",
				a.m.Relaxed.Default, a.table, ident.Quote(name))
		}
	}
	return nil
}

// defaultOfSet asks whether old's default is forgotten: which of the columns it would be the default of, only the application knows.
func (a *asker) defaultOfSet() error {
	for _, name := range a.m.Definition.New {
		if c := a.table.Column(name); a.m.Relaxed.Default == "" || c != nil && c.Default != "" {
			return nil
		}
	}
	a.add(true, "default", "old had DEFAULT %s, none of %s has one: give it to the one that needs it, or waive", a.m.Relaxed.Default, ident.List("", a.m.Definition.New))
	return nil
}

func (a *asker) dependents(ctx context.Context) error {
	list, err := catalog.Dependents(ctx, a.db, a.table, a.m.Definition)
	for _, d := range list {
		if d.Blocks {
			a.add(false, "dependents", "%s", d)
		} else {
			a.add(true, "mentions", "%s", d)
		}
	}
	return err
}

// standbys asks whether reads of new alone are right everywhere: one that has not come to the swap may have rows whose new value it does not know yet.
func (a *asker) standbys(ctx context.Context) error {
	list, err := state.Standbys(ctx, a.db, a.m.Name)
	for _, s := range list {
		who := fmt.Sprintf("%s at %s (pid %d)", s.Application, s.Address, s.PID)
		if s.Hidden {
			a.add(true, "standbys", "%s does not show this role how far it has replayed: grant pg_monitor, or look there and waive", who)
		} else {
			a.add(true, "standbys", "%s is %d bytes of log behind the step to Contract: a read of new alone may be wrong there; wait, or let nobody read from it and waive", who, s.Behind)
		}
	}
	return err
}
