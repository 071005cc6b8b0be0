package history_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/switchover"
)

// halves are the two words that a name is split into; the second may be missing.
type halves struct {
	Head string           `db:"head"`
	Tail sql.Null[string] `db:"tail"`
}

func halve(name string) (halves, error) {
	head, tail, two := strings.Cut(name, " ")
	return halves{head, sql.Null[string]{V: tail, Valid: two}}, nil
}

func (h halves) join() string { return strings.TrimRight(h.Head+" "+h.Tail.V, " ") }

var (
	halvesSpec = expand.SetSpec[string, halves]{Table: "users",
		Old:      []expand.Column{{Name: "user_name", SQL: `{head} || coalesce(' ' || {tail}, '')`}},
		New:      []expand.Column{{Name: "head", Type: "text", SQL: `split_part({user_name}, ' ', 1)`}, {Name: "tail", Type: "text", SQL: `nullif(split_part({user_name}, ' ', 2), '')`}},
		Forward:  halve,
		Backward: func(h halves) (string, error) { return h.join(), nil }}
	halved     = expand.ConvertSet(halvesSpec)
	halvedInGo = func() *expand.Pair[string, halves] {
		spec := halvesSpec
		spec.Old, spec.New = []expand.Column{{Name: "user_name"}}, []expand.Column{{Name: "head", Type: "text"}, {Name: "tail", Type: "text"}}
		return expand.ConvertSet(spec)
	}()
)

type userOfSet struct {
	ID int64 `db:"id"`
	halves
}

// word is written once in the whole history, and has no blank.
func (a *actor) word() string { return strings.ReplaceAll(a.value(), " ", "-") }

// words are a name of two words, or of one.
func (a *actor) words() halves {
	h := halves{Head: a.word()}
	if a.rng.IntN(3) > 0 {
		h.Tail = sql.Null[string]{V: a.word(), Valid: true}
	}
	return h
}

// writeSet is write for a name of words.
func (a *actor) writeSet(key int64, do func(h halves) error) {
	h, call := a.words(), now()
	if ended, wrote := a.outcome(do(h)); wrote {
		a.h.add(event{Actor: a.name, Key: key, Write: true, Value: h.join(), Call: call, Return: ended})
	}
}

// ofSet is a member whose repository has the set.
func ofSet(ctx context.Context, f *fleet, a *actor) {
	f.member(ctx, a.joining(), func(m *switchover.Member) {
		users, err := expand.NewRepository[userOfSet](f.db, m, f.pair)
		if err != nil {
			f.h.fail(err)
			return
		}
		for ; ctx.Err() == nil; a.pause(ctx) {
			key := a.key()
			switch a.rng.IntN(6) {
			case 0, 1, 2:
				a.readSet(ctx, users, key)
			case 3:
				a.writeSet(key, func(h halves) error { return users.UpdateColumns(ctx, &userOfSet{key, h}, "head", "tail") })
			case 4:
				a.writeSet(key, func(h halves) error { return users.Upsert(ctx, &userOfSet{key, h}, "id") })
			default:
				a.writeSet(key, func(h halves) error {
					return users.InTx(ctx, nil, func(ctx context.Context, tx *expand.Tx) error {
						err := users.In(tx).Update(ctx, &userOfSet{key, h})
						a.pause(ctx)
						return err
					})
				})
			}
		}
	})
}

func (a *actor) readSet(ctx context.Context, users *expand.Repository[userOfSet], key int64) {
	a.read(ctx, key, func() (string, error) {
		u, err := users.Get(ctx, key)
		return u.join(), err
	})
}

// onlyOld writes the one column that is split.
func onlyOld(ctx context.Context, f *fleet, a *actor) {
	for ; ctx.Err() == nil; a.pauseFor(ctx, a.h.seldom()) {
		key := a.key()
		a.writeSet(key, func(h halves) error {
			_, err := f.db.ExecContext(ctx, `UPDATE users SET user_name = $1 WHERE id = $2`, h.join(), key)
			return err
		})
	}
}

// oneHalf writes one of the new columns, where there are any, and is told the other one. It ends no statement early: of a half whose end nobody knows nobody would
// know the whole.
func oneHalf(ctx context.Context, f *fleet, a *actor) {
	for ; ctx.Err() == nil; a.pauseFor(ctx, a.h.seldom()) {
		var whole halves
		key, column, call := a.key(), []string{"head", "tail"}[a.rng.IntN(2)], now()
		err := f.db.GetContext(context.WithoutCancel(ctx), &whole,
			`UPDATE users SET `+column+` = $1 WHERE id = $2 AND head IS NOT NULL RETURNING head, tail`, a.word(), key)
		if errors.Is(err, sql.ErrNoRows) { // not copied
			continue
		}
		if ended, wrote := a.outcome(err); wrote {
			kept := map[string]string{"head": whole.Tail.V, "tail": whole.Head}[column]
			a.h.add(event{Actor: a.name, Key: key, Write: true, Value: whole.join(), Kept: kept, Call: call, Return: ended})
		}
	}
}

func (f *fleet) lastOfSet(a *actor) {
	f.Helper()
	f.member(f.Context(), a.joining(), func(m *switchover.Member) {
		users, err := expand.NewRepository[userOfSet](f.db, m, f.pair)
		require.NoError(f, err)
		for key := int64(1); key <= rowsOfTable; key++ {
			a.readSet(f.Context(), users, key)
		}
	})
}
