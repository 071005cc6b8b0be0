package contract_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/contract"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/switchover"
)

var stages = []contract.Stage{contract.Relax, contract.Finish, contract.Drop, contract.Restore}

// refusedAll wants an error of these stages, from Plan and from Apply.
func (w *walker) refusedAll(want error, stages ...contract.Stage) {
	w.Helper()
	for _, s := range stages {
		_, err := contract.Plan(w.ctx, w.db, w.pair, s)
		require.ErrorIs(w, err, want, s)
		require.ErrorIs(w, contract.Apply(w.ctx, w.db, w.pair, s, contract.Options{Gates: quick}), want, s)
	}
}

func TestWrongPhaseOrStage(t *testing.T) {
	t.Parallel()
	w := newLonelyWalker(t, usersSQL, fullName)
	w.refusedAll(contract.ErrStage, 0, 5)
	require.Equal(t, "Stage(5)", contract.Stage(5).String())
	w.refusedAll(contract.ErrPhase, stages...)
	w.toMigrate()
	w.refusedAll(contract.ErrPhase, contract.Relax, contract.Finish, contract.Drop)
	w.toSwitch()
	w.refusedAll(contract.ErrPhase, contract.Finish, contract.Drop)
	w.apply(contract.Relax)
	w.advance(switchover.Contract)
	w.refusedAll(contract.ErrPhase, contract.Relax, contract.Restore)
	err := contract.Apply(t.Context(), w.db, w.pair, contract.Drop, contract.Options{Gates: quick})
	require.ErrorContains(t, err, "run contract.Apply with Finish")
	w.apply(contract.Finish)
	w.revert(switchover.Switch)
	w.refusedAll(contract.ErrPhase, contract.Relax)
	w.reverse()
	w.apply(contract.Restore)
	w.apply(contract.Relax)
	w.advance(switchover.Contract)
	w.end()
	w.refusedAll(contract.ErrPhase, stages...)

	w.pair = expand.Rename[string]("users", "user_name", "unheard")
	w.refusedAll(switchover.ErrUnknown, stages...)
	wrong := expand.Rename[string]("users", "a", "a")
	w.pair = wrong
	w.refusedAll(wrong.Err(), stages...)
	_, err = contract.Check(t.Context(), w.db, wrong)
	require.ErrorIs(t, err, wrong.Err())
}

// Relax tells what depends on old before it touches anything.
func TestRelaxRefusesDependents(t *testing.T) {
	t.Parallel()
	w := newLonelyWalker(t, usersSQL, fullName)
	w.toSwitch()
	w.exec(`CREATE VIEW names AS SELECT user_name FROM users; CREATE VIEW harmless AS SELECT email FROM users`)
	w.exec(`CREATE POLICY own ON users USING (user_name = current_user)`)
	w.exec(`ALTER TABLE users REPLICA IDENTITY USING INDEX users_name`)
	w.exec(`CREATE FUNCTION mention() RETURNS bigint LANGUAGE sql AS 'SELECT count(user_name) FROM public.users'`)
	w.exec(`CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.user_name := upper(NEW.user_name); RETURN NEW; END';
		CREATE TRIGGER shout BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION shout()`)
	before := w.describe()
	list, err := contract.Check(t.Context(), w.db, w.pair)
	require.NoError(t, err)
	blocking := map[string]bool{}
	for _, d := range list {
		blocking[d.Kind+" "+d.Name] = d.Blocks
	}
	require.Equal(t, map[string]bool{"view names": true, "policy own": true, "replica identity users_name": true,
		"function mention()": false, "function shout()": false, "trigger shout": true}, blocking)
	err = contract.Apply(t.Context(), w.db, w.pair, contract.Relax, contract.Options{})
	require.ErrorIs(t, err, contract.ErrDependents)
	require.ErrorContains(t, err, "replica identity users_name: ")
	require.ErrorContains(t, err, "view names: ")
	require.ErrorContains(t, err, "policy own: ")
	require.ErrorContains(t, err, "trigger shout: it sets the column past the wrappers")
	require.NotContains(t, err.Error(), "mention")
	require.Equal(t, before, w.describe())
	require.Zero(t, w.number(`SELECT count(*) FROM tandem.migration WHERE relaxed <> '{}'`))
	w.exec(`CREATE OR REPLACE VIEW names AS SELECT full_name AS user_name FROM users; ALTER POLICY own ON users USING (full_name = current_user);
		ALTER TABLE users REPLICA IDENTITY FULL; DROP TRIGGER shout ON users`)
	w.apply(contract.Relax)
}

// Relax asks, before it takes anything, whether somebody late or a stray still relies on what it takes.
func TestRelaxAsksTheGates(t *testing.T) {
	t.Parallel()
	w := newLonelyWalker(t, usersSQL, fullName)
	w.toSwitch()
	w.exec(`UPDATE users SET user_name = 'stray' WHERE id = 1`)
	w.exec(`INSERT INTO tandem.member (id, service, build, host, pid) VALUES ('x', 'late', '', 'elsewhere', 1)`)
	before := w.describe()
	err := contract.Apply(t.Context(), w.db, w.pair, contract.Relax, contract.Options{})
	var refused *switchover.GateError
	require.ErrorAs(t, err, &refused)
	require.ErrorContains(t, err, "relax users.full_name: ")
	require.Len(t, refused.Gates, 2)
	require.Equal(t, before, w.describe())
	require.Zero(t, w.number(`SELECT count(*) FROM tandem.migration WHERE relaxed <> '{}'`))
	o := contract.Options{Gates: switchover.Options{Quiet: switchover.None, Waive: map[string]string{"members": "it hangs"}, Actor: "me"}}
	require.NoError(t, contract.Apply(t.Context(), w.db, w.pair, contract.Relax, o))
	require.Equal(t, 1, w.number(`SELECT count(*) FROM tandem.event WHERE kind = 'relax' AND actor = 'me' AND waived = '{"members": "it hangs"}'`))
}

// What comes while Drop waits for its gates is seen all the same.
func TestDropSeesWhatCameWhileItWaited(t *testing.T) {
	t.Parallel()
	w := newLonelyWalker(t, usersSQL, fullName)
	w.toContract()
	w.apply(contract.Finish)
	waiting := func(come string) error {
		t.Helper()
		w.exec(`INSERT INTO tandem.member (id, service, build, host, pid) VALUES ('x', 'late', '', 'elsewhere', 1)`)
		ctx, cancel := context.WithTimeout(t.Context(), waitTime)
		defer cancel()
		done := make(chan error, 1)
		go func() {
			done <- contract.Apply(ctx, w.db, w.pair, contract.Drop, contract.Options{Gates: quick})
		}()
		require.Eventually(t, func() bool {
			return w.number(`SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%FROM tandem.member%' AND datname = current_database() AND pid <> pg_backend_pid()`) > 0
		}, waitTime, 5*time.Millisecond)
		w.exec(come)
		w.exec(`DELETE FROM tandem.member`)
		return <-done
	}
	err := waiting(`CREATE INDEX late_index ON users (user_name)`)
	require.ErrorIs(t, err, contract.ErrDependents)
	require.ErrorContains(t, err, "late_index")
	w.exec(`DROP INDEX late_index`)
	require.NoError(t, waiting(`COMMENT ON INDEX users_lower IS 'late'`))
	require.Equal(t, 1, w.number(`SELECT count(*) FROM pg_class WHERE relname = 'users_lower' AND obj_description(oid, 'pg_class') = 'late'`))
}

// What has no twin would be lost.
func TestRefusedWithoutTwins(t *testing.T) {
	t.Parallel()
	w := newLonelyWalker(t, usersSQL, fullName)
	w.toSwitch()
	for _, late := range []string{`ALTER TABLE users ADD CONSTRAINT late CHECK (user_name <> 'x')`, `CREATE UNIQUE INDEX late_unique ON users (user_name)`} {
		w.exec(late)
		before := w.describe()
		w.refusedAll(contract.ErrDependents, contract.Relax)
		require.Equal(t, before, w.describe())
	}
	require.NoError(t, expand.ApplyTwins(t.Context(), w.db, w.pair, expand.Options{}))
	w.apply(contract.Relax)
	w.advance(switchover.Contract)
	w.apply(contract.Finish)
	w.exec(`CREATE INDEX late_index ON users (user_name)`)
	w.refusedAll(contract.ErrDependents, contract.Drop)
	w.exec(`DROP INDEX late_index`)
	w.apply(contract.Drop)
}

// The gates of the last step, all told at once.
func TestDropAsksTheGates(t *testing.T) {
	t.Parallel()
	w := newWalker(t)
	w.toContract()
	w.apply(contract.Finish)
	w.exec(`CREATE VIEW names AS SELECT user_name FROM users`)
	w.exec(`CREATE FUNCTION mention() RETURNS bigint LANGUAGE sql AS 'SELECT count(user_name) FROM public.users'`)
	w.exec(`ALTER TABLE users DISABLE TRIGGER USER; UPDATE users SET full_name_stamp = NULL WHERE id < 4`)
	w.exec(`UPDATE tandem.member SET epochs = '{}'; INSERT INTO tandem.member (id, service, build, host, pid) VALUES ('x', 'late', '', 'elsewhere', 1)`)
	before := w.describe()
	refused := func(o switchover.Options) map[string]bool {
		t.Helper()
		err := contract.Apply(t.Context(), w.db, w.pair, contract.Drop, contract.Options{Gates: o})
		var gates *switchover.GateError
		require.ErrorAs(t, err, &gates)
		require.ErrorContains(t, err, "drop users.full_name: ")
		out := map[string]bool{}
		for _, g := range gates.Gates {
			out[g.Name] = g.Waivable
		}
		require.Equal(t, before, w.describe())
		return out
	}
	require.Equal(t, map[string]bool{"soak": true, "members": true, "dependents": false, "mentions": true, "unstamped": false}, refused(switchover.Options{}))
	waive := map[string]string{"soak": "test", "members": "test", "mentions": "test", "dependents": "test", "unstamped": "test"}
	require.Equal(t, map[string]bool{"dependents": false, "unstamped": false}, refused(switchover.Options{Waive: waive}))
	w.exec(`DROP VIEW names; UPDATE users SET full_name_stamp = 83886080 WHERE full_name_stamp IS NULL`)
	require.NoError(t, contract.Apply(t.Context(), w.db, w.pair, contract.Drop, contract.Options{Gates: switchover.Options{Waive: waive, Actor: "me"}}))
	require.Equal(t, 1, w.number(`SELECT count(*) FROM tandem.event WHERE to_phase = 'Complete' AND actor = 'me' AND waived ? 'members'`))
}

// A reader holds the table: each stage gives up, says who it was, and has done nothing.
func TestLockedTable(t *testing.T) {
	t.Parallel()
	w := newLonelyWalker(t, usersSQL, fullName)
	w.toSwitch()
	blocked := func(stage contract.Stage, lock string) {
		t.Helper()
		before := w.describe()
		tx := w.db.MustBeginTx(t.Context(), nil)
		defer func() { _ = tx.Rollback() }()
		var pid int
		require.NoError(t, tx.Get(&pid, `SELECT pg_backend_pid()`))
		tx.MustExec(lock)
		steps, err := contract.Plan(t.Context(), w.db, w.pair, stage)
		require.NoError(t, err)
		require.NotEmpty(t, steps)
		err = contract.Apply(t.Context(), w.db, w.pair, stage, contract.Options{Gates: quick, Locks: expand.Options{LockTimeout: 30 * time.Millisecond, Attempts: 2}})
		require.ErrorContains(t, err, "in the way on users: ")
		require.ErrorContains(t, err, fmt.Sprintf("pid %d (", pid))
		require.NoError(t, tx.Rollback())
		require.Equal(t, before, w.describe())
		w.apply(stage)
	}
	const read = `LOCK TABLE users IN ACCESS SHARE MODE`
	blocked(contract.Relax, read)
	w.advance(switchover.Contract)
	blocked(contract.Finish, read)
	w.revert(switchover.Switch)
	w.reverse()
	blocked(contract.Restore, read)
	w.apply(contract.Relax)
	w.advance(switchover.Contract)
	w.apply(contract.Finish)
	blocked(contract.Drop, read)
}

// Two operators at once: whoever comes second does nothing or is told.
func TestTwoOperators(t *testing.T) {
	t.Parallel()
	w := newLonelyWalker(t, usersSQL, fullName)
	w.toSwitch()
	errs := make(chan error, 4)
	for range cap(errs) {
		go func() {
			errs <- contract.Apply(context.WithoutCancel(t.Context()), w.db, w.pair, contract.Relax, contract.Options{})
		}()
	}
	done := 0
	for range cap(errs) {
		if <-errs == nil {
			done++
		}
	}
	require.Positive(t, done)
	w.apply(contract.Relax)
	w.advance(switchover.Contract)
	w.end()
}
