package backfill_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/contract"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/switchover"
)

type amount struct {
	ID    int64 `db:"id"`
	Cents int64 `db:"cents"`
}

var hasty = switchover.Options{Quiet: switchover.None, Soak: switchover.None}

func (b *bed) accept(o backfill.AcceptOptions) {
	b.Helper()
	n, err := backfill.AcceptBadRows(b.ctx, b.db, b.pair, "nobody knows", o)
	require.NoError(b, err)
	require.EqualValues(b, len(o.Keys), n)
}

// gates are the names of the gates to a phase, with what they say.
func (b *bed) gates(to switchover.Phase) map[string]string {
	b.Helper()
	list, err := switchover.Gates(b.ctx, b.db, b.pair.Name(), to, hasty)
	require.NoError(b, err)
	out := map[string]string{}
	for _, g := range list {
		out[g.Name] = g.Missing
	}
	return out
}

func keysOf(ids ...int) (out [][]string) {
	for _, id := range ids {
		out = append(out, []string{fmt.Sprint(id)})
	}
	return out
}

// unguarded writes users behind the guard's back.
func (b *bed) unguarded(query string) {
	b.Helper()
	b.exec(`ALTER TABLE users DISABLE TRIGGER USER; ` + query)
	require.NoError(b, expand.Apply(b.ctx, b.db, b.pair, expand.Options{}))
}

// newAmounts has three rows that do not convert, 3, 4 and 5, and is copied.
func newAmounts(t *testing.T) *bed {
	t.Helper()
	b := newBed(t, numbersSQL(20)+`; UPDATE users SET user_name = 'free' WHERE id IN (3, 4, 5)`, cents)
	require.EqualValues(t, 3, b.run().BadRows)
	return b
}

// A whole migration with rows that somebody lives with: they hold up nothing until the drop, which names them and wants to be told; what is read of them is what it was.
func TestAcceptedRows(t *testing.T) {
	t.Parallel()
	b := newAmounts(t)
	require.Contains(t, b.gates(switchover.Switch)["bad-rows"], "3 rows do not convert")
	b.accept(backfill.AcceptOptions{Keys: keysOf(3, 4), Actor: "ada"})
	require.Contains(t, b.gates(switchover.Switch)["bad-rows"], "1 rows do not convert")
	b.accept(backfill.AcceptOptions{Keys: keysOf(5), Lose: true})
	require.Empty(t, b.badRows(backfill.BadRowsOptions{Open: true}))
	rows := b.badRows(backfill.BadRowsOptions{Accepted: true})
	require.Equal(t, []string{"3", "4", "5"}, badKeysOf(rows))
	require.Equal(t, []any{"nobody knows", "ada", false, true}, []any{rows[0].Accepted, rows[0].AcceptedBy, rows[0].Lose, rows[2].Lose})
	require.False(t, rows[0].AcceptedAt.IsZero())
	require.Equal(t, []string{"ada: 2 bad rows, keys [3], [4]: nobody knows"}, b.texts(`SELECT actor || ': ' || detail FROM tandem.event WHERE kind = 'accept' AND actor = 'ada'`))
	require.Equal(t, 1, b.number(`SELECT count(*) FROM tandem.event WHERE kind = 'accept' AND detail LIKE '1 bad rows, key [5], whose old value may be lost: %'`))
	require.Zero(t, b.run().BadRows, "a Run tries them, and does not count them")
	require.Len(t, b.badRows(backfill.BadRowsOptions{Accepted: true}), 3)

	// they must differ; another row must not
	require.NoError(t, expand.ApplyTwins(b.ctx, b.db, b.pair, expand.Options{}))
	report, err := backfill.Verify(b.ctx, b.db, b.pair, backfill.VerifyOptions{})
	require.NoError(t, err)
	require.EqualValues(t, 3, report.Differences)
	require.Empty(t, b.gates(switchover.Switch))
	b.unguarded(`UPDATE users SET cents = 7 WHERE id = 8`)
	_, err = backfill.Verify(b.ctx, b.db, b.pair, backfill.VerifyOptions{})
	require.NoError(t, err)
	require.Contains(t, b.gates(switchover.Switch)["verify"], "1 rows differ")
	b.unguarded(`UPDATE users SET cents = 800 WHERE id = 8`)
	_, err = backfill.Verify(b.ctx, b.db, b.pair, backfill.VerifyOptions{})
	require.NoError(t, err)
	b.advance(b.pair, switchover.Switch)

	m, err := switchover.Join(b.ctx, b.db, switchover.JoinOptions{Service: "test", Poll: 20e6})
	require.NoError(t, err)
	t.Cleanup(func() { _ = m.Leave(context.WithoutCancel(b.ctx)) })
	amounts, err := expand.NewRepository[amount](b.db, m, cents)
	require.NoError(t, err)
	_, err = amounts.Get(b.ctx, int64(3))
	require.ErrorContains(t, err, `parsing "free"`, "it is read from old, from which the reader cannot make a number either")
	status, err := switchover.Status(b.ctx, b.db, hasty)
	require.NoError(t, err)
	require.Equal(t, []int64{0, 3}, []int64{status[0].BadRows, status[0].Accepted})
	require.Contains(t, status[0].String(), "0 rows do not convert, 3 more are accepted")

	require.NoError(t, contract.Apply(b.ctx, b.db, b.pair, contract.Relax, contract.Options{Gates: hasty}))
	b.advance(b.pair, switchover.Contract)
	require.NoError(t, m.Refresh(b.ctx))
	require.NoError(t, contract.Apply(b.ctx, b.db, b.pair, contract.Finish, contract.Options{}))

	require.Contains(t, b.gates(switchover.Complete)["accepted"], "loses the old value of 2 accepted bad rows (counted to 1000), which have no other: keys [3], [4]")
	require.Eventually(t, func() bool { return len(b.gates(switchover.Complete)) == 1 }, waitTime, pollTime, "once the member has acknowledged Contract")
	require.NoError(t, amounts.Update(b.ctx, &amount{4, 44}))
	require.Contains(t, b.gates(switchover.Complete)["accepted"], "of 1 accepted bad rows (counted to 1000), which have no other: keys [3]")
	drop := contract.Options{Gates: hasty}
	var refused *switchover.GateError
	require.ErrorAs(t, contract.Apply(b.ctx, b.db, b.pair, contract.Drop, drop), &refused)
	require.True(t, refused.Gates[0].Waivable)

	// what is recalled holds up the drop, even when it is recalled after the gates were asked
	n, err := backfill.UnacceptBadRows(b.ctx, b.db, b.pair, backfill.AcceptOptions{Keys: keysOf(5)})
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
	require.Contains(t, b.gates(switchover.Complete)["bad-rows"], "1 rows do not convert")
	require.Contains(t, b.gates(switchover.Complete)["unstamped"], "1 rows")
	b.accept(backfill.AcceptOptions{Keys: keysOf(5), Lose: true})
	drop.Gates.Waive = map[string]string{"accepted": "it is in the archive"}
	late := drop.Gates
	late.Within = func(ctx context.Context, tx *sqlx.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE tandem.bad_row SET accepted = NULL WHERE key = '{5}'`)
		return err
	}
	require.ErrorContains(t, switchover.Advance(b.ctx, b.db, b.pair.Name(), switchover.Complete, late), "accepted no more")
	require.NoError(t, contract.Apply(b.ctx, b.db, b.pair, contract.Drop, drop))
	require.Equal(t, []string{"3", "5"}, b.texts(`SELECT id FROM users WHERE cents IS NULL ORDER BY id`))
}

// Accepted is a value: another one of the same row is a bad value like any other, whoever finds it; the same one stays accepted.
func TestAnotherValueIsNotAccepted(t *testing.T) {
	t.Parallel()
	b := newAmounts(t)
	b.accept(backfill.AcceptOptions{Keys: keysOf(3, 4, 5), Lose: true})
	b.exec(`UPDATE users SET user_name = 'cheap' WHERE id = 3`)
	b.exec(`UPDATE users SET user_name = 'cheap' WHERE id = 4`)
	b.exec(`UPDATE users SET user_name = 'free' WHERE id = 4`)
	require.Contains(t, b.gates(switchover.Switch)["dirty"], "3 rows of strays")
	require.EqualValues(t, 3, b.sweep())
	require.Equal(t, []string{"3"}, badKeysOf(b.badRows(backfill.BadRowsOptions{Open: true})))
	require.Contains(t, b.gates(switchover.Switch)["bad-rows"], "1 rows do not convert")

	b.unguarded(`UPDATE users SET user_name = 'dear' WHERE id = 5`)
	done, err := backfill.RetryBadRows(b.ctx, b.db, b.pair, backfill.RetryOptions{All: true})
	require.NoError(t, err)
	require.Len(t, done.Bad, 3)
	require.Equal(t, []string{"3", "5"}, badKeysOf(b.badRows(backfill.BadRowsOptions{Open: true})))
	require.EqualValues(t, 2, b.run().BadRows)
	// it converts at last, and is off the list
	b.exec(`UPDATE users SET user_name = '4' WHERE id = 4`)
	require.EqualValues(t, 1, b.sweep())
	b.run()
	require.Equal(t, []string{"3", "5"}, badKeysOf(b.badRows(backfill.BadRowsOptions{})))
}

// The swap asks behind its lock on the table, and counts what nobody has accepted.
func TestSwapCountsWhatNobodyAccepted(t *testing.T) {
	t.Parallel()
	b := newAmounts(t)
	b.accept(backfill.AcceptOptions{Keys: keysOf(3, 4, 5)})
	require.NoError(t, expand.ApplyTwins(b.ctx, b.db, b.pair, expand.Options{}))
	_, err := backfill.Verify(b.ctx, b.db, b.pair, backfill.VerifyOptions{})
	require.NoError(t, err)
	b.advance(b.pair, switchover.Switch)
	require.NoError(t, contract.Apply(b.ctx, b.db, b.pair, contract.Relax, contract.Options{Gates: hasty}))
	late := hasty
	late.Within = func(ctx context.Context, tx *sqlx.Tx) error { // between the gates and the lock
		_, err := tx.ExecContext(ctx, `UPDATE tandem.bad_row SET accepted = NULL WHERE key = '{5}'`)
		return err
	}
	require.ErrorContains(t, switchover.Advance(b.ctx, b.db, b.pair.Name(), switchover.Contract, late), "1 rows of strays came while the swap waited")
	b.advance(b.pair, switchover.Contract)

	// on the way back the acceptance stays, and nothing is accepted
	b.revert()
	_, err = b.reverse(b.ctx, backfill.Options{})
	require.NoError(t, err)
	require.Len(t, b.badRows(backfill.BadRowsOptions{Accepted: true}), 3)
	_, err = backfill.AcceptBadRows(b.ctx, b.db, b.pair, "x", backfill.AcceptOptions{All: true})
	require.ErrorIs(t, err, backfill.ErrAccept)
}

func TestAcceptRefuses(t *testing.T) {
	t.Parallel()
	b := newAmounts(t)
	accept := func(p expand.Any, reason string, o backfill.AcceptOptions) error {
		_, err := backfill.AcceptBadRows(b.ctx, b.db, p, reason, o)
		return err
	}
	require.ErrorContains(t, accept(cents, " \n", backfill.AcceptOptions{All: true}), "accept bad rows of users.cents: a reason is needed")
	require.ErrorContains(t, accept(cents, "x", backfill.AcceptOptions{}), "name keys, or set All")
	require.ErrorContains(t, accept(cents, "x", backfill.AcceptOptions{All: true, Keys: keysOf(3)}), "not both")
	require.ErrorIs(t, accept(cents, "x", backfill.AcceptOptions{Keys: [][]string{{"3", "4"}}}), backfill.ErrNoBadRow)
	b.exec(`UPDATE users SET user_name = '5', cents = 5, cents_stamp = 67108865 WHERE id = 5`) // mended, and still on the list
	err := accept(cents, "x", backfill.AcceptOptions{Keys: keysOf(3, 5, 6)})
	require.ErrorIs(t, err, backfill.ErrNoBadRow)
	require.ErrorContains(t, err, "keys [5], [6]: ")
	require.Empty(t, b.badRows(backfill.BadRowsOptions{Accepted: true}), "all or none")
	require.Zero(t, b.number(`SELECT count(*) FROM tandem.event WHERE kind = 'accept'`))
	n, err := backfill.AcceptBadRows(b.ctx, b.db, cents, "x", backfill.AcceptOptions{All: true})
	require.NoError(t, err)
	require.EqualValues(t, 2, n)
	n, err = backfill.UnacceptBadRows(b.ctx, b.db, cents, backfill.AcceptOptions{All: true})
	require.NoError(t, err)
	require.EqualValues(t, 2, n)
	require.Len(t, b.badRows(backfill.BadRowsOptions{Open: true}), 3)

	replaced := newBed(t, thingsSQL(30)+`; UPDATE things SET name = NULL WHERE id = 7; ALTER TABLE things_v2 ALTER COLUMN name SET NOT NULL`, things)
	require.EqualValues(t, 1, replaced.run().BadRows)
	_, err = backfill.AcceptBadRows(replaced.ctx, replaced.db, things, "x", backfill.AcceptOptions{All: true})
	require.ErrorIs(t, err, backfill.ErrAccept)
}

// Where new becomes NOT NULL, an accepted row keeps Finish from it, and the step before says so.
func TestAcceptedRowsOfANotNullColumn(t *testing.T) {
	t.Parallel()
	b := newBed(t, numbersSQL(20)+`; UPDATE users SET user_name = 'free' WHERE id = 3; ALTER TABLE users ALTER user_name SET NOT NULL`, cents)
	require.EqualValues(t, 1, b.run().BadRows)
	b.accept(backfill.AcceptOptions{Keys: keysOf(3), Lose: true})
	require.NoError(t, expand.ApplyTwins(b.ctx, b.db, b.pair, expand.Options{}))
	_, err := backfill.Verify(b.ctx, b.db, b.pair, backfill.VerifyOptions{})
	require.NoError(t, err)
	b.advance(b.pair, switchover.Switch)
	require.NoError(t, contract.Apply(b.ctx, b.db, b.pair, contract.Relax, contract.Options{Gates: hasty}))
	require.Contains(t, b.gates(switchover.Contract)["accepted"], "1 accepted bad rows have no cents, which becomes NOT NULL")
}
