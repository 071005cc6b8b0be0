package contract

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/internal/pg"
	"github.com/tandem-go/tandem/switchover"
)

// outrun adds ErrStep to the error of one whose plan somebody else is carrying out at the same moment. What PostgreSQL says of it, that there is no such constraint or
// already such an index, would not help him. done steps of his own do not make it another plan.
func (w *work) outrun(ctx context.Context, planned []expand.Step, done int, err error) error {
	var gates *switchover.GateError
	if err == nil || ctx.Err() != nil || errors.Is(err, switchover.ErrStep) || errors.As(err, &gates) || pg.Transient(err) || pg.ConnectionLost(err) {
		return err
	}
	now := *w
	again := now.read(ctx, w.db)
	var left []expand.Step
	if again == nil && w.stage == Drop { // one transaction: nobody was faster
		return err
	}
	if again == nil {
		left, again = now.plan(ctx)
	}
	switch {
	case again != nil && !errors.Is(again, ErrPhase) && !errors.Is(again, switchover.ErrStep): // it cannot be planned, whoever else is there
		return err
	case again == nil && planned != nil:
		for i := range done + 1 {
			if slices.Equal(texts(planned[i:]), texts(left)) {
				return err
			}
		}
	}
	return fmt.Errorf("somebody else is at work on it at this moment, run it again: %w: %w", switchover.ErrStep, err)
}

// texts are the statements of a plan.
func texts(steps []expand.Step) (out []string) {
	for _, s := range steps {
		out = append(out, s.Name)
		out = append(out, s.SQL...)
	}
	return out
}
