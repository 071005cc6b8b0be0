package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/contract"
	"github.com/tandem-go/tandem/examples/internal/trial"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/switchover"
)

// operator takes the steps of both migrations, while the load goes on.
type operator struct {
	db         *sqlx.DB
	stage      *trial.Stage
	load       *load
	stopOld    func()
	startHalf  func() (stop func())
	stopScript func()
}

func newOperator(ctx context.Context, s *trial.Stage, l *load) *operator {
	return &operator{db: s.DB["operator"], stage: s, load: l, stopScript: func() {},
		stopOld:   l.Start(ctx, l.old(s.DB[oldBinary])),
		startHalf: func() func() { return l.Start(ctx, l.half(s.DB[script])) }}
}

// story is one of two migrations that go their own ways: the names are ahead of the places all the time.
var story = []trial.Step[*operator]{
	{Title: "add first_name and last_name; the directory writes full_name too, the old binary goes on", Do: (*operator).addNames},
	{Title: "copy the names; add place, and a script that writes single columns begins", Do: (*operator).copyNames},
	{Title: "mend what does not convert; copy the places", Do: (*operator).mend},
	{Title: "stop whoever goes around the repository; say what stands for the index on full_name", Do: (*operator).makeIndex},
	{Title: "read first_name and last_name; say that nothing needs to stand for the index on lat and lon", Do: (*operator).readNames},
	{Title: "read place; compare every row in both shapes", Do: (*operator).readPlaces},
	{Title: "stop writing full_name", Do: (*operator).stopWritingFullName},
	{Title: "drop full_name; stop writing lat and lon", Do: (*operator).dropFullName},
	{Title: "drop lat and lon", Do: (*operator).dropDegrees},
}

// gates wait until they open. The times are for an example; their defaults, a minute and ten, are for real services.
var gates = switchover.Options{Wait: true, Quiet: time.Second, Soak: time.Second}

func (o *operator) tell(ctx context.Context) error {
	return trial.Tell(ctx, o, story, o.stage.Say, o.load.Wait)
}

func (o *operator) stopOthers() {
	o.stopOld()
	o.stopScript()
}

// begin adds a pair's new columns, its stamp and its guard.
func (o *operator) begin(ctx context.Context, p expand.Any) error {
	if err := expand.Apply(ctx, o.db, p, expand.Options{}); err != nil {
		return err
	}
	return switchover.Advance(ctx, o.db, p.Name(), switchover.Expand, gates)
}

func (o *operator) copyRows(ctx context.Context, p expand.Any) error {
	if err := switchover.Advance(ctx, o.db, p.Name(), switchover.Migrate, gates); err != nil {
		return err
	}
	return o.run(ctx, p)
}

func (o *operator) run(ctx context.Context, p expand.Any) error {
	done, err := backfill.Run(ctx, o.db, p, backfill.Options{})
	o.stage.Say("  %s: %d rows copied, %d do not convert", p.Name(), done.Rows, done.BadRows)
	return err
}

func (o *operator) verify(ctx context.Context, p expand.Any) error {
	report, err := backfill.Verify(ctx, o.db, p, backfill.VerifyOptions{})
	o.stage.Differences += report.Differences
	o.stage.Say("  %s: %d rows compared, %d differ", p.Name(), report.Rows, report.Differences)
	if err == nil && report.Differences > 0 { // no gate would open
		err = fmt.Errorf("%s: %d rows differ, of the keys %v", p.Name(), report.Differences, report.Keys)
	}
	return err
}

func (o *operator) addNames(ctx context.Context) error { return o.begin(ctx, Names) }

func (o *operator) copyNames(ctx context.Context) error {
	if err := o.copyRows(ctx, Names); err != nil {
		return err
	}
	o.stopScript = o.startHalf()
	return o.begin(ctx, Places)
}

// mend is a human's work: the library does not guess which part of a name may go.
func (o *operator) mend(ctx context.Context) error {
	bad, err := trial.BadRows(ctx, o.db, Names.Name())
	if err != nil {
		return err
	}
	for _, row := range bad {
		o.stage.Say("  person %d: %s", row.ID, row.Error)
		if _, err := o.db.ExecContext(ctx, `UPDATE people SET full_name = $1 WHERE id = $2`, mended, row.ID); err != nil {
			return err
		}
	}
	if err := o.run(ctx, Names); err != nil {
		return err
	}
	return o.copyRows(ctx, Places)
}

// standIn is the name that the gate asks for.
const standIn = "people_name_tandem_bebdb3"

// makeIndex tries the step that must not succeed yet. What an index on full_name is for, nobody but the application knows: it makes one that does as much
// for first_name and last_name, and contract.Apply gives it the name of old's in the end.
func (o *operator) makeIndex(ctx context.Context) error {
	if err := trial.Status(ctx, o.db, gates, o.stage.Say); err != nil { // it names who still goes around
		return err
	}
	o.stopOthers()
	if err := o.refused(ctx, Names); err != nil {
		return err
	}
	if _, err := o.db.ExecContext(ctx, `CREATE INDEX CONCURRENTLY `+standIn+` ON people (last_name, first_name)`); err != nil {
		return err
	}
	return o.analyzeAndVerify(ctx, Names)
}

// refused wants the gate to Switch to be shut, and shows why.
func (o *operator) refused(ctx context.Context, p expand.Any) error {
	err := switchover.Advance(ctx, o.db, p.Name(), switchover.Switch, switchover.Options{})
	var shut *switchover.GateError
	if !errors.As(err, &shut) {
		return fmt.Errorf("%s to Switch: no gate was shut: %w", p.Name(), err)
	}
	o.stage.Say("%v", shut)
	return nil
}

// analyzeAndVerify is the rest of what the gate asks for. Of a set ApplyTwins makes no indexes; it brings the statistics, comments and grants.
func (o *operator) analyzeAndVerify(ctx context.Context, p expand.Any) error {
	if err := expand.ApplyTwins(ctx, o.db, p, expand.Options{}); err != nil {
		return err
	}
	return o.verify(ctx, p)
}

func (o *operator) readNames(ctx context.Context) error {
	if err := switchover.Advance(ctx, o.db, Names.Name(), switchover.Switch, gates); err != nil {
		return err
	}
	if err := o.refused(ctx, Places); err != nil {
		return err
	}
	return o.analyzeAndVerify(ctx, Places)
}

// gatesOf waives the gate that asks what stands for the index on lat and lon, with a reason, which lands in tandem.event. It asks before every step that
// takes something from old.
func gatesOf(p expand.Any) switchover.Options {
	o := gates
	if p.Name() == Places.Name() {
		o.Waive = map[string]string{"twins": "nobody looks for people by where they are any more"}
	}
	return o
}

func (o *operator) readPlaces(ctx context.Context) error {
	if err := switchover.Advance(ctx, o.db, Places.Name(), switchover.Switch, gatesOf(Places)); err != nil {
		return err
	}
	return o.load.Still(func() error {
		for _, s := range []shape{inOld, inNew} {
			if err := prove(ctx, o.db, o.load, s, &o.stage.Result); err != nil {
				return err
			}
		}
		return nil
	})
}

// stopWriting takes from old what would stand in the way, and then the writes. From here on the guard refuses whoever knows old alone.
func (o *operator) stopWriting(ctx context.Context, p expand.Any) error {
	if err := contract.Apply(ctx, o.db, p, contract.Relax, contract.Options{Gates: gatesOf(p)}); err != nil {
		return err
	}
	if err := o.verify(ctx, p); err != nil {
		return err
	}
	return switchover.Advance(ctx, o.db, p.Name(), switchover.Contract, gatesOf(p))
}

// drop is the one step that cannot be taken back.
func (o *operator) drop(ctx context.Context, p expand.Any) error {
	if err := contract.Apply(ctx, o.db, p, contract.Finish, contract.Options{}); err != nil {
		return err
	}
	return contract.Apply(ctx, o.db, p, contract.Drop, contract.Options{Gates: gatesOf(p)})
}

func (o *operator) stopWritingFullName(ctx context.Context) error { return o.stopWriting(ctx, Names) }

func (o *operator) dropFullName(ctx context.Context) error {
	if err := o.drop(ctx, Names); err != nil {
		return err
	}
	return o.stopWriting(ctx, Places)
}

func (o *operator) dropDegrees(ctx context.Context) error { return o.drop(ctx, Places) }
