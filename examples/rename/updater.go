package main

import (
	"context"
	"fmt"
	"time"

	"github.com/tandem-go/tandem/expand"
)

// updaterTasks is the service that updates in transactions of several statements.
func updaterTasks(b *bench) []task {
	return []task{
		{"transaction", 20 * time.Millisecond, updater(b, laneUpdate)},
		{"transaction", 20 * time.Millisecond, updater(b, laneAccount)},
	}
}

// updater renames users of its lane, one a transaction: read, rename, order, read again.
func updater(b *bench, lane int64) func(context.Context) error {
	var n int64
	return func(ctx context.Context) error {
		n++
		id := b.pick(lane)
		name := nameOf(initialUser(id), n)
		// All statements see one phase. If the migration takes a step that this phase does not survive, InTx runs the function again.
		err := b.users.InTx(ctx, nil, func(ctx context.Context, tx *expand.Tx) error {
			return rename(ctx, b, tx, id, name)
		})
		return b.record.update(id, name, err)
	}
}

func rename(ctx context.Context, b *bench, tx *expand.Tx, id int64, name string) error {
	users := b.users.In(tx)
	u, err := users.Get(ctx, id)
	if err != nil {
		return err
	}
	if err := b.record.check(id, u.FullName); err != nil {
		return err
	}
	u.FullName = name
	if err := users.UpdateColumns(ctx, &u, "full_name"); err != nil {
		return err
	}
	// An expand.Tx is an *sqlx.Tx, so statements of other tables go through it as ever.
	if _, err := tx.ExecContext(ctx, `INSERT INTO orders (user_id, amount) VALUES ($1, 1)`, id); err != nil {
		return err
	}
	again, err := users.Get(ctx, id)
	if err == nil && again.FullName != name {
		return fmt.Errorf("user %d is called %q right after it was renamed to %q", id, again.FullName, name)
	}
	return err
}
