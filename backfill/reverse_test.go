package backfill_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/backfill"
	"github.com/tandem-go/tandem/contract"
	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/switchover"
)

// toContract walks a table that is in Migrate to Contract.
func (b *bed) toContract() {
	b.Helper()
	b.run()
	require.NoError(b, expand.ApplyTwins(b.ctx, b.db, b.pair, expand.Options{}))
	b.verified(b.number(`SELECT count(*) FROM users`))
	b.advance(b.pair, switchover.Switch)
	require.NoError(b, contract.Apply(b.ctx, b.db, b.pair, contract.Relax, contract.Options{Gates: switchover.Options{Quiet: switchover.None}}))
	b.advance(b.pair, switchover.Contract)
	require.NoError(b, contract.Apply(b.ctx, b.db, b.pair, contract.Finish, contract.Options{}))
}

func (b *bed) revert() {
	b.Helper()
	require.NoError(b, switchover.Revert(b.ctx, b.db, b.pair.Name(), switchover.Switch, switchover.Options{}))
}

// reverse is Run on the way back, in small windows.
func (b *bed) reverse(ctx context.Context, o backfill.Options) (backfill.Result, error) {
	o.Reverse, o.Batch, o.Stripes, o.Target = true, 50, 1, 10e9
	return backfill.Run(ctx, b.db, b.pair, o)
}

// Without a backward conversion there is no way back from Contract, and the migration is not left in the middle of one.
func TestNoWayBack(t *testing.T) {
	t.Parallel()
	oneWay := expand.Convert(expand.Spec[string, string]{Table: "users", Old: "user_name", New: "full_name", Forward: func(s string) (string, error) { return "hash of " + s, nil }})
	b := newBed(t, usersSQL(10), oneWay)
	b.toContract()
	err := switchover.Revert(b.ctx, b.db, b.pair.Name(), switchover.Switch, switchover.Options{})
	require.ErrorIs(t, err, switchover.ErrStep)
	require.ErrorContains(t, err, "no backward conversion")
	require.Equal(t, 1, b.number(`SELECT count(*) FROM tandem.migration WHERE phase = 'Contract' AND guard = 'reject'`))
	// one that a program without the declaration has taken back all the same
	b.exec(`UPDATE tandem.migration SET phase = 'Switch', guard = 'reverse'`)
	_, err = b.reverse(b.ctx, backfill.Options{})
	require.ErrorIs(t, err, backfill.ErrDirection)
}

func TestReverse(t *testing.T) {
	t.Parallel()
	for name, p := range childPairs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, usersSQL(500), p)
			b.toContract()
			// as wrappers of Contract do
			for id := 1; id <= 300; id++ {
				b.exec(`UPDATE users SET full_name = $2, full_name_stamp = 83886080 + id WHERE id = $1`, id, fmt.Sprint("CONTRACT ", id))
			}
			_, err := b.reverse(t.Context(), backfill.Options{})
			require.ErrorIs(t, err, backfill.ErrPhase)
			b.revert()
			// in the midst of it wrappers of Switch write both
			ctx, cancel := context.WithCancel(t.Context())
			res, err := b.reverse(ctx, backfill.Options{Progress: func(backfill.Progress) {
				b.exec(`UPDATE users SET user_name = 'switch', full_name = 'SWITCH', full_name_stamp = 67108865 WHERE id IN (1, 299)`)
				cancel()
			}})
			require.ErrorIs(t, err, context.Canceled)
			require.EqualValues(t, 50, res.Rows)
			require.False(t, res.Resumed)
			err = contract.Apply(t.Context(), b.db, p, contract.Restore, contract.Options{})
			require.ErrorIs(t, err, contract.ErrUnreversed)
			res, err = b.reverse(t.Context(), backfill.Options{})
			require.NoError(t, err)
			require.EqualValues(t, 249, res.Rows)
			require.True(t, res.Resumed)
			want := map[string]string{"sql": "full_name", "go": "lower(full_name)"}[name]
			require.Zero(t, b.number(`SELECT count(*) FROM users WHERE id NOT IN (1, 299) AND user_name IS DISTINCT FROM `+want))
			require.Equal(t, []string{"SWITCH"}, b.texts(`SELECT DISTINCT full_name FROM users WHERE id IN (1, 299)`))
			require.Zero(t, b.number(`SELECT count(*) FROM users WHERE full_name_stamp >= 83886080`))
			res, err = b.reverse(t.Context(), backfill.Options{})
			require.NoError(t, err)
			require.Zero(t, res.Rows)
			require.NoError(t, contract.Apply(t.Context(), b.db, p, contract.Restore, contract.Options{}))
			_, err = b.reverse(t.Context(), backfill.Options{})
			require.ErrorIs(t, err, backfill.ErrPhase)
		})
	}
}

// A value of Contract that old cannot hold is a bad row, and holds up the way back until it is mended: one that Backward refuses, and one of which SQL would make another value.
func TestReverseOfABadValue(t *testing.T) {
	t.Parallel()
	same := func(s string) (string, error) { return s, nil }
	for name, p := range map[string]*expand.Pair[string, string]{
		"refused": expand.Convert(expand.Spec[string, string]{Table: "users", Old: "user_name", New: "full_name", Forward: same,
			Backward: func(s string) (string, error) {
				if strings.HasPrefix(s, "new") {
					return "", errOdd
				}
				return s, nil
			}}),
		"lossy": expand.Convert(expand.Spec[string, string]{Table: "users", Old: "user_name", New: "full_name", Type: "text",
			Forward: func(s string) (string, error) { return strings.ReplaceAll(s, "new", "old"), nil }, Backward: same,
			ForwardSQL: "replace({user_name}, 'new', 'old')", BackwardSQL: "{full_name}"}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, usersSQL(200), p)
			b.toContract()
			b.exec(`UPDATE users SET full_name = CASE id WHEN 3 THEN 'new' ELSE 'fit' END, full_name_stamp = 83886080 + id WHERE id < 5`)
			b.revert()
			for range 2 {
				res, err := b.reverse(t.Context(), backfill.Options{})
				require.NoError(t, err)
				require.EqualValues(t, 1, res.BadRows)
				require.Equal(t, []string{"3"}, b.texts(badKeys))
			}
			require.ErrorIs(t, contract.Apply(t.Context(), b.db, p, contract.Restore, contract.Options{}), contract.ErrUnreversed)
			b.exec(`UPDATE users SET full_name = 'fit', user_name = 'fit', full_name_stamp = 67108865 WHERE id = 3`)
			res, err := b.reverse(t.Context(), backfill.Options{})
			require.NoError(t, err)
			require.Zero(t, res.BadRows)
			require.NoError(t, contract.Apply(t.Context(), b.db, p, contract.Restore, contract.Options{}))
		})
	}
}
