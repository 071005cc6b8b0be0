package backfill

import (
	"context"
	"fmt"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/catalog"
	"github.com/tandem-go/tandem/internal/guard"
	"github.com/tandem-go/tandem/internal/ident"
	"github.com/tandem-go/tandem/internal/phase"
	"github.com/tandem-go/tandem/internal/state"
)

// newReplaceRunner is newRunner for a replaced table.
func newReplaceRunner(ctx context.Context, db *sqlx.DB, d expand.Definition, m *state.Migration, o Options) (*runner, error) {
	switch {
	case o.Reverse:
		return nil, fmt.Errorf("%w: the old table is kept in step in Contract: switchover.Revert is the whole way back", ErrPhase)
	case m.Phase < phase.Migrate || m.Phase > phase.Switch:
		return nil, fmt.Errorf("%w: in %s; a table is copied in Migrate or Switch", ErrPhase, m.Phase)
	}
	r, err := catalog.ReadReplacement(ctx, db, d, m.Phase)
	if err != nil {
		return nil, err
	}
	mirror := r.Mirror(m.Phase).Map
	out := runnerOf(db, o, newReplaceTask(r, &mirror))
	return out, out.limit(ctx, r.Old)
}

// newReplaceTask copies the rows that are not there yet.
func newReplaceTask(r *catalog.Replacement, mirror *guard.Map) *task {
	k := &task{d: r.Definition, table: r.Definition.Table.SQL(), kind: "copy", mirror: mirror, exprs: mirror.On, types: r.Old.KeyTypes(r.Definition.Key), path: pathOf(r.Old, r.Definition.Key)}
	k.todo = "NOT EXISTS (SELECT FROM " + mirror.To.SQL() + " AS i WHERE " + mirror.SameTo("i.", "t.") + ")"
	return k
}

// newExtraTask goes over the new table and looks for rows that are of no row of the old one.
func newExtraTask(r *catalog.Replacement, mirror *guard.Map) *task {
	d := expand.Definition{Table: mirror.To, Key: mirror.ToKey}
	return &task{d: d, table: d.Table.SQL(), kind: "verify", exprs: mirror.On, types: r.New.KeyTypes(d.Key), path: pathOf(r.New, d.Key),
		extra: "NOT EXISTS (SELECT FROM " + mirror.From.SQL() + " AS o WHERE " + mirror.SameTo("t.", "o.") + ")"}
}

// mirrorSQL copies rows of the old table, with more tables and the condition. FOR SHARE keeps a row as it is until it is there: without it somebody could delete the row after it was read
// and before its copy can be seen, and the mirror would find nothing to delete. A row that the mirror has written first is newer, or the same.
func (k *task) mirrorSQL(more, where string) string {
	return k.mirror.InsertSQL() + more + " WHERE " + where + " AND " + k.todo + " FOR SHARE OF t ON CONFLICT (" + ident.List("", k.mirror.ToKey) + ") DO NOTHING"
}

// announce lets the transaction write the table that only the guard may write.
func (k *task) announce(ctx context.Context, tx *sqlx.Tx) error {
	if k.mirror == nil {
		return nil
	}
	_, err := tx.ExecContext(ctx, `SELECT set_config($1, $2, true)`, guard.Setting, k.d.Name())
	return err
}
