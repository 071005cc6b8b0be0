package history_test

import (
	"context"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/tandem-go/tandem/expand"
	"github.com/tandem-go/tandem/switchover"
)

// zombie keeps the phase that its member knows now, for ever or for some thirty operations: several steps of the operator.
func (a *actor) zombie(ctx context.Context, m *switchover.Member) {
	p, err := a.pair.Pin(ctx, m)
	if err != nil {
		a.h.fail(err)
		return
	}
	defer p.Release()
	type row struct { // of which one is used
		ID       int64                        `db:"id"`
		FullName expand.Value[string, string] `db:"full_name"`
		Email    expand.Value[string, string] `db:"email"`
	}
	for ; ctx.Err() == nil && (a.forEver || a.rng.IntN(30) > 0); a.pauseFor(ctx, a.h.seldom()/2) {
		key := a.key()
		if a.rng.IntN(2) == 0 {
			a.write(key, func(v string) error {
				value, err := p.Value(v)
				if err != nil {
					return err
				}
				_, err = sqlx.NamedExecContext(ctx, a.db, `UPDATE users SET `+p.Set()+` WHERE id = :id`, row{key, value, value})
				return err
			})
			continue
		}
		if p.Phase() < switchover.Expand {
			continue // in Start the columns need not be there: it reads old, as the old binary does
		}
		a.read(ctx, key, func() (string, error) {
			var r row
			if err := sqlx.GetContext(ctx, a.db, &r, `SELECT id, `+p.Select("users")+` FROM users WHERE id = $1`, key); err != nil {
				return "", err
			}
			if a.register == emails {
				return p.Read(r.Email, key)
			}
			return p.Read(r.FullName, key)
		})
	}
}

// seldom is the mean pause of programs beside the wrappers. What they write and only Go converts holds up the operator until it is swept: the more often that has refused his
// step, the longer they pause, or on a slow machine there would be no moment without.
func (h *history) seldom() time.Duration {
	return 60 * time.Millisecond * time.Duration(1+h.refusals.Load())
}

// raw writes one column and knows nothing of the pair.
func (a *actor) raw(ctx context.Context, column string) {
	for ; ctx.Err() == nil; a.pauseFor(ctx, a.h.seldom()) {
		key := a.key()
		a.write(key, func(v string) (err error) {
			if column == a.pair.Definition().Old[0] {
				v, err = a.pair.Backward(v)
			}
			if err == nil {
				_, err = a.db.ExecContext(ctx, `UPDATE users SET `+column+` = $1 WHERE id = $2`, v, key)
			}
			return err
		})
	}
}

// repeated writes to old what old has already, which looks like no change, and tells what that was.
func (a *actor) repeated(ctx context.Context) {
	for ; ctx.Err() == nil; a.pause(ctx) {
		key := a.key()
		a.read(ctx, key, func() (value string, err error) {
			err = a.db.GetContext(ctx, &value, `UPDATE users SET user_name = user_name WHERE id = $1 RETURNING user_name`, key)
			if err != nil {
				return "", err
			}
			return a.pair.Forward(value)
		})
	}
}
