package contract

import (
	"context"
	"slices"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/phase"
	"github.com/tandem-go/tandem/switchover"
)

// tableSteps is the plan of a stage of a replaced table. Only Drop has something to do: the new table is made as it is to be, and the old one is not relaxed but mirrored.
func (w *work) tableSteps(ctx context.Context) ([]expand.Step, error) {
	if w.stage != Drop {
		return nil, nil
	}
	r, err := catalog.ReadReplacement(ctx, w.db, w.d, phase.Contract)
	if err != nil {
		return nil, err
	}
	return []expand.Step{dropTableStep(r)}, nil
}

// dropTableStep is one transaction: the mirror and the old table go.
func dropTableStep(r *catalog.Replacement) expand.Step {
	m := r.Mirror(phase.Contract)
	old, fresh := r.Definition.Sides(phase.Contract)
	return expand.Step{Name: "drop " + old.String() + " and its mirror", Lock: "ACCESS EXCLUSIVE", Why: "without CASCADE",
		SQL: slices.Concat([]string{"LOCK TABLE " + fresh.SQL() + ", " + old.SQL() + " IN ACCESS EXCLUSIVE MODE"},
			m.RemoveTriggers(), m.RemoveFunctions(), []string{"DROP TABLE " + old.SQL()})}
}

// dropTable is Apply for a replaced table: Drop, the step to Complete, and nothing for the other stages.
func (w *work) dropTable(ctx context.Context, o Options) error {
	if w.stage != Drop {
		return nil
	}
	gates := o.Gates
	gates.LockTimeout, gates.Attempts = o.Locks.LockTimeout, o.Locks.Attempts
	gates.Within = func(ctx context.Context, tx *sqlx.Tx) error {
		r, err := catalog.ReadReplacement(ctx, tx, w.d, phase.Contract)
		if err != nil {
			return err
		}
		return dropTableStep(r).Exec(ctx, tx)
	}
	return switchover.Advance(ctx, w.db, w.m.Name, switchover.Complete, gates)
}
