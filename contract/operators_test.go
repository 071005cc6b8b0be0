package contract_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/contract"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/switchover"
)

// atOnce lets some operators take a stage at the same moment: all have planned it and wait for the table. Whoever comes second has nothing left to do or is told so.
func (w *walker) atOnce(stage contract.Stage) {
	w.Helper()
	const operators = 4
	held, err := w.db.BeginTxx(w.ctx, nil)
	require.NoError(w, err)
	_, err = held.ExecContext(w.ctx, `LOCK TABLE users IN ACCESS SHARE MODE`)
	require.NoError(w, err)
	errs := make([]error, operators)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() {
			o := contract.Options{Gates: quick, Locks: expand.Options{LockTimeout: waitTime}}
			errs[i] = contract.Apply(context.WithoutCancel(w.ctx), w.db, w.pair, stage, o)
		})
	}
	require.Eventually(w, func() bool {
		return w.number(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) == operators
	}, waitTime, 5*time.Millisecond, "%s: all wait", stage)
	require.NoError(w, held.Rollback())
	all.Wait()
	done := 0
	for _, err := range errs {
		switch {
		case err == nil:
			done++
		case stage == contract.Drop && errors.Is(err, contract.ErrPhase):
		default:
			require.ErrorIs(w, err, switchover.ErrStep, "%s", stage)
			require.ErrorContains(w, err, "somebody else", "%s", stage)
		}
	}
	require.Positive(w, done, "%s: %v", stage, errs)
	w.Logf("%s: %d of %d done, %v", stage, done, operators, errs)
}

// All stages by several operators at once, and the catalog is as after a walk by one.
func TestOperatorsAtOnce(t *testing.T) {
	t.Parallel()
	alone, many := newLonelyWalker(t, usersSQL, fullName), newLonelyWalker(t, usersSQL, fullName)
	for _, w := range []*walker{alone, many} {
		take := w.apply
		if w == many {
			take = w.atOnce
		}
		w.toSwitch()
		take(contract.Relax)
		w.advance(switchover.Contract)
		take(contract.Finish)
		w.revert(switchover.Switch)
		w.reverse()
		take(contract.Restore)
		take(contract.Relax)
		w.advance(switchover.Contract)
		take(contract.Finish)
		take(contract.Drop)
	}
	require.Equal(t, alone.describe(), many.describe())
}
