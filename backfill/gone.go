package backfill

import (
	"context"
	"errors"
	"fmt"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/internal/state"
)

// errDetached says that a range's relation is no partition of the table any more.
var errDetached = errors.New("it is no partition of the table any more")

// lies makes sure that the range is of a partition still. Who detaches one waits for the transaction, once that has written.
func (w *worker) lies(ctx context.Context, q sqlx.QueryerContext) error {
	if w.saved.Relation == w.runner.task.table || w.task == w.other {
		return nil
	}
	partition, there, err := w.saved.Lies(ctx, q, w.runner.task.table)
	switch {
	case err != nil:
		return err
	case !there:
		return fmt.Errorf("table %s: %w", w.runner.task.table, expand.ErrNoTable)
	case !partition:
		return errDetached
	}
	return nil
}

// leave passes over a range whose partition was detached or dropped, which its error says or lies: its rows are the table's no more. What was attached meanwhile is found when the round ends.
func (w *worker) leave(ctx context.Context, err error) (left bool, _ error) {
	if err == nil || pg.SQLState(err) == undefinedTable {
		if is := w.lies(ctx, w.db); is != nil {
			err = is
		}
	}
	if !errors.Is(err, errDetached) {
		return false, err
	}
	return true, w.retry(ctx, func(ctx context.Context) error {
		next := w.saved
		next.Done, next.Share, next.Position.High = true, 1, nil
		_, err := next.Save(ctx, w.db)
		if err == nil {
			w.saved = next
		}
		return err
	})
}

const undefinedTable = "42P01"

// explain says of an error that comes of the table's having gone what has become of it.
func (r *runner) explain(ctx context.Context, err error) error {
	if pg.SQLState(err) != undefinedTable && !errors.Is(err, expand.ErrNoTable) {
		return err
	}
	is, lost := state.NameOf(context.WithoutCancel(ctx), r.db, r.oid, r.task.d.Table.SQL())
	switch {
	case lost != nil || is == r.task.d.Table.SQL():
		return err
	case is == "":
		return fmt.Errorf("table %s was dropped while this ran: the position is kept, and switchover and expand know the migration still: %w", r.task.d.Table, errors.Join(expand.ErrNoTable, err))
	}
	return fmt.Errorf("table %s was renamed to %s while this ran: the position is kept; name it back, then run again: %w", r.task.d.Table, is, errors.Join(expand.ErrNoTable, err))
}
