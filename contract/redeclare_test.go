package contract_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/contract"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/switchover"
)

// declared is a pair that somebody deploys, or gives to an operator's command, while the migration of fullName runs.
type declared struct {
	pair expand.Any
	use  []func(context.Context) error // by the application
	says string                        // what the application is told
}

// declare makes the ways in which an application uses a pair, with a model of it alone.
func declare[T any](w *walker, p *expand.Pair[string, string], says string) declared {
	users := func(do func(ctx context.Context, r *expand.Repository[T]) error) func(context.Context) error {
		return func(ctx context.Context) error {
			r, err := expand.NewRepository[T](w.db, w.member, p)
			if err != nil {
				return err
			}
			return do(ctx, r)
		}
	}
	return declared{p, []func(context.Context) error{
		users(func(ctx context.Context, r *expand.Repository[T]) error { _, err := r.Get(ctx, 1); return err }),
		users(func(ctx context.Context, r *expand.Repository[T]) error {
			_, err := r.Select(ctx, `WHERE id = $1`, 1)
			return err
		}),
		users(func(ctx context.Context, r *expand.Repository[T]) error { return r.Insert(ctx, new(T)) }),
		func(ctx context.Context) error { _, err := p.Pin(ctx, w.member); return err },
		func(ctx context.Context) error {
			return p.Do(ctx, w.member, func(*expand.Pinned[string, string]) error { return nil })
		},
	}, says}
}

// commands are everything that an operator gives a pair to, but Plan and Apply.
func (w *walker) commands(p expand.Any) map[string]error {
	errs := map[string]error{"twins": expand.ApplyTwins(w.ctx, w.db, p, expand.Options{})}
	_, errs["run"] = backfill.Run(w.ctx, w.db, p, backfill.Options{})
	_, errs["reverse"] = backfill.Run(w.ctx, w.db, p, backfill.Options{Reverse: true})
	_, errs["verify"] = backfill.Verify(w.ctx, w.db, p, backfill.VerifyOptions{})
	_, errs["sweep"] = backfill.Sweep(w.ctx, w.db, p)
	for _, s := range stages {
		_, errs["plan "+s.String()] = contract.Plan(w.ctx, w.db, p, s)
		errs["apply "+s.String()] = contract.Apply(w.ctx, w.db, p, s, contract.Options{Gates: quick})
	}
	return errs
}

// everything is the table, its rows, and what is known of the migration.
func (w *walker) everything() []string {
	w.Helper()
	out := w.describe()
	for _, t := range []string{"users", "tandem.migration", "tandem.backfill", "tandem.event", "tandem.stray", "tandem.dirty"} {
		var sum string
		require.NoError(w, w.db.GetContext(w.ctx, &sum, `SELECT count(*) || md5(coalesce(string_agg(x::text, '|' ORDER BY x::text), '')) FROM `+t+` x`))
		out = append(out, t+" "+sum)
	}
	return out
}

// refuse wants that nobody gets anywhere with other declarations, and that nothing changes.
func (w *walker) refuse(others map[string]declared, plan, command error) {
	w.Helper()
	before := w.everything()
	for name, o := range others {
		_, err := expand.Plan(w.ctx, w.db, o.pair)
		require.ErrorIs(w, err, plan, name)
		require.ErrorContains(w, err, o.says, name)
		require.ErrorIs(w, expand.Apply(w.ctx, w.db, o.pair, expand.Options{}), plan, name)
		for i, use := range o.use {
			err := use(w.ctx)
			require.ErrorIs(w, err, plan, "%s, use %d", name, i)
			require.ErrorContains(w, err, o.says, "%s, use %d", name, i)
		}
		for what, err := range w.commands(o.pair) {
			require.ErrorIs(w, err, command, "%s, %s", name, what)
		}
	}
	require.Equal(w, before, w.everything())
}

type (
	ofFullName struct {
		ID       int64  `db:"id"`
		FullName string `db:"full_name"`
	}
	ofOther struct {
		ID    int64  `db:"id"`
		Other string `db:"other"`
	}
)

func same(s string) (string, error) { return s, nil }

// redeclared have the name of the migration, and differ in one thing.
func (w *walker) redeclared() map[string]declared {
	spec := func(change func(*expand.Spec[string, string])) *expand.Pair[string, string] {
		s := expand.Spec[string, string]{Table: "users", Old: "user_name", New: "full_name", Forward: same, Backward: same,
			ForwardSQL: "{user_name}", BackwardSQL: "{full_name}"}
		change(&s)
		return expand.Convert(s)
	}
	of := func(says string, change func(*expand.Spec[string, string])) declared {
		return declare[ofFullName](w, spec(change), says+": the pair's declaration differs")
	}
	return map[string]declared{
		"old": of("old is email and was user_name; forward SQL is {email} and was {user_name}",
			func(s *expand.Spec[string, string]) { s.Old, s.ForwardSQL = "email", "{email}" }),
		"key":  declare[user](w, spec(func(s *expand.Spec[string, string]) { s.Key = []string{"email"} }), "key is email and was id: the pair's declaration differs"),
		"type": of("type is varchar and was none", func(s *expand.Spec[string, string]) { s.Type = "varchar" }),
		"forward": of("type is text and was none; forward SQL is lower({user_name}) and was {user_name}",
			func(s *expand.Spec[string, string]) { s.Type, s.ForwardSQL = "text", "lower({user_name})" }),
		"no forward": of("forward SQL is none and was {user_name}", func(s *expand.Spec[string, string]) { s.ForwardSQL = "" }),
		"backward":   of("backward SQL is none and was {full_name}", func(s *expand.Spec[string, string]) { s.BackwardSQL = "" }),
	}
}

// overlapping have another name, and a column of the migration.
func (w *walker) overlapping() map[string]declared {
	of := func(from, to, column string, phase fmt.Stringer) declared {
		return declare[ofOther](w, expand.Rename[string]("users", from, to), fmt.Sprintf("column %s belongs to migration users.full_name, which is in %s: finish it or undo it first", column, phase))
	}
	phase := w.member.Phase(fullName.Name())
	return map[string]declared{
		"the same old":    of("user_name", "other", "user_name", phase),
		"its new as old":  of("full_name", "other", "full_name", phase),
		"its old as new":  declareNew(w, "user_name", "column user_name belongs to migration users.full_name"),
		"its stamp taken": declareNew(w, "full_name_stamp", "column full_name_stamp belongs to migration users.full_name"),
	}
}

// declareNew is a pair from email to a column; only Plan and the commands are tried with it.
func declareNew(_ *walker, column, says string) declared {
	return declared{pair: expand.Rename[string]("users", "email", column), says: says}
}

// Another declaration, while the migration runs, is refused wherever it is given, in each phase and on the way back, with what to do; the migration goes on.
func TestRedeclared(t *testing.T) {
	t.Parallel()
	w := newWalker(t)
	refuse := func(p switchover.Phase) {
		t.Helper()
		w.refresh(p)
		w.refuse(w.redeclared(), switchover.ErrRedeclare, switchover.ErrRedeclare)
		w.refuse(w.overlapping(), switchover.ErrOverlap, switchover.ErrUnknown)
		u, err := w.users.Get(w.ctx, 1)
		require.NoError(t, err)
		require.Equal(t, "user 1", u.FullName)
	}
	refuse(switchover.Start)
	w.advance(switchover.Expand)
	refuse(switchover.Expand)
	w.advance(switchover.Migrate)
	_, err := backfill.Run(w.ctx, w.db, w.pair, backfill.Options{})
	require.NoError(t, err)
	refuse(switchover.Migrate)
	w.toSwitch()
	refuse(switchover.Switch)
	w.apply(contract.Relax)
	refuse(switchover.Switch)
	w.advance(switchover.Contract)
	refuse(switchover.Contract)
	w.apply(contract.Finish)
	w.revert(switchover.Switch)
	refuse(switchover.Switch)
	w.reverse()
	w.apply(contract.Restore)
	w.apply(contract.Relax)
	w.advance(switchover.Contract)
	w.end()
}

// One migration after the other, on the column that the first one made; both have walked all the way.
func TestOneAfterTheOther(t *testing.T) {
	t.Parallel()
	w := newLonelyWalker(t, usersSQL, fullName)
	w.toContract()
	w.end()
	w.pair = expand.Rename[string]("users", "full_name", "display_name")
	require.NoError(t, expand.Apply(w.ctx, w.db, w.pair, expand.Options{}))
	w.toContract()
	w.back()
	w.apply(contract.Relax)
	w.advance(switchover.Contract)
	w.end()
	require.Equal(t, 1000, w.number(`SELECT count(*) FROM users WHERE display_name LIKE 'user %'`))
	require.Equal(t, 2, w.number(`SELECT count(*) FROM tandem.migration WHERE phase = 'Complete'`))
}
