package switchover

import (
	"context"
	"fmt"
	"strings"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/state"
)

// Gate is one condition of a step that is not met.
type Gate struct {
	Name     string // what Waive names
	Missing  string // what is missing and what to do, in words
	Waivable bool   // false: going on would lose data
}

func (g Gate) String() string { return g.Name + ": " + g.Missing }

// GateError is the refusal of a step, with everything that is missing at once. Nothing was changed.
type GateError struct {
	Migration string
	From, To  Phase
	Gates     []Gate
}

func (e *GateError) Error() string {
	lines := make([]string, len(e.Gates))
	for i, g := range e.Gates {
		lines[i] = "\n  " + g.String()
	}
	return fmt.Sprintf("%s from %s to %s is refused:%s", e.Migration, e.From, e.To, strings.Join(lines, ""))
}

// asker evaluates gates on one state of the database.
type asker struct {
	db    *sqlx.DB
	o     Options
	m     *state.Migration
	to    Phase
	table *catalog.Table // nil where a whole table is replaced
	there *catalog.Table // of new and stamp, mostly table
	count state.Counts

	replaced *catalog.Replacement // nil otherwise
	gates    []Gate
}

func (a *asker) add(waivable bool, name, format string, args ...any) {
	a.gates = append(a.gates, Gate{Name: name, Missing: fmt.Sprintf(format, args...), Waivable: waivable})
}

// gatesOf lists for each target phase the questions asked before it is entered from the phase below.
var gatesOf = map[Phase][]func(*asker, context.Context) error{
	Expand:   {(*asker).columns, (*asker).guard},
	Migrate:  {(*asker).guard, (*asker).members},
	Switch:   {(*asker).keyed, (*asker).guard, (*asker).passes, (*asker).dirty, (*asker).badRows, (*asker).strays, (*asker).twins, (*asker).statistics, (*asker).members},
	Contract: {(*asker).reversed, (*asker).guard, (*asker).canary, (*asker).soak, (*asker).differences, (*asker).dirty, (*asker).badRows, (*asker).strays, (*asker).relaxed, (*asker).stands, (*asker).nulls, (*asker).finishable, (*asker).members},
	Complete: {(*asker).soak, (*asker).defaulted, (*asker).stands, (*asker).dependents, (*asker).badRows, (*asker).unstamped, (*asker).standbys, (*asker).members},
}

// gateNames are all names that a Gate can have, and that Waive may therefore name.
var gateNames = []string{"columns", "guard", "members", "backfill", "verify", "dirty", "bad-rows", "accepted", "strays", "twins", "statistics", "reversed",
	"canary", "soak", "differences", "not-null", "relaxed", "default", "dependents", "mentions", "unstamped", "standbys"}

// settledBy are the questions before anything is taken from old, while it is still in Switch.
var settledBy = []func(*asker, context.Context) error{(*asker).canary, (*asker).strays, (*asker).stands, (*asker).members}

// ask returns what is missing for the step, and of that what is waived, with the reasons.
func ask(ctx context.Context, db *sqlx.DB, m *state.Migration, to Phase, o Options, questions []func(*asker, context.Context) error) (open []Gate, waived map[string]string, err error) {
	a := &asker{db: db, o: o, m: m, to: to}
	if m.Definition.Replaces() {
		questions = tableGates[to]
		a.replaced, err = catalog.ReadReplacement(ctx, db, m.Definition, m.Phase)
	} else {
		a.table, err = catalog.Read(ctx, db, m.Definition.Table)
	}
	if err != nil {
		return nil, nil, err
	}
	if a.there, err = catalog.There(ctx, db, a.table, m.Definition); err != nil {
		return nil, nil, err
	}
	if a.count, err = state.Count(ctx, db, m.Name); err != nil {
		return nil, nil, err
	}
	for _, question := range questions {
		if err := question(a, ctx); err != nil {
			return nil, nil, err
		}
	}
	waived = map[string]string{}
	for _, g := range a.gates {
		if reason := o.Waive[g.Name]; reason != "" && g.Waivable {
			waived[g.Name] = reason
		} else {
			open = append(open, g)
		}
	}
	return open, waived, nil
}
