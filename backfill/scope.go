package backfill

import (
	"context"
	"fmt"

	"github.com/tandem-go/tandem/internal/catalog"
)

// limit makes the run one of Options.Where, in the direction of Options.OrderDesc. A pass over a part of the rows is another pass than that over all of them: it has a row and ranges of its own in
// the state, under a kind that names the part, and says nothing to the gates.
func (r *runner) limit(ctx context.Context, t *catalog.Table) error {
	if r.o.OrderDesc {
		if err := r.task.keyed(); err != nil {
			return fmt.Errorf("options: OrderDesc: %w", err)
		}
		r.task.path = r.task.path.back()
	}
	if r.o.Where == "" {
		return nil
	}
	in, err := t.Predicate(ctx, r.db, r.o.Where)
	if err != nil {
		return fmt.Errorf("options: where %s: %w", r.o.Where, err)
	}
	r.task.scope, r.kind = " AND "+in, r.kind+" where "+r.o.Where
	return nil
}
