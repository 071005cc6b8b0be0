package switchover

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/state"
)

// tableGates is gatesOf for a replaced table.
var tableGates = map[Phase][]func(*asker, context.Context) error{
	Expand:   {(*asker).mirrored},
	Migrate:  {(*asker).mirrored, (*asker).members},
	Switch:   {(*asker).mirrored, (*asker).whole, (*asker).passes, (*asker).badRows, (*asker).analyzed, (*asker).members},
	Contract: {(*asker).mirrored, (*asker).soak, (*asker).passes, (*asker).badRows, (*asker).followers, (*asker).members},
	Complete: {(*asker).mirrored, (*asker).soak, (*asker).followers, (*asker).members},
}

func (a *asker) mirrored(ctx context.Context) error {
	missing, err := a.replaced.Unmirrored(ctx, a.db, a.m.Phase)
	if missing != "" {
		a.add(false, "guard", "%s", missing)
	}
	return err
}

// whole refuses a canary: a join cannot read some rows of one table and some of another.
func (a *asker) whole(context.Context) error {
	if a.o.Canary.Share < 1 {
		a.add(false, "canary", "a replaced table is read from as a whole: leave out the share")
	}
	return nil
}

func (a *asker) analyzed(ctx context.Context) error {
	ok, err := catalog.Analyzed(ctx, a.db, a.replaced.New, a.m.Definition.IntoKey)
	if err == nil && !ok {
		a.add(true, "statistics", "the planner knows nothing of %s: run ANALYZE %s (expand.ApplyTwins does)", a.replaced.New, a.replaced.New)
	}
	return err
}

// followers are what would go on with the old table when it is renamed. While that is kept in step they are right, until it is dropped.
func (a *asker) followers(ctx context.Context) error {
	list, err := a.replaced.Dependents(ctx, a.db)
	for _, d := range list {
		switch {
		case !d.Blocks:
			a.add(true, "mentions", "%s", d)
		default:
			a.add(a.to == Contract && a.replaced.OneWay() == nil && d.Kind != "sequence", "dependents", "%s", d)
		}
	}
	return err
}

// swapTables exchanges the two tables between Switch and Contract, and sets the phase. The old table gets a name that nobody knows: whoever still writes or reads it by its
// old one fails with 42P01, or, with KeepName, goes on with the new table. A statement that runs holds its lock, and so is wholly before.
func swapTables(ctx context.Context, tx *sqlx.Tx, was *state.Migration, to Phase, o Options, set func(*state.Migration, guard.Mode) error) error {
	d := was.Definition
	old, fresh := d.Sides(was.Phase)
	first, second := old, fresh // as the writers of this phase take them
	if to == Switch {
		first, second = fresh, old
	}
	both := first.SQL() + ", " + second.SQL()
	// It keeps columns, triggers and constraints as they are while the statements are made.
	if _, err := tx.ExecContext(ctx, `LOCK TABLE `+both+` IN SHARE UPDATE EXCLUSIVE MODE`); err != nil {
		return err
	}
	m, err := lockAsItWas(ctx, tx, was, o)
	if err != nil {
		return err
	}
	r, err := catalog.ReadReplacement(ctx, tx, d, was.Phase)
	if err != nil {
		return err
	}
	exchange, err := exchangeSQL(ctx, tx, r, was.Phase, to)
	if err != nil {
		return err
	}
	mode := map[Phase]guard.Mode{Contract: guard.Reject, Switch: guard.Repair}[to]
	if err := set(m, mode); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `LOCK TABLE `+both+` IN ACCESS EXCLUSIVE MODE`); err != nil {
		return err
	}
	if to == Contract {
		if err := m.Swapped(ctx, tx); err != nil {
			return err
		}
	}
	_, err = tx.ExecContext(ctx, strings.Join(exchange, ";\n")) // one message
	return err
}

// exchangeSQL is what the swap does to the tables.
func exchangeSQL(ctx context.Context, tx *sqlx.Tx, r *catalog.Replacement, from, to Phase) ([]string, error) {
	oldWas, freshWas := r.Definition.Sides(from)
	oldIs, freshIs := r.Definition.Sides(to)
	var renames []string
	if oldWas != oldIs {
		renames = append(renames, "ALTER TABLE "+oldWas.SQL()+" RENAME TO "+ident.Quote(oldIs.Name))
	}
	if freshWas != freshIs {
		renames = append(renames, "ALTER TABLE "+freshWas.SQL()+" RENAME TO "+ident.Quote(freshIs.Name))
	}
	if to == Switch { // the name must be free first
		slices.Reverse(renames)
	}
	sequences, err := r.Sequences(ctx, tx, to == Switch)
	if err != nil {
		return nil, err
	}
	var drop []string
	if to == Contract && r.OneWay() != nil {
		if drop, err = r.Referring(ctx, tx, oldWas); err != nil {
			return nil, err
		}
	}
	return slices.Concat(r.Mirror(from).RemoveTriggers(), sequences, drop, renames, r.Mirror(to).Install()), nil
}

// refuseApart keeps the way back from Contract from beginning with tables that are not in step.
func refuseApart(ctx context.Context, db *sqlx.DB, m *state.Migration) error {
	if m.Phase != Contract {
		return nil
	}
	r, err := catalog.ReadReplacement(ctx, db, m.Definition, m.Phase)
	if err != nil {
		return err
	}
	if err := r.OneWay(); err != nil {
		return fmt.Errorf("there is no way back: %w: %w", err, ErrStep)
	}
	missing, err := r.Unmirrored(ctx, db, m.Phase)
	if err != nil {
		return err
	}
	if missing != "" {
		return &GateError{Migration: m.Name, From: Contract, To: Switch, Gates: []Gate{{Name: "guard", Missing: missing}}}
	}
	back := r.Mirror(Contract)
	forward := back.Back
	var apart bool
	err = db.GetContext(ctx, &apart, fmt.Sprintf(`SELECT EXISTS (SELECT FROM %s AS t FULL JOIN %s AS i ON %s WHERE t.%s IS NULL OR i.%s IS NULL OR %s)`,
		forward.From.SQL(), forward.To.SQL(), forward.SameTo("i.", "t."), ident.Quote(forward.FromKey[0]), ident.Quote(forward.ToKey[0]), forward.Differs("t.", "i.")))
	if err != nil {
		return fmt.Errorf("comparing %s with %s: %w", forward.From, forward.To, pg.Cause(ctx, err))
	}
	if apart {
		return &GateError{Migration: m.Name, From: Contract, To: Switch, Gates: []Gate{{Name: "apart",
			Missing: fmt.Sprintf("%s and %s are not in step: was a partition dropped, detached or truncated by itself? Do the same to the rows of %s", forward.To, forward.From, forward.From)}}}
	}
	return nil
}
