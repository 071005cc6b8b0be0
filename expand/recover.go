package expand

import (
	"context"
	"fmt"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/pair"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/phase"
	"github.com/tandem-go/tandem/internal/state"
	"github.com/tandem-go/tandem/switchover"
)

// admitted are the phases that the guards of the end admit. The repairing guard admits Start to Switch, which are all right as long as it is there: such a
// migration begins again in Start.
var admitted = map[guard.Mode]phase.Phase{guard.Reject: phase.Contract, guard.Reverse: phase.Switch}

// lostText is what the event of a recovery says.
const lostText = "registered again by its guard, for its row was lost; what contract had taken from old (NOT NULL, default, constraints, names) is not known any more: compare with a dump"

// recovery returns the step that registers a migration whose row is gone although the guard of the end is there; nil when it is not.
func recovery(ctx context.Context, db *sqlx.DB, t *catalog.Table, d pair.Definition) ([]Step, error) {
	for mode, ph := range admitted {
		missing, err := catalog.Unguarded(ctx, db, t, d, mode)
		if err != nil {
			return nil, err
		}
		if missing != "" {
			continue
		}
		return []Step{{Name: "register again", Lock: "SHARE ROW EXCLUSIVE", Why: "the guard is there and the migration's row is gone",
			SQL: []string{lockTables(d, "SHARE ROW EXCLUSIVE")},
			Also: func(ctx context.Context, tx *sqlx.Tx) error {
				m, err := state.Register(ctx, tx, d)
				if err != nil || m.Phase != phase.Start || m.Guard != guard.None {
					return err // somebody else was first
				}
				if err := m.Move(ctx, tx, ph, mode); err != nil {
					return err
				}
				if err := m.Swapped(ctx, tx); err != nil {
					return err
				}
				return state.Log(ctx, tx, state.Event{Migration: d.Name(), Kind: "apply", To: ph, Detail: lostText})
			}}}, nil
	}
	return nil, nil
}

// refuseContracted refuses to begin in Start where rows say that Contract has been reached: their old value is stale, and no guard says how far the way back is.
func refuseContracted(ctx context.Context, db *sqlx.DB, t *catalog.Table, d pair.Definition) error {
	if t.Column(d.Stamp) == nil {
		return nil
	}
	var contracted bool
	err := db.GetContext(ctx, &contracted, `SELECT EXISTS (SELECT FROM `+d.Table.SQL()+` WHERE `+ident.Quote(d.Stamp)+` >= $1)`, phase.Contract.Floor())
	if err != nil {
		return fmt.Errorf("table %s, column %s: %w", t, ident.Quote(d.Stamp), pg.Cause(ctx, err))
	}
	if contracted {
		return fmt.Errorf("table %s holds rows written in Contract, neither guard nor schema tandem knows of it: restore schema tandem from a backup: %w", t, switchover.ErrLost)
	}
	return nil
}
